"""Binomial tree: reduce to the first worker, broadcast from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    alone = frozenset({"broadcast", "reduce"})

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds; the root is the first worker."""
        nbytes = float(payload.up_bytes.max())
        rounds = [one for name in ("reduce", "broadcast") for one in self.alone_rounds(name, nbytes, workers)]
        if payload.op != "merge":
            return rounds
        # Whoever sends between the leaves and the root's first message back has merged two messages before.
        merges = len(rounds) // 2
        return (
            rounds[:1]
            + [replace(one, hold_s=payload.decode_s) for one in rounds[1 : merges + 1]]
            + rounds[merges + 1 :]
        )

    def alone_rounds(self, collective: str, nbytes: float, workers: Nodes) -> Sequence[Round]:
        """Return the way to the root, or from it."""
        if collective not in self.alone:
            return super().alone_rounds(collective, nbytes, workers)
        rounds, distance = [], 1
        while distance < len(workers):
            child = np.arange(distance, len(workers), 2 * distance)
            ends = workers[child], workers[child - distance]
            rounds.append(Round(*(ends if collective == "reduce" else ends[::-1]), np.full(len(child), float(nbytes))))
            distance *= 2
        return rounds if collective == "reduce" else rounds[::-1]

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return 1."""
        return 1

    def describe(self, op: Collective) -> str:
        """Name the collective."""
        return "binomial tree all-reduce"
