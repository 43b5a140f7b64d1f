"""Trace files: real gradients with their times, written at one stroke and read tensor by tensor."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netsim.errors import TraceError
from netsim.lazy import torch
from netsim.workload.base import Gradients
from netsim.workload.trace_header import Origin, TraceFacts, TraceHeader, digest, encode, read_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["Origin", "TraceFacts", "TraceGradients", "TraceHeader", "check_writable", "open_trace", "read_header"]
__all__ += ["write_trace"]


class TraceGradients(Gradients):
    """An open trace: gradients are read from the file when asked for, and compared with their digests once."""

    synthetic = False

    def __init__(self, header: TraceHeader) -> None:
        self.header = header
        self.label = Path(header.path).stem
        self.trace_id = header.trace_id
        self.device = header.origin.device
        self.tensors = header.tensors
        self.timing = header.timing
        self.num_steps = len(header.steps)
        self.num_workers = header.num_workers
        self._verified: set[int] = set()

    def read(self, step: int, worker: int, first: int, last: int) -> Sequence[torch.Tensor]:
        """Return the float32 gradients of tensors first..last-1; `step` counts captured steps from 0.

        Raises:
            TraceError: the file has changed since it was opened, or a gradient is damaged.
        """
        inside = 0 <= step < self.num_steps and 0 <= worker < self.num_workers
        if not inside or not 0 <= first <= last <= len(self.tensors):
            raise IndexError(f"step {step}, worker {worker} or tensors {first} to {last} are outside the trace")
        begin = (step * self.num_workers + worker) * len(self.tensors)
        return [
            torch.from_numpy(self._values(begin + index)).reshape(self.tensors[index].shape)
            for index in range(first, last)
        ]

    def _values(self, entry: int) -> NDArray[np.float32]:
        numel = self.tensors[entry % len(self.tensors)].numel
        path, offset = self.header.path, self.header.offsets[entry]
        try:
            values: NDArray[np.float32] = np.fromfile(path, np.dtype("<f4"), numel, offset=offset)
        except OSError as error:
            raise TraceError(f"trace {path!r} cannot be read: {error}", "was it removed meanwhile?") from None
        if len(values) != numel or (entry not in self._verified and digest(values.data) != self.header.digests[entry]):
            name = self.tensors[entry % len(self.tensors)].name
            raise TraceError(f"trace {path!r} is damaged: gradient of {name!r}", "capture or copy it again")
        self._verified.add(entry)
        return values


def open_trace(path: str | Path) -> TraceGradients:
    """Return the gradients of a trace file, read lazily; raise TraceError as `read_header` does."""
    return TraceGradients(read_header(path))


def check_writable(path: str | Path) -> None:
    """Raise TraceError where no trace can be written at `path`, before hours are spent on its content."""
    target, folder = Path(path), Path(path).absolute().parent
    # A trace replaces what is there, which must not be a folder or a device.
    if (target.exists() and not target.is_file()) or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise TraceError(f"a trace cannot be written at {str(path)!r}", "name a file in a writable folder that exists")


def write_trace(path: str | Path, facts: TraceFacts, gradients: Iterable[torch.Tensor]) -> None:
    """Write a trace file; `path` either holds all of it afterwards or is what it was before.

    Args:
        path: the file; replaced if it exists.
        facts: all but the gradients.
        gradients: by step, then worker, then backward order; converted to float32 on the CPU, which is exact for
            float32, bfloat16 and float16.

    Raises:
        TraceError: the file cannot be written there.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    check_writable(path)
    named: dict[str, torch.Tensor] = {}
    for (key, tensor), gradient in zip(facts.entries(), gradients, strict=True):
        if tuple(gradient.shape) != tensor.shape:
            raise ValueError(f"gradient {key!r} has shape {tuple(gradient.shape)}, its tensor {tensor.shape}")
        # A copy of its own: safetensors refuses tensors that share memory.
        named[key] = gradient.detach().to("cpu", torch.float32, copy=True).contiguous()
    digests = tuple(digest(gradient.numpy().reshape(-1).data) for gradient in named.values())
    target = Path(path).absolute()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    try:
        save_file(named, temporary, encode(facts, digests))
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except (OSError, SafetensorError) as error:
        raise TraceError(f"a trace cannot be written at {str(path)!r}: {error}", "free or name another place") from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
