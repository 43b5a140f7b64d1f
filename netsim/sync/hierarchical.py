"""Hierarchical all-reduce: inside the machines, between them, inside again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.network.base import Round
from netsim.sync.base import Collective, Payload, Sync, syncs
from netsim.sync.ring import circulate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.sync.base import Nodes


@syncs.register("hierarchical", paper="Jia et al. 2018, arXiv 1807.11205, section 3.3")
@dataclass(frozen=True, kw_only=True)
class Hierarchical(Sync):
    """Reduce-scatter inside each machine, ring all-reduces between machines, all-gather inside each machine.

    The machines are the topology's: workers that local links join. With g workers in the smallest machine there are g
    shards; owner j of each machine adds its machine's shard j, and the owners j of all machines make a ring. What
    cannot be summed in flight goes by ring all-gather.
    """

    carries = frozenset[Collective]({"sum"})
    fallback = "all_gather"

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds: one inside, 2(m-1) between m machines, one inside."""
        members = of_machines(len(workers), payload.machines)
        shards = min(len(one) for one in members)
        nbytes = float(payload.up_bytes.max()) / shards
        pairs = [(one, owner) for machine in members for owner in machine[:shards] for one in machine if one != owner]
        rings = np.stack([machine[:shards] for machine in members], axis=1)
        between = circulate(workers[rings], nbytes / len(members), 2 * (len(members) - 1))
        if not pairs:
            return between
        src, dst = (workers[np.array(one)] for one in zip(*pairs, strict=True))
        share = np.full(len(src), nbytes)
        return [Round(src, dst, share), *between, Round(dst, src, share)]

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return 1."""
        return 1

    def describe(self, op: Collective) -> str:
        """Name the collective."""
        return "hierarchical all-reduce"


def of_machines(count: int, machines: NDArray[np.int64] | None) -> list[NDArray[np.int64]]:
    """Return the places of the workers of each machine."""
    known = np.arange(count) if machines is None else machines
    return [np.flatnonzero(known == one) for one in np.unique(known)]
