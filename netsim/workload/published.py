"""Jobs of well-known models: published tensor sizes and seconds, filled with captured gradients.

The tables in `models/` hold, in backward order, every tensor's name, shape and the microseconds between it and the
tensor before it becoming ready, with the device and the source. Most are measured on a V100 (Wang et al. 2023,
Espresso, EuroSys), which gives numbers of elements; shapes are those of the architectures. BERT's vocabulary is padded
to 30,528. VGG-19, ResNet-152 and ViT-B/16 have no such measurement: their forward and backward pass of 32 images takes
what published samples/s of training on an RTX 3090 say (Wightman, pytorch-image-models, mixed precision, PyTorch 1.12),
and each tensor's gap is its layer's share of the backward pass's multiplications. What no source gives is assumed:

- the first gradient is ready when the backward pass begins, and the pass ends with the last gradient;
- the forward pass takes half as long as the backward pass, which has two products for each of the forward pass;
- the optimizer is bound by memory traffic at the device's data sheet rate, in float32: SGD with momentum moves 5 words
  an element (weight, gradient and momentum read, two written), Adam 7.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Lt

from netsim.errors import InputError, closest
from netsim.lazy import torch
from netsim.registry import FileField
from netsim.workload.base import Gradients, Tensor, Timing, Workload, workloads
from netsim.workload.recorded import faster
from netsim.workload.trace import open_trace, read_header

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMORY_BYTES_PER_S = {"V100": 900e9, "RTX 3090": 936e9}
"""Of V100-SXM2 and GeForce RTX 3090, as their data sheets say."""
_WORDS_PER_ELEMENT = {"sgd_momentum": 5, "adam": 7}
_KEPT_BYTES = 2**27
"""Captured gradients that are kept, so that they are read once: of small models, those of every step and worker."""
_MODELS = Path(__file__).parent / "models"


def model_names() -> list[str]:
    """Return the names of the published models."""
    return sorted(file.stem for file in _MODELS.glob("*.json"))


@dataclass(frozen=True)
class PublishedModel:
    """One model of the tables: tensors in backward order and the times of one micro-batch."""

    title: str
    device: str
    source: str
    tensors: tuple[Tensor, ...]
    timing: Timing


def load_model(name: str) -> PublishedModel:
    """Return a published model; raise InputError naming the nearest ones."""
    if name not in model_names():
        raise InputError(f"unknown model {name!r}", closest(name, model_names()), "model")
    table: dict[str, Any] = json.loads((_MODELS / f"{name}.json").read_text(encoding="utf-8"))
    tensors = tuple(Tensor(tensor, tuple(shape)) for tensor, shape, _ in table["tensors"])
    ready_s = tuple(us * 1e-6 for us in accumulate(gap_us for _, _, gap_us in table["tensors"]))
    words = _WORDS_PER_ELEMENT[table["optimizer"]] * sum(tensor.numel for tensor in tensors)
    timing = Timing(
        forward_s=ready_s[-1] / 2,
        backward_s=ready_s[-1],
        optimizer_s=4 * words / MEMORY_BYTES_PER_S[table["device"]],
        ready_s=ready_s,
    )
    return PublishedModel(table["title"], table["device"], table["source"], tensors, timing)


class FilledGradients(Gradients):
    """Gradients of one model's shapes, filled with the captured values of another.

    Every tensor takes values of the same worker and step: one-dimensional tensors from the captured one-dimensional
    ones, all others from the others, joined in backward order, not scaled, repeated cyclically from an offset that
    depends on the tensor alone. So workers agree as much as the captured ones do, and values keep their distribution;
    low rank and sparse rows are those of the captured shapes cut anew, so what they give is only an indication.

    The share `pruned` of the elements of all other tensors is zero, drawn evenly and independently for each tensor: at
    the same places for every worker and step. Which weights a real network would lose is not known without them.
    """

    synthetic = True

    def __init__(self, model: PublishedModel, captured: Gradients, pruned: float = 0.0) -> None:
        self.captured, self.pruned = captured, pruned
        zeros = f", {pruned:.0%} pruned at random" if pruned else ""
        self.label = f"{model.title} ({model.device} timing; gradients filled from {captured.label}{zeros})"
        self.trace_id = captured.trace_id
        self.device = model.device
        self.tensors = model.tensors
        self.timing = model.timing
        self.num_steps = captured.num_steps
        self.num_workers = captured.num_workers
        # Two kinds for each of a few workers at least: steps are read bucket by bucket, worker by worker.
        of_worker = 4 * max(sum(tensor.numel for tensor in captured.tensors), 1)
        self._pool = lru_cache(maxsize=2 * max(8, _KEPT_BYTES // of_worker))(self._read_pool)
        self._mask = lru_cache(maxsize=None)(self._draw_mask)

    def read(self, step: int, worker: int, first: int, last: int) -> Sequence[torch.Tensor]:
        """Return the filled float32 gradients of tensors first..last-1."""
        return [self._fill(step, worker, index) for index in range(first, last)]

    def _fill(self, step: int, worker: int, index: int) -> torch.Tensor:
        tensor = self.tensors[index]
        pool = self._pool(step, worker, len(tensor.shape) == 1)
        # Multiples of the golden ratio spread the offsets evenly over the pool.
        offset = int(len(pool) * (index * 0.6180339887498949 % 1.0))
        times = -(-(offset + tensor.numel) // len(pool))
        repeated = pool.repeat(times) if times > 1 else pool
        filled = repeated[offset : offset + tensor.numel].reshape(tensor.shape)
        return filled.masked_fill(self._mask(index), 0) if self.pruned and len(tensor.shape) > 1 else filled

    def _draw_mask(self, index: int) -> torch.Tensor:
        """Return which elements of a tensor are pruned; drawn for it alone, so that none repeats another's."""
        shape = self.tensors[index].shape
        return torch.rand(shape, generator=torch.Generator().manual_seed(index)) < self.pruned

    def _read_pool(self, step: int, worker: int, vectors: bool) -> torch.Tensor:
        tensors = self.captured.tensors
        wanted = [index for index, tensor in enumerate(tensors) if (len(tensor.shape) == 1) == vectors]
        # A trace of one kind only fills both.
        indices = wanted if any(tensors[index].numel for index in wanted) else range(len(tensors))
        return torch.cat([self.captured.read(step, worker, i, i + 1)[0].reshape(-1) for i in indices])


@workloads.register("published", paper="Wang et al. 2023, Espresso (EuroSys); Wightman, pytorch-image-models")
@dataclass(frozen=True, kw_only=True)
class Published(Workload):
    """Sizes and seconds of a well-known model on a published device; gradients filled with a trace's.

    Forward time is assumed to be half the backward time, optimizer time bound by memory traffic. Gradients are cyclic
    repetitions of the trace's values, unscaled. `pruned` sets this share of the elements of all tensors of two or more
    dimensions to zero, at random places that are the same for every worker and step: a stand-in for the gradients of a
    pruned network. `speed` is how many times faster than the model's device (a V100; an RTX 3090 for vgg19, resnet152
    and vit-b-16) the simulated one computes.
    """

    model: str
    gradients: Annotated[str, FileField(("traces",), ".trace")] = "resnet20-digits"
    speed: Annotated[float, Gt(0)] = 1.0
    pruned: Annotated[float, Ge(0), Lt(1)] = 0.0

    def check(self) -> None:
        """Raise InputError where the model is unknown, TraceError where the trace cannot be used."""
        load_model(self.model)
        read_header(self.gradients)

    def open(self) -> Gradients:
        """Return the model's tensors and times, filled with the trace's gradients."""
        gradients = FilledGradients(load_model(self.model), open_trace(self.gradients), self.pruned)
        gradients.timing = faster(gradients.timing, self.speed)
        return gradients
