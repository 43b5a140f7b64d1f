"""Owner exchange: all-to-all of shards to their owners, then all-gather of the reduced shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.network.base import Round
from netsim.sync.base import Collective, Payload, Sync, syncs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.sync.base import Nodes


@syncs.register("all_to_all", paper="Tang et al. 2021, arXiv 2102.02888 (compressed_allreduce)")
@dataclass(frozen=True, kw_only=True)
class AllToAll(Sync):
    """Every worker owns one shard: direct all-to-all of shards, owners reduce (and re-encode), direct all-gather.

    Two rounds instead of a ring's 2(n-1), and any code can travel, since owners decode before they add. A message that
    everyone needs whole goes to everyone directly, in one round.
    """

    carries = frozenset[Collective]({"sum", "gather", "owner"})

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds."""
        count = len(workers)
        if count == 1:
            return []
        src, dst = (one.ravel() for one in np.nonzero(~np.eye(count, dtype=bool)))
        if payload.op == "gather":
            return [Round(workers[src], workers[dst], payload.up_bytes[src])]
        work_s = payload.decode_s + payload.encode_s / count
        scatter = Round(workers[src], workers[dst], payload.up_bytes[src] / count)
        collect = Round(scatter.src, scatter.dst, np.full(len(src), payload.down_bytes / count), work_s)
        return [scatter, collect]

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return n for a gather, else 1: n shards make one message."""
        return num_workers if op == "gather" else 1

    def describe(self, op: Collective) -> str:
        """Name the collective."""
        return "direct all-gather" if op == "gather" else "all-to-all + all-gather"
