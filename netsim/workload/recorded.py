"""Replay of a trace: the gradients of real training, at the times they really took."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from netsim.registry import FileField
from netsim.workload.base import Timing, Workload, workloads
from netsim.workload.trace import open_trace, read_header

if TYPE_CHECKING:
    from netsim.workload.base import Gradients


def faster(timing: Timing, speed: float) -> Timing:
    """Return the times on a device that computes `speed` times as fast."""
    return replace(
        timing,
        forward_s=timing.forward_s / speed,
        backward_s=timing.backward_s / speed,
        optimizer_s=timing.optimizer_s / speed,
        ready_s=tuple(time_s / speed for time_s in timing.ready_s),
    )


@workloads.register("recorded")
@dataclass(frozen=True, kw_only=True)
class Recorded(Workload):
    """Gradients and times of a trace file.

    `speed` is how many times faster than the measured device the simulated one computes: all times are divided by it,
    the gradients stay. Says nothing about a device on which forward and backward scale differently.
    """

    trace: Annotated[str, FileField(("traces",), ".trace")]
    speed: Annotated[float, Gt(0)] = 1.0

    def check(self) -> None:
        """Raise TraceError where the trace cannot be used; reads its header only."""
        read_header(self.trace)

    def open(self) -> Gradients:
        """Return the open trace, its times divided by `speed`."""
        gradients = open_trace(self.trace)
        gradients.timing = faster(gradients.timing, self.speed)
        return gradients
