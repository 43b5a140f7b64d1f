"""When something fails and how long it stays so: once, again and again, or at random."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from netsim.conditions.base import Condition
from netsim.errors import InputError
from netsim.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from netsim.conditions.devices import Down


@dataclass(frozen=True, kw_only=True)
class Outage(Condition):
    """What all failures have in common.

    The first comes `at` a second and lasts for `duration`; `every` so often it comes again. With `mean_time_between`
    failures come at random instead, exponentially distributed from one's end to the next one's begin.
    """

    at: Seconds | None = None
    duration: Annotated[Seconds, Gt(0)]
    every: Annotated[Seconds, Gt(0)] | None = None
    mean_time_between: Annotated[Seconds, Gt(0)] | None = None

    def __post_init__(self) -> None:
        """Raise InputError where it is not clear when it fails."""
        if (self.at is None) == (self.mean_time_between is None):
            remedy = "give `at: 10 s` for a failure at a second, or `mean_time_between: 1 h` for failures at random"
            raise InputError("it does not say when it fails, or says it twice", remedy, "at")
        if self.every is not None and (self.at is None or self.every <= self.duration):
            raise InputError(
                "failures that come `every` so often need the first one's `at`, and must be over before the next",
                "give `at`, and a longer `every`",
                "every",
            )

    def times(self, rng: np.random.Generator) -> Iterator[Down]:
        """Yield the seconds from which and until which it has failed."""
        if self.mean_time_between is not None:
            now_s = 0.0
            while True:
                now_s += rng.exponential(self.mean_time_between)
                yield now_s, now_s + self.duration
                now_s += self.duration
        assert self.at is not None
        for number in count() if self.every is not None else (0,):
            begin_s = self.at + number * (self.every or 0.0)
            yield begin_s, begin_s + self.duration
