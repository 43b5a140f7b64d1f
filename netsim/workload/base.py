"""What a workload is: gradients per worker and step, and the seconds its computation takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netsim.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


@dataclass(frozen=True)
class Tensor:
    """One parameter: its name and its shape."""

    name: str
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        """Return the number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True)
class Timing:
    """Seconds of one micro-batch on the device it was measured on.

    `ready_s[i]` is when the gradient of tensor i (backward order) is complete, counted from the start of the backward
    pass; it never falls. `backward_s` is when the whole pass is over.
    """

    forward_s: float
    backward_s: float
    optimizer_s: float
    ready_s: tuple[float, ...]


class Gradients(ABC):
    """A workload that has been opened: what the engine asks of it. Tensors are in backward order throughout."""

    label: str
    """What the result calls it; says so where gradients are filled from another model's."""
    trace_id: str
    """Content hash of the trace the gradients come from."""
    device: str
    """The device that the timing was measured on."""
    synthetic: bool
    """Whether gradients are filled from another model's trace."""
    tensors: tuple[Tensor, ...]
    timing: Timing
    num_steps: int
    """Captured steps."""
    num_workers: int
    """Captured workers."""

    @abstractmethod
    def read(self, step: int, worker: int, first: int, last: int) -> Sequence[torch.Tensor]:
        """Return the float32 gradients of tensors first..last-1 of a captured step and worker, on the CPU."""


class Workload(ABC):
    """A registered workload: its fields are its YAML keys."""

    kind: ClassVar[str]
    paper: ClassVar[str]

    @abstractmethod
    def check(self) -> None:
        """Raise InputError or TraceError where the workload cannot be opened; reads headers only, never torch."""

    @abstractmethod
    def open(self) -> Gradients:
        """Return the workload, ready to be read."""


workloads: Registry[Workload] = Registry("workload")
