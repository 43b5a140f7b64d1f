"""Another job on the same network: it computes, exchanges its gradients, and begins again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from netsim.conditions.base import Cluster, Condition, conditions, nodes_named
from netsim.errors import InputError
from netsim.sync.base import Payload, Sync, carrier
from netsim.sync.ring import Ring
from netsim.units import Bytes, Seconds

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import simpy
    from numpy.typing import NDArray

    from netsim.network.base import Round
    from netsim.topology.graph import Topology


@conditions.register("neighbour")
@dataclass(frozen=True, kw_only=True)
class Neighbour(Condition):
    """Another job on the same network: all its workers compute for `compute`, all-reduce `size`, and begin again.

    `workers` are names or patterns of the nodes that it runs on, hosts of the job itself or others (`topology: {kind:
    part}` leaves some); `sync` says how it all-reduces; its first step begins `at` a second. Its transfers share links
    with all others fairly, so each job slows the other down.
    """

    workers: tuple[str, ...]
    size: Bytes
    compute: Seconds = 0.1
    sync: Sync = field(default_factory=Ring)
    at: Seconds = 0.0

    changes_links = False
    delays = "other traffic"

    def check(self, topology: Topology) -> None:
        """Raise InputError for unknown nodes, or where the architecture cannot run between them."""
        workers = nodes_named(topology, self.workers)
        if len(workers) < 2:
            raise InputError(f"{self.workers[0]!r} is one node alone", "name two workers at least", "workers")
        topology.refuse_apart(workers)
        self.sync.check(len(workers))
        if self.sync.dedicated_servers:
            problem = "a neighbour has no servers of its own"
            raise InputError(problem, "choose an all-reduce, or placement: colocated", "sync")
        if not self.size and not self.compute:
            raise InputError("its steps take no time", "give it a `size` or a `compute`", "compute")

    def begin(self, cluster: Cluster, number: int) -> None:
        """Start the process that runs the job."""
        cluster.env.process(self._run(cluster))

    def _run(self, cluster: Cluster) -> Generator[simpy.Event, None, None]:
        env, workers = cluster.env, nodes_named(cluster.topology, self.workers)
        rounds = self._rounds(cluster, workers)
        yield env.timeout(self.at)
        while True:
            yield env.timeout(self.compute)
            if rounds:
                yield cluster.all_of(rounds, workers)

    def _rounds(self, cluster: Cluster, workers: NDArray[np.int64]) -> Sequence[Round]:
        payload = Payload(
            "sum",
            np.full(len(workers), self.size),
            self.size,
            np.ones(1, dtype=np.int64),
            machines=cluster.topology.machines[workers],
        )
        rounds = carrier(self.sync, "sum").rounds(payload, workers, workers[:0])
        return [one for one in rounds if len(one.src)]
