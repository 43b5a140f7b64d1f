"""Transfers as a fluid: each holds all links of its route at the max-min fair rate until its last byte. No SimPy here.

Two questions only: when is the next completion, and, now that time has moved, what has completed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netsim.network.fairshare import max_min_rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_INSTANT = 1e-12
"""Completions closer than this, relative to the time, are one event; it hides rounding only."""


class Fluid:
    """The active transfers, as rows of arrays. A transfer is known to its owner by a row of integers, its tag."""

    def __init__(self, capacity_bytes_per_s: NDArray[np.float64], tag_size: int) -> None:
        self.capacity = capacity_bytes_per_s
        self.now_s = 0.0
        self.solves = 0
        self._tags = np.zeros((0, tag_size), dtype=np.int64)
        self._left_bytes = np.zeros(0)
        self._rate = np.zeros(0)
        self._finish_s = np.zeros(0)
        self._flow_of = np.zeros(0, dtype=np.int64)
        self._link_of = np.zeros(0, dtype=np.int64)
        self._stale = False

    def __len__(self) -> int:
        return len(self._tags)

    def add(
        self, tags: NDArray[np.int64], start: NDArray[np.int64], links: NDArray[np.int64], nbytes: NDArray[np.float64]
    ) -> None:
        """Let transfers [F] begin now, over the CSR routes `links[start[f]:start[f + 1]]`."""
        flows = np.repeat(np.arange(len(tags)), np.diff(start)) + len(self._tags)
        self._tags = np.concatenate([self._tags, tags])
        self._left_bytes = np.concatenate([self._left_bytes, nbytes])
        self._rate = np.concatenate([self._rate, np.zeros(len(tags))])
        self._finish_s = np.concatenate([self._finish_s, np.full(len(tags), np.inf)])
        self._flow_of = np.concatenate([self._flow_of, flows])
        self._link_of = np.concatenate([self._link_of, links])
        self._stale = True

    def next_completion_s(self) -> float:
        """Return when the next transfer completes; infinity if there is none."""
        if self._stale:
            self._solve()
        return float(self._finish_s.min()) if len(self) else float("inf")

    def advance_to(self, now_s: float) -> NDArray[np.int64]:
        """Move time on to `now_s` (not past the next completion) and return the tags [K, tag] of what completed."""
        if self._stale:
            self._solve()
        self._left_bytes = np.maximum(self._left_bytes - self._rate * (now_s - self.now_s), 0.0)
        self.now_s = now_s
        done = self._finish_s <= now_s + SAME_INSTANT * abs(now_s)
        if not done.any():
            return self._tags[:0]
        completed = self._tags[done]
        self._drop(done)
        return completed

    def _drop(self, done: NDArray[np.bool_]) -> None:
        keep = ~done
        place = np.cumsum(keep) - 1
        pairs = keep[self._flow_of]
        self._flow_of, self._link_of = place[self._flow_of[pairs]], self._link_of[pairs]
        self._tags, self._left_bytes = self._tags[keep], self._left_bytes[keep]
        self._rate, self._finish_s = self._rate[keep], self._finish_s[keep]
        self._stale = True

    def _solve(self) -> None:
        """Share the links anew; a transfer whose rate stays keeps its finish time, so that rounding cannot add up."""
        self.solves += 1
        rate = max_min_rates(self.capacity, self._flow_of, self._link_of, len(self))
        changed = rate != self._rate
        with np.errstate(divide="ignore", invalid="ignore"):
            finish_s = np.where(self._left_bytes > 0, self.now_s + self._left_bytes / rate, self.now_s)
        self._finish_s = np.where(changed, finish_s, self._finish_s)
        self._rate = rate
        self._stale = False
