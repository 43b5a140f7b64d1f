"""When workers' devices work: their seconds of work take longer where they are down in between."""

from __future__ import annotations

from bisect import bisect_right
from heapq import merge
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

Down = tuple[float, float]
"""The seconds from which and until which a device is down."""


class Devices:
    """The devices of workers, by their place: which are ever down, and when."""

    def __init__(self, count: int) -> None:
        self._coming: dict[int, Iterator[Down]] = {}
        self._down: dict[int, list[Down]] = {}
        self._next: dict[int, Down | None] = {}
        self.count = count

    def add(self, worker: int, down: Iterable[Down]) -> None:
        """Let a worker be down at intervals that begin one after another; those of several calls may overlap."""
        before, first = self._coming.get(worker, iter(())), self._next.get(worker)
        self._coming[worker] = merge(before if first is None else chain([first], before), down)
        self._down[worker], self._next[worker] = [], next(self._coming[worker], None)

    def after(
        self, workers: NDArray[np.int64], start_s: NDArray[np.float64], work_s: NDArray[np.float64] | float
    ) -> NDArray[np.float64]:
        """Return [..., K] when workers [K] are through with seconds of work that they take up at `start_s`."""
        end_s = np.asarray(start_s + work_s)
        if not self._coming:
            return end_s
        for place in [place for place, worker in enumerate(workers.tolist()) if worker in self._coming]:
            column = end_s[..., place]
            starts = np.broadcast_to(start_s, end_s.shape)[..., place]
            end_s[..., place] = np.reshape(
                [self._through(int(workers[place]), *one) for one in zip(starts.ravel(), column.ravel(), strict=True)],
                column.shape,
            )
        return end_s

    def lasts_s(self, worker: int, start_s: float, work_s: float) -> float:
        """Return the seconds that work taken up at `start_s` lasts, those included in which the worker is down."""
        if worker not in self._coming:
            return work_s
        return self._through(worker, start_s, start_s + work_s) - start_s

    def down_s(self, begin_s: float, end_s: float) -> NDArray[np.float64]:
        """Return [n] the seconds for which each worker was down in an interval."""
        found = np.zeros(self.count)
        for worker in self._coming:
            found[worker] = sum(up_s - down_s for down_s, up_s in self.between(worker, begin_s, end_s))
        return found

    def between(self, worker: int, begin_s: float, end_s: float) -> list[Down]:
        """Return when a worker is down in an interval."""
        if worker not in self._coming:
            return []
        cut = [(max(down_s, begin_s), min(up_s, end_s)) for down_s, up_s in self._until(worker, end_s, begin_s)]
        return [(down_s, up_s) for down_s, up_s in cut if down_s < up_s]

    def up_s(self, now_s: float) -> float:
        """Return the second at which all that are down now will be up, or now."""
        down = [one for worker in self._coming for one in self._until(worker, now_s, now_s)]
        return max((up_s for down_s, up_s in down if down_s <= now_s < up_s), default=now_s)

    def _through(self, worker: int, start_s: float, end_s: float) -> float:
        """Return when work ends that would be done from `start_s` to `end_s` by a device that is never down."""
        place = 0
        while True:
            known = self._until(worker, end_s, start_s)
            if place == len(known):
                return end_s
            down_s, up_s = known[place]
            place += 1
            if down_s < end_s:
                end_s += up_s - max(down_s, start_s)

    def _until(self, worker: int, time_s: float, since_s: float) -> list[Down]:
        """Return the intervals, joined where they overlap, that begin up to some time and end after another."""
        down = self._down[worker]
        while (coming := self._next[worker]) and coming[0] <= max(time_s, down[-1][1] if down else time_s):
            if down and coming[0] <= down[-1][1]:
                down[-1] = (down[-1][0], max(down[-1][1], coming[1]))
            else:
                down.append(coming)
            self._next[worker] = next(self._coming[worker], None)
        first, last = bisect_right(down, since_s, key=itemgetter(1)), bisect_right(down, time_s, key=itemgetter(0))
        return down[first:last]
