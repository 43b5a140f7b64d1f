"""Binomial tree: reduce to the first worker, broadcast from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.network.base import Round
from netsim.sync.base import Collective, Payload, Sync, syncs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.sync.base import Nodes


@syncs.register("tree", paper="Thakur, Rabenseifner, Gropp 2005, doi 10.1177/1094342005051521")
@dataclass(frozen=True, kw_only=True)
class Tree(Sync):
    """Binomial tree: reduce, then broadcast, in 2 ceil(log2 n) rounds of S bytes. Few messages, for small tensors.

    What cannot be summed in flight goes by ring all-gather instead.
    """

    carries = frozenset[Collective]({"sum", "merge"})
    fallback = "all_gather"

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds; the root is the first worker."""
        count, nbytes = len(workers), float(payload.up_bytes.max())
        reduce: list[tuple[Nodes, Nodes]] = []
        distance = 1
        while distance < count:
            child = np.arange(distance, count, 2 * distance)
            reduce.append((workers[child], workers[child - distance]))
            distance *= 2
        broadcast = [(parent, child) for child, parent in reversed(reduce)]
        # A merge takes a message apart; whoever sends after the first round has merged before.
        hold_s = [0.0] + [payload.decode_s if payload.op == "merge" else 0.0] * len(reduce) + [0.0] * len(broadcast)
        plan = zip(reduce + broadcast, hold_s, strict=False)
        return [Round(src, dst, np.full(len(src), nbytes), held) for (src, dst), held in plan]

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return 1."""
        return 1

    def describe(self, op: Collective) -> str:
        """Name the collective."""
        return "binomial tree all-reduce"
