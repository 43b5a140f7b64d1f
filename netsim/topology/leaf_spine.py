"""Leaf and spine: racks of hosts under leaf switches, every leaf on every spine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import networkx as nx
from annotated_types import Ge, Gt

from netsim.topology.base import TopologyKind, topologies
from netsim.topology.graph import Topology
from netsim.topology.hosts import add_hosts
from netsim.units import Bandwidth, Seconds


@topologies.register("leaf_spine", paper="Alizadeh, Edsall 2013, doi 10.1109/HOTI.2013.23")
@dataclass(frozen=True, kw_only=True)
class LeafSpine(TopologyKind):
    """Leaves with hosts, each leaf on every spine; routes between leaves are spread over the spines by hash.

    l leaves of h hosts and s spines: l h workers, 2 (l h + l s) directed links, and 2 for each dedicated server; these
    are on the leaves in turn. `bandwidth` is a host's; the uplinks of a leaf have h / `oversubscription` times that
    together. `latency` is per link.
    """

    leaves: Annotated[int, Ge(1)] = 4
    hosts_per_leaf: Annotated[int, Ge(1)] = 8
    spines: Annotated[int, Ge(1)] = 2
    bandwidth: Bandwidth
    latency: Seconds = 5e-6
    oversubscription: Annotated[float, Gt(0)] = 1.0

    @property
    def num_workers(self) -> int:
        """Return the number of hosts of all leaves."""
        return self.leaves * self.hosts_per_leaf

    @property
    def access(self) -> tuple[float, float]:
        """Return the bandwidth and the latency of a host's link."""
        return self.bandwidth, self.latency

    def build(self, servers: int = 0) -> Topology:
        """Return the leaves and spines with `servers` more hosts."""
        graph: nx.Graph[str] = nx.Graph(ecmp=True)
        leaves = [f"leaf{index}" for index in range(self.leaves)]
        add_hosts(graph, leaves, self.hosts_per_leaf, servers, self.bandwidth, self.latency)
        uplink = self.hosts_per_leaf * self.bandwidth / (self.spines * self.oversubscription)
        for spine in range(self.spines):
            graph.add_node(f"spine{spine}", kind="switch")
            for leaf in leaves:
                graph.add_edge(leaf, f"spine{spine}", bandwidth=uplink, latency=self.latency)
        return Topology.from_networkx(graph)
