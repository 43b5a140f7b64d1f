"""The star: every host on one non-blocking switch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import networkx as nx
from annotated_types import Ge

from netsim.topology.base import TopologyKind, topologies
from netsim.topology.graph import Topology
from netsim.units import Bandwidth, Seconds


@topologies.register("star")
@dataclass(frozen=True, kw_only=True)
class Star(TopologyKind):
    """Workers (and servers) on one non-blocking switch, a link each; n + s hosts, 2 (n + s) directed links.

    `bandwidth` is each host's, per direction; `latency` is the one-way latency between two hosts, half on each
    access link. `server_bandwidth` gives dedicated servers faster links; it defaults to `bandwidth`.
    """

    workers: Annotated[int, Ge(1)] = 8
    bandwidth: Bandwidth
    latency: Seconds = 25e-6
    server_bandwidth: Bandwidth | None = None

    @property
    def num_workers(self) -> int:
        """Return the number of workers."""
        return self.workers

    @property
    def access(self) -> tuple[float, float]:
        """Return the access bandwidth and the worker-to-worker latency."""
        return self.bandwidth, self.latency

    def build(self, servers: int = 0) -> Topology:
        """Return the star with `servers` more hosts."""
        graph: nx.Graph[str] = nx.Graph()
        hosts = [("worker", self.workers, self.bandwidth), ("server", servers, self.server_bandwidth or self.bandwidth)]
        for kind, count, _ in hosts:
            graph.add_nodes_from((f"{kind}{index}" for index in range(count)), kind=kind)
        graph.add_node("switch", kind="switch")
        for kind, count, bandwidth in hosts:
            for index in range(count):
                graph.add_edge(f"{kind}{index}", "switch", bandwidth=bandwidth, latency=self.latency / 2)
        return Topology.from_networkx(graph)
