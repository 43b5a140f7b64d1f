"""Nodes that fail and come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.conditions.base import Cluster, conditions, links_of, nodes_named
from netsim.conditions.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from netsim.topology.graph import Topology


@conditions.register("node_failure")
@dataclass(frozen=True, kw_only=True)
class NodeFailure(Outage):
    """Nodes that fail, each by itself at random or all together, and come back: their links and devices stop.

    `nodes` are names or patterns: `worker3`, `worker*`, `switch`. A synchronous job waits until they are back and goes
    on where it was; where it keeps checkpoints (`job.checkpoint`), it starts again from the last one, and what has been
    done since then is lost. Asynchronous workers go on without the one that is down, which comes back to where it was,
    or with checkpoints begins its step anew with the servers' model; then a server's failure takes all back.
    """

    nodes: tuple[str, ...]

    touches_workers = True
    delays = "failures"

    def check(self, topology: Topology) -> None:
        """Raise InputError for unknown nodes."""
        nodes_named(topology, self.nodes)

    def begin(self, cluster: Cluster, number: int) -> None:
        """Start a process for each node, and tell the devices when they are down."""
        nodes = nodes_named(cluster.topology, self.nodes)
        place = {int(node): worker for worker, node in enumerate(cluster.workers)}
        for node in nodes.tolist():
            # The same draw for the device as for the links, and one for all nodes that fail together.
            key = (number, node if self.mean_time_between is not None else 0)
            if node in place:
                cluster.devices.add(place[node], self.times(cluster.rng(*key)))
            cluster.env.process(self._run(cluster, number, node, key))

    def _run(
        self, cluster: Cluster, number: int, node: int, key: tuple[int, int]
    ) -> Generator[simpy.Event, None, None]:
        links = links_of(cluster.topology, np.array([node]))
        for down_s, up_s in self.times(cluster.rng(*key)):
            yield cluster.env.timeout(down_s - cluster.env.now)
            cluster.states.put((number, node), links, share=0.0)
            if node in cluster.nodes:
                cluster.crash(node, up_s)
            yield cluster.env.timeout(up_s - cluster.env.now)
            cluster.states.put((number, node), links)
