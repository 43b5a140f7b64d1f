"""Ring all-reduce and ring all-gather."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge

from netsim.network.base import Round
from netsim.sync.base import Collective, Payload, Sync, syncs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.sync.base import Nodes


def all_gather(nbytes: np.ndarray, workers: Nodes, slices: int | None = None) -> list[Round]:
    """Return the n-1 rounds in which messages of `nbytes` [n] travel once round the ring, hop by hop."""
    if (nbytes == nbytes[0]).all():  # a round that repeats costs a network next to nothing
        return circulate(workers[None, :], float(nbytes[0]), len(workers) - 1, slices)
    count, here, right = len(workers), np.arange(len(workers)), np.roll(workers, -1)
    return [
        Round(workers, right, nbytes[(here - hop) % count], slices=slices if hop else 1) for hop in range(count - 1)
    ]


def circulate(rings: NDArray[np.int64], nbytes: float, hops: int, slices: int | None = None) -> list[Round]:
    """Return the rounds in which every member of every ring ([rings, n] nodes) sends `nbytes` on, `hops` times."""
    if rings.shape[1] == 1 or not hops:
        return []
    one = Round(rings.ravel(), np.roll(rings, -1, axis=1).ravel(), np.full(rings.size, nbytes))
    return [one, *[replace(one, slices=slices)] * (hops - 1)]


@syncs.register("ring", paper="Patarasuk, Yuan 2009, doi 10.1016/j.jpdc.2008.09.002")
@dataclass(frozen=True, kw_only=True)
class Ring(Sync):
    """Ring all-reduce: 2(n-1) rounds of S/n bytes. What cannot be summed in flight goes by ring all-gather.

    `rings` rings carry an equal part each; ring r begins each machine at its r-th worker, so that rings leave machines
    by different network cards. `slices` is in how many pieces a chunk is passed on, as NCCL does to hide latency; it
    is the transport's unless given.
    """

    rings: Annotated[int, Ge(1)] = 1
    slices: Annotated[int, Ge(1)] | None = None

    carries = frozenset[Collective]({"sum", "gather"})
    alone = frozenset({"reduce_scatter", "all_to_all", "broadcast", "reduce"})

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds in ring order of `workers`."""
        count = len(workers)
        orders = self._orders(count, payload.machines)
        if payload.op == "gather":
            each = [all_gather(payload.up_bytes[one] / self.rings, workers[one], self.slices) for one in orders]
            return each[0] if len(each) == 1 else [_together(rounds) for rounds in zip(*each, strict=True)]
        return circulate(
            workers[orders], float(payload.up_bytes.max()) / count / self.rings, 2 * (count - 1), self.slices
        )

    def _orders(self, count: int, machines: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Return [rings, n] places of workers in the order of each ring."""
        if machines is None or self.rings == 1:
            return np.tile(np.arange(count), (self.rings, 1))
        _, first = np.unique(machines, return_index=True)
        members = [np.flatnonzero(machines == machines[place]) for place in np.sort(first)]
        return np.stack([np.concatenate([np.roll(one, -turn) for one in members]) for turn in range(self.rings)])

    def alone_rounds(
        self, collective: str, nbytes: float, workers: Nodes, slice_bytes: float | None = None
    ) -> Sequence[Round]:
        """Return half a ring all-reduce, exchanges at growing distance, or a chain that passes on slice by slice.

        A chain's slices are `slices` or of `slice_bytes`; 16 where neither is given.
        """
        count = len(workers)
        if collective == "reduce_scatter":
            return circulate(workers[None, :], nbytes / count, count - 1, self.slices)
        if collective == "all_to_all":
            share = np.full(count, nbytes / count)
            return [Round(workers, np.roll(workers, -far), share) for far in range(1, count)]
        if collective in self.alone:
            by_size = 16 if slice_bytes is None else ceil(nbytes / slice_bytes)
            return _chain(
                workers if collective == "broadcast" else workers[::-1], nbytes, self.slices or max(by_size, 1)
            )
        return super().alone_rounds(collective, nbytes, workers)

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return 1 for a sum, n for a gather."""
        return 1 if op == "sum" else num_workers

    def describe(self, op: Collective) -> str:
        """Name the collective."""
        return "ring all-reduce" if op == "sum" else "ring all-gather"


def _together(rounds: Sequence[Round]) -> Round:
    """Return one round of the transfers of several."""
    src, dst, nbytes = (np.concatenate([getattr(one, name) for one in rounds]) for name in ("src", "dst", "nbytes"))
    return Round(src, dst, nbytes, slices=rounds[0].slices)


def _chain(line: Nodes, nbytes: float, slices: int) -> list[Round]:
    """Return the n-1 rounds in which a first slice goes down a line of nodes, and one in which all others follow it.

    In the last one every node sends on what it gets in it: it began a slice later than the node before, at its pace.
    """
    first = np.full(1, nbytes / slices)
    found = [Round(line[here : here + 1], line[here + 1 : here + 2], first) for here in range(len(line) - 1)]
    if slices > 1 and found:
        found.append(Round(line[:-1], line[1:], np.full(len(line) - 1, nbytes - first[0]), slices=slices - 1))
    return found
