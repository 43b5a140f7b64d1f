"""Ring all-reduce and ring all-gather."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from netsim.network.base import Round
from netsim.sync.base import Collective, Payload, Sync, syncs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.sync.base import Nodes


def all_gather(nbytes: np.ndarray, workers: Nodes) -> list[Round]:
    """Return the n-1 rounds in which messages of `nbytes` [n] travel once round the ring, hop by hop."""
    count, here, right = len(workers), np.arange(len(workers)), np.roll(workers, -1)
    return [Round(workers, right, nbytes[(here - hop) % count], pipelined=hop > 0) for hop in range(count - 1)]


@syncs.register("ring", paper="Patarasuk, Yuan 2009, doi 10.1016/j.jpdc.2008.09.002")
@dataclass(frozen=True, kw_only=True)
class Ring(Sync):
    """Ring all-reduce: 2(n-1) rounds of S/n bytes. What cannot be summed in flight goes by ring all-gather."""

    carries = frozenset[Collective]({"sum", "gather"})

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds in ring order of `workers`."""
        if payload.op == "gather":
            return all_gather(payload.up_bytes, workers)
        count = len(workers)
        one = Round(workers, np.roll(workers, -1), np.full(count, payload.up_bytes.max() / count))
        return [one, *[replace(one, pipelined=True)] * (2 * count - 3)] if count > 1 else []

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return 1 for a sum, n for a gather."""
        return 1 if op == "sum" else num_workers

    def describe(self, op: Collective) -> str:
        """Name the collective."""
        return "ring all-reduce" if op == "sum" else "ring all-gather"
