"""The k-ary fat tree of equal switches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Annotated

import networkx as nx
from annotated_types import Ge, MultipleOf

from netsim.topology.base import TopologyKind, topologies
from netsim.topology.graph import Topology
from netsim.topology.hosts import add_hosts
from netsim.units import Bandwidth, Seconds


@topologies.register("fat_tree", paper="Al-Fares, Loukissas, Vahdat 2008, doi 10.1145/1402958.1402967")
@dataclass(frozen=True, kw_only=True)
class FatTree(TopologyKind):
    """A three-tier fat tree of k-port switches: k pods, full bisection bandwidth, routes spread by hash.

    k^3/4 workers, k^2/2 edge, k^2/2 aggregation and k^2/4 core switches, 3 k^3 / 2 directed links, and 2 for each
    dedicated server; these are on the edge switches in turn. All links have `bandwidth`; `latency` is per link.
    """

    k: Annotated[int, Ge(2), MultipleOf(2)] = 4
    bandwidth: Bandwidth
    latency: Seconds = 5e-6

    @property
    def num_workers(self) -> int:
        """Return k^3/4."""
        return self.k**3 // 4

    @property
    def access(self) -> tuple[float, float]:
        """Return the bandwidth and the latency of a link."""
        return self.bandwidth, self.latency

    def build(self, servers: int = 0) -> Topology:
        """Return the tree with `servers` more hosts."""
        half, link = self.k // 2, {"bandwidth": self.bandwidth, "latency": self.latency}
        graph: nx.Graph[str] = nx.Graph(ecmp=True)
        edges = [f"pod{pod}.edge{index}" for pod, index in product(range(self.k), range(half))]
        add_hosts(graph, edges, half, servers, self.bandwidth, self.latency)
        above = [f"pod{pod}.aggregation{index}" for pod, index in product(range(self.k), range(half))]
        cores = [f"core{group}.{index}" for group, index in product(range(half), range(half))]
        graph.add_nodes_from([*above, *cores], kind="switch")
        for pod, index, other in product(range(self.k), range(half), range(half)):
            aggregation = above[pod * half + index]
            graph.add_edge(aggregation, edges[pod * half + other], **link)
            graph.add_edge(aggregation, cores[index * half + other], **link)
        return Topology.from_networkx(graph)
