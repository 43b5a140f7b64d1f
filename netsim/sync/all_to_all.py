"""Owner exchange: all-to-all of shards to their owners, then all-gather of the reduced shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.errors import InputError
from netsim.network.base import Round
from netsim.sync.base import Collective, Payload, Sync, syncs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.sync.base import Nodes

_MOST_WORKERS = 4096


@syncs.register("all_to_all", paper="Tang et al. 2021, arXiv 2102.02888 (compressed_allreduce)")
@dataclass(frozen=True, kw_only=True)
class AllToAll(Sync):
    """Every worker owns one shard: direct all-to-all of shards, owners reduce (and re-encode), direct all-gather.

    Two rounds instead of a ring's 2(n-1), and any code can travel, since owners decode before they add. A message that
    everyone needs whole goes to everyone directly, in one round.
    """

    carries = frozenset[Collective]({"sum", "gather", "owner"})
    alone = frozenset({"reduce_scatter", "all_to_all"})

    def check(self, num_workers: int) -> None:
        """Raise InputError for more workers than memory has room for."""
        if num_workers > _MOST_WORKERS:
            raise InputError(
                f"{num_workers:,} workers send each other {num_workers * (num_workers - 1):,} messages at once",
                f"use at most {_MOST_WORKERS:,} workers, which take 20 GB, or an architecture of more rounds",
            )

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds."""
        count = len(workers)
        if count == 1:
            return []
        src, dst = _pairs(count)
        if payload.op == "gather":
            return [Round(workers[src], workers[dst], payload.up_bytes[src])]
        work_s = payload.decode_s + payload.encode_s / count
        up_shares, down_shares = payload.up_shares, payload.down_shares
        up = 1 / count if up_shares is None else up_shares[src % len(up_shares), dst]
        down = np.full(len(src), 1 / count) if down_shares is None else down_shares[src]
        scatter = Round(workers[src], workers[dst], payload.up_bytes[src] * up)
        collect = Round(scatter.src, scatter.dst, payload.down_bytes * down, work_s)
        return [scatter, collect]

    def alone_rounds(
        self, collective: str, nbytes: float, workers: Nodes, slice_bytes: float | None = None
    ) -> Sequence[Round]:
        """Return one round in which everyone sends everyone its share."""
        if collective not in self.alone:
            return super().alone_rounds(collective, nbytes, workers)
        src, dst = _pairs(len(workers))
        return [Round(workers[src], workers[dst], np.full(len(src), nbytes / len(workers)))] if len(src) else []

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return n for a gather, else 1: n shards make one message."""
        return num_workers if op == "gather" else 1

    def describe(self, op: Collective) -> str:
        """Name the collective."""
        return "direct all-gather" if op == "gather" else "all-to-all + all-gather"


def _pairs(count: int) -> tuple[Nodes, Nodes]:
    """Return all pairs of different workers, by their places."""
    src, dst = np.nonzero(~np.eye(count, dtype=bool))
    return src.ravel(), dst.ravel()
