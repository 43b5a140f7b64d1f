"""Times of forward and backward passes, and of each gradient within the backward pass, by hooks on the parameters."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.workload.base import Timing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from netsim.workload.device import Clock

WARM_UP_PASSES = 5
"""Passes left out of the medians, where there are more: caches, allocators and clocks settle in them."""


class Stopwatch:
    """Measures passes of one model; every duration is the median over all passes after the warm-up.

    A gradient is ready when autograd has accumulated it, which is when DistributedDataParallel would put it into its
    bucket. Use as a context manager: the hooks exist inside only.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], clock: Clock) -> None:
        self.parameters = parameters
        self.clock = clock
        self.passes: list[tuple[float, float, NDArray[np.float64]]] = []
        """(forward_s, backward_s, ready_s [parameters], NaN where there was no gradient) of each pass."""
        self.optimizer_s: list[float] = []
        self._marks: dict[str | int, Any] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Stopwatch:
        for index, parameter in enumerate(self.parameters):
            hook = parameter.register_post_accumulate_grad_hook(partial(self._ready, index))  # type: ignore[no-untyped-call]
            self._hooks.append(hook)
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _ready(self, index: int, _: torch.Tensor) -> None:
        if "backward" not in self._marks:
            self.mark("backward")
        self.mark(index)

    def mark(self, moment: str | int) -> None:
        """Mark `forward`, `forward_end`, `backward`, `backward_end`, `optimizer`, `optimizer_end`, or a gradient."""
        self._marks[moment] = self.clock.mark()

    def marked(self, moment: str | int) -> bool:
        """Return whether the pass under way has reached a moment."""
        return moment in self._marks

    def end_pass(self) -> None:
        """Add a pass; its backward ends at `backward_end`, or at its last gradient where that is not marked."""
        marks, self._marks = self._marks, {}
        self.clock.settle()
        start = marks["backward"]
        ready_s = np.full(len(self.parameters), np.nan)
        for index in range(len(self.parameters)):
            if index in marks:
                ready_s[index] = max(0.0, self.clock.seconds(start, marks[index]))
        end_s = self.clock.seconds(start, marks["backward_end"]) if "backward_end" in marks else 0.0
        backward_s = float(max(end_s, np.nanmax(ready_s, initial=0.0)))
        self.passes.append((self.clock.seconds(marks["forward"], marks["forward_end"]), backward_s, ready_s))

    def end_optimizer(self) -> None:
        """Add an optimizer step."""
        marks, self._marks = self._marks, {}
        self.clock.settle()
        self.optimizer_s.append(self.clock.seconds(marks["optimizer"], marks["optimizer_end"]))

    def never_ready(self) -> list[int]:
        """Return the parameters that no pass gave a gradient."""
        seen = np.zeros(len(self.parameters), dtype=bool)
        for _, _, ready_s in self.passes:
            seen |= ~np.isnan(ready_s)
        return [int(index) for index in np.flatnonzero(~seen)]

    def timing(self) -> tuple[list[int], Timing]:
        """Return the parameters in backward order, and the medians in that order.

        Backward order is the order of the median ready times, so these never fall. A parameter without a gradient in
        any timed pass counts as ready when the backward pass ends. Needs at least one pass and one optimizer step.
        """
        timed = self.passes[WARM_UP_PASSES:] or self.passes
        backward_s = float(np.median([one[1] for one in timed]))
        ready = np.stack([one[2] for one in timed])
        silent = np.isnan(ready).all(axis=0)
        median_s = np.full(len(self.parameters), backward_s)
        median_s[~silent] = np.nanmedian(ready[:, ~silent], axis=0)
        order = [int(index) for index in np.argsort(median_s, kind="stable")]
        ready_s = tuple(_nanoseconds(median_s[index]) for index in order)
        return order, Timing(
            forward_s=_nanoseconds(np.median([one[0] for one in timed])),
            backward_s=max(_nanoseconds(backward_s), ready_s[-1]),
            # The first step of an optimizer allocates its state.
            optimizer_s=_nanoseconds(np.median(self.optimizer_s[1:] or self.optimizer_s)),
            ready_s=ready_s,
        )


def _nanoseconds(value_s: float | np.floating[Any]) -> float:
    return round(float(value_s), 9)
