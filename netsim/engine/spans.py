"""What workers did when. A device does one thing at a time: what came first is split where something else came in."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

SPAN_WORKERS = 64
"""Workers whose spans are kept: a timeline of more cannot be read."""
READY = "encode what is ready"
"""What a device notes of encoding in its turn, which what is due at once interrupts; it is told as `encode`."""
_ROUNDING = 1e-12
"""Relative to the second: what is no longer than this is none."""

Interval = tuple[float, float]


class Span(NamedTuple):
    """Something one worker did: `what` from `start_s` to `end_s`, for a bucket (-1 for none)."""

    worker: int
    what: str
    bucket: int
    start_s: float
    end_s: float


def spans_of(
    workers: NDArray[np.int64], what: str, bucket: int, start_s: NDArray[np.float64], end_s: NDArray[np.float64]
) -> list[Span]:
    """Return the spans of those of the workers [K] whose are kept."""
    kept = workers < SPAN_WORKERS
    rows = zip(workers[kept].tolist(), start_s[kept].tolist(), end_s[kept].tolist(), strict=True)
    return [Span(worker, what, bucket, start, end) for worker, start, end in rows]


def as_done(noted: Iterable[Span]) -> list[Span]:
    """Return what devices did, none of it at the same time, from what they noted; each kind adds up to its seconds.

    A device that is down does nothing; what is due at once goes before encoding what is ready, and that before passes
    and updates. Coding, and the update of a bucket, are noted by their end and as long as they take undisturbed; all
    else from its begin to its end.
    """
    of_worker: dict[int, list[list[Span]]] = defaultdict(lambda: [[] for _ in _ORDER])
    for one in noted:
        of_worker[one.worker][_turn(one)].append(one)
    return [one for worker in sorted(of_worker) for one in sorted(_of_device(of_worker[worker]), key=itemgetter(3))]


_ORDER = _DOWN, _AT_ONCE, _READY, _PASSES, _NETWORK = range(5)
"""What goes before what on a device, and what is none of its business."""
_TURNS = {"down": _DOWN, "encode": _AT_ONCE, "decode": _AT_ONCE, READY: _READY, "communicate": _NETWORK}


def _turn(span: Span) -> int:
    update_of_bucket = span.what == "optimizer" and span.bucket >= 0
    return _AT_ONCE if update_of_bucket else _TURNS.get(span.what, _PASSES)


def _of_device(noted: list[list[Span]]) -> list[Span]:
    """Return what one device did, given what it noted by its turn."""
    taken, done = _Taken(), noted[_NETWORK]
    for turn in (_DOWN, _AT_ONCE, _READY, _PASSES):
        take = taken.before if turn in (_AT_ONCE, _READY) else taken.between
        for worker, what, bucket, *times in sorted(noted[turn], key=itemgetter(4)):
            told = "encode" if what == READY else what
            done += [Span(worker, told, bucket, *one) for one in take(*times)]
    return done


class _Taken:
    """The time in which a device has been busy, or down: intervals in order that do not overlap."""

    def __init__(self) -> None:
        self._starts: list[float] = []
        self._ends: list[float] = []

    def before(self, start_s: float, end_s: float) -> list[Interval]:
        """Take the last so many seconds before an end that are free."""
        left_s, found, rounding_s = end_s - start_s, [], _ROUNDING * abs(end_s)
        place = bisect_left(self._starts, end_s) - 1
        while left_s > rounding_s:
            free_s = self._ends[place] if place >= 0 else -float("inf")
            if end_s - free_s > rounding_s:
                found.append((max(free_s, end_s - left_s), end_s))
                left_s -= end_s - found[-1][0]
            end_s = self._starts[place] if place >= 0 else end_s
            place -= 1
        return self._take(found[::-1])

    def between(self, start_s: float, end_s: float) -> list[Interval]:
        """Take all that is free from a second to another."""
        found, rounding_s = [], _ROUNDING * abs(end_s)
        place = bisect_left(self._ends, start_s)
        at_s = start_s
        while at_s < end_s:
            until_s = self._starts[place] if place < len(self._starts) else end_s
            if min(until_s, end_s) - at_s > rounding_s:
                found.append((at_s, min(until_s, end_s)))
            at_s = self._ends[place] if place < len(self._ends) else end_s
            place += 1
        return self._take(found)

    def _take(self, intervals: list[Interval]) -> list[Interval]:
        for start_s, end_s in intervals:
            place = bisect_left(self._starts, start_s)
            self._starts.insert(place, start_s)
            self._ends.insert(place, end_s)
        return intervals
