"""What a trace file says about itself, read and checked without torch.

A trace is a safetensors file. Its `__metadata__` holds `format` (`netsim-trace/1`) and, each as JSON text, `tensors`
([name, shape] in backward order), `timing`, `steps`, `workers`, `losses` ([step][worker], null where unknown), `origin`
and `digests` (SHA-256 of every gradient, cut to 64 bits). Gradients are float32 under the key `step/worker/name`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from netsim.errors import TraceError
from netsim.workload.base import Tensor, Timing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT, VERSION = "netsim-trace", 1
_LARGEST_HEADER_BYTES = 100_000_000
_AGAIN = "capture or copy it again"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a trace comes from: task, device and its driver, software, type of the parameters, threads on the CPU."""

    task: str
    device: str
    driver: str
    torch: str
    netsim: str
    python: str
    dtype: str
    date: str
    batch: int
    """Samples of one worker's micro-batch."""
    threads: int
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class TraceFacts:
    """Everything a trace holds besides the gradients. Tensors are in backward order."""

    tensors: tuple[Tensor, ...]
    timing: Timing
    steps: tuple[int, ...]
    """Optimizer steps that were done before each capture."""
    num_workers: int
    losses: tuple[tuple[float | None, ...], ...]
    """[step][worker]; None where unknown or not finite."""
    origin: Origin

    def __post_init__(self) -> None:
        count, ready_s = len(self.tensors), self.timing.ready_s
        seconds = (self.timing.forward_s, self.timing.backward_s, self.timing.optimizer_s, *ready_s)
        _require(any(tensor.numel for tensor in self.tensors), "it holds no values")
        _require(len({tensor.name for tensor in self.tensors}) == count, "two tensors have the same name")
        _require(len(ready_s) == count, "its ready times and its tensors differ in number")
        _require(all(math.isfinite(value) and value >= 0 for value in seconds), "a time is negative or not finite")
        _require(all(a <= b for a, b in pairwise((*ready_s, self.timing.backward_s))), "its ready times fall")
        _require(bool(self.steps) and self.steps[0] >= 0, "it has no step, or a negative one")
        _require(all(a < b for a, b in pairwise(self.steps)), "its steps do not rise")
        _require(self.num_workers > 0, "it has no worker")
        shape = [self.num_workers] * len(self.steps)
        _require([len(row) for row in self.losses] == shape, "its losses do not fit its steps and workers")

    def entries(self) -> Iterator[tuple[str, Tensor]]:
        """Yield key and tensor of every gradient: by step, then worker, then backward order."""
        for step in self.steps:
            for worker in range(self.num_workers):
                for tensor in self.tensors:
                    yield f"{step}/{worker}/{tensor.name}", tensor


@dataclass(frozen=True, kw_only=True)
class TraceHeader(TraceFacts):
    """A checked header: the facts, the file, and where each gradient lies in it (order of `entries`)."""

    path: str
    trace_id: str
    """SHA-256 of the metadata, which hold the digests of all gradients; 12 hexadecimal digits."""
    offsets: tuple[int, ...]
    """Byte in the file at which each gradient begins."""
    digests: tuple[str, ...]


def digest(data: memoryview | bytes) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()[:16]


def encode(facts: TraceFacts, digests: tuple[str, ...]) -> dict[str, str]:
    """Return the metadata of a trace file."""
    values = {
        "tensors": [[tensor.name, tensor.shape] for tensor in facts.tensors],
        "timing": asdict(facts.timing),
        "steps": facts.steps,
        "workers": facts.num_workers,
        "losses": [[loss if _finite(loss) else None for loss in row] for row in facts.losses],
        "origin": asdict(facts.origin),
        "digests": digests,
    }
    return {"format": f"{FORMAT}/{VERSION}"} | {key: json.dumps(value) for key, value in values.items()}


def read_header(path: str | Path) -> TraceHeader:
    """Return the checked header of a trace file.

    Raises:
        TraceError: the file is missing, empty, truncated, damaged, foreign or of a newer version.
    """
    try:
        with open(path, "rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            start = file.read(8)
            length = int.from_bytes(start, "little")
            _require(size_bytes > 0, "it is empty")
            _require(len(start) == 8 and length <= _LARGEST_HEADER_BYTES, "it is no safetensors file")
            _require(8 + length <= size_bytes, "it is truncated")
            text = file.read(length)
        return _decode(os.fspath(path), text, size_bytes)
    except FileNotFoundError:
        remedy = "'netsim list traces' names those at hand, 'netsim capture' records one"
        raise TraceError(f"there is no trace {str(path)!r}", remedy) from None
    except OSError as error:
        raise TraceError(f"trace {str(path)!r} cannot be read: {error.strerror}", "make it a readable file") from None
    except KeyError as error:
        raise TraceError(f"trace {str(path)!r} is damaged: it lacks {error}", _AGAIN) from None
    except _NewerVersion as error:
        raise TraceError(f"trace {str(path)!r} has format {error}, newer than {VERSION}", "upgrade netsim") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise TraceError(f"trace {str(path)!r} is damaged or not a trace: {error}", _AGAIN) from None


class _NewerVersion(Exception):
    pass


def _decode(path: str, text: bytes, size_bytes: int) -> TraceHeader:
    _require(text[:1] == b"{", "it is no safetensors file")
    entries = json.loads(text)
    metadata = entries.pop("__metadata__", None)
    _require(isinstance(metadata, dict) and "format" in metadata, "it is a safetensors file of something else")
    name, _, version = str(metadata["format"]).partition("/")
    _require(name == FORMAT and version.isdecimal(), "it is a safetensors file of something else")
    if int(version) > VERSION:
        raise _NewerVersion(version)
    values = {key: json.loads(value) for key, value in metadata.items() if key != "format"}
    facts = _facts(values)
    offsets = _offsets(facts, entries, 8 + len(text), size_bytes)
    digests = tuple(_text(value) for value in values["digests"])
    _require(len(digests) == len(offsets), "its digests and gradients differ in number")
    parts = {field.name: getattr(facts, field.name) for field in fields(TraceFacts)}
    # safetensors writes metadata in any order.
    trace_id = digest(json.dumps(metadata, sort_keys=True).encode())[:12]
    return TraceHeader(path=path, trace_id=trace_id, offsets=offsets, digests=digests, **parts)


def _facts(values: dict[str, Any]) -> TraceFacts:
    timing = dict(values["timing"])
    return TraceFacts(
        tensors=tuple(Tensor(_text(name), tuple(map(_count, shape))) for name, shape in values["tensors"]),
        timing=Timing(
            **{key: _number(timing[key]) for key in ("forward_s", "backward_s", "optimizer_s")},
            ready_s=tuple(map(_number, timing["ready_s"])),
        ),
        steps=tuple(map(_count, values["steps"])),
        num_workers=_count(values["workers"]),
        losses=tuple(tuple(None if one is None else _number(one) for one in row) for row in values["losses"]),
        origin=_origin(dict(values["origin"])),
    )


def _origin(values: dict[str, Any]) -> Origin:
    checked: dict[str, Any] = {}
    for field in fields(Origin):
        value = values[field.name]
        if field.name == "seed" and value is None:
            checked[field.name] = None
        else:
            checked[field.name] = _count(value) if field.name in {"batch", "threads", "seed"} else _text(value)
    return Origin(**checked)


def _offsets(facts: TraceFacts, entries: dict[str, Any], start: int, size_bytes: int) -> tuple[int, ...]:
    offsets, end_bytes = [], start
    for key, tensor in facts.entries():
        entry = entries.pop(key)
        first, last = map(_count, entry["data_offsets"])
        _require(entry["dtype"] == "F32", f"gradient {key!r} is not float32")
        _require(tuple(entry["shape"]) == tensor.shape, f"gradient {key!r} has another shape than its tensor")
        _require(last - first == 4 * tensor.numel, f"gradient {key!r} has another size than its shape says")
        offsets.append(start + first)
        end_bytes = max(end_bytes, start + last)
    _require(not entries, f"it holds something unknown: {next(iter(entries), '')!r}")
    _require(end_bytes <= size_bytes, f"it is truncated: {size_bytes} of {end_bytes} bytes are left")
    total_bytes = start + sum(4 * tensor.numel for _, tensor in facts.entries())
    _require(total_bytes == size_bytes, f"it has {size_bytes} bytes, its gradients and header {total_bytes}")
    return tuple(offsets)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(problem)


def _text(value: object) -> str:
    _require(isinstance(value, str), f"{value!r} is no text")
    return str(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
