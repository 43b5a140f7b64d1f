"""A part of a cluster: a job on some of its workers, the others left to neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge

from netsim.errors import InputError
from netsim.topology.base import TopologyKind, topologies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.topology.graph import Topology


@topologies.register("part")
@dataclass(frozen=True, kw_only=True)
class Part(TopologyKind):
    """A part of a cluster: its first workers (`packed`), or as many evenly `spread` over it; the others stay as nodes.

    Nodes and links are those of `cluster`, with the same names; the workers that the job does not get do nothing, but
    conditions such as a `neighbour` may name them.
    """

    cluster: TopologyKind
    workers: Annotated[int, Ge(1)]
    placement: Literal["packed", "spread"] = "packed"

    @property
    def num_workers(self) -> int:
        """Return the number of workers; raise InputError where the cluster has fewer."""
        have = self.cluster.num_workers
        if self.workers > have:
            raise InputError(f"{self.workers} workers of {have}", "ask for fewer, or enlarge the cluster", "workers")
        return self.workers

    @property
    def access(self) -> tuple[float, float]:
        """Return those of the cluster."""
        return self.cluster.access

    def build(self, servers: int = 0) -> Topology:
        """Return the cluster with these workers only."""
        whole = self.cluster.build(servers)
        return replace(whole, workers=whole.workers[self._places()], _predecessors={}, _distances={})

    def _places(self) -> NDArray[np.int64]:
        count = np.arange(self.num_workers)
        return count if self.placement == "packed" else count * self.cluster.num_workers // self.workers
