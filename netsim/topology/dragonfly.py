"""The dragonfly: groups of routers, all joined inside a group, every pair of groups joined by one link."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Annotated

import networkx as nx
from annotated_types import Ge

from netsim.topology.base import TopologyKind, topologies
from netsim.topology.graph import Topology
from netsim.topology.hosts import add_hosts
from netsim.units import Bandwidth, Seconds


@topologies.register("dragonfly", paper="Kim, Dally, Scott, Abts 2008, doi 10.1109/ISCA.2008.19")
@dataclass(frozen=True, kw_only=True)
class Dragonfly(TopologyKind):
    """A dragonfly of the largest size: g = a h + 1 groups of a routers with p hosts and h global links each.

    a p g workers; g (a (a - 1) + 2 a p) + g (g - 1) directed links, and 2 for each dedicated server; these are on the
    routers in turn. `bandwidth` and `latency` are those of hosts' and local links, `global_bandwidth` (as `bandwidth`
    unless given) and `global_latency` those between groups. Routes take the fewest hops, equal ones by hash.
    """

    routers_per_group: Annotated[int, Ge(1)] = 4
    hosts_per_router: Annotated[int, Ge(1)] = 2
    global_links_per_router: Annotated[int, Ge(1)] = 2
    bandwidth: Bandwidth
    latency: Seconds = 1e-6
    global_bandwidth: Bandwidth | None = None
    global_latency: Seconds = 1e-6

    @property
    def groups(self) -> int:
        """Return a h + 1."""
        return self.routers_per_group * self.global_links_per_router + 1

    @property
    def num_workers(self) -> int:
        """Return the number of hosts."""
        return self.groups * self.routers_per_group * self.hosts_per_router

    @property
    def access(self) -> tuple[float, float]:
        """Return the bandwidth and the latency of a host's link."""
        return self.bandwidth, self.latency

    def build(self, servers: int = 0) -> Topology:
        """Return the dragonfly; global link t of group i goes to group i + t + 1, from router t / h."""
        graph: nx.Graph[str] = nx.Graph(ecmp=True)
        routers = [
            [f"group{group}.router{index}" for index in range(self.routers_per_group)] for group in range(self.groups)
        ]
        flat = [one for group in routers for one in group]
        add_hosts(graph, flat, self.hosts_per_router, servers, self.bandwidth, self.latency)
        for group in routers:
            for one, other in combinations(group, 2):
                graph.add_edge(one, other, bandwidth=self.bandwidth, latency=self.latency)
        wide = {"bandwidth": self.global_bandwidth or self.bandwidth, "latency": self.global_latency}
        for here, there in combinations(range(self.groups), 2):
            graph.add_edge(routers[here][self._port(here, there)], routers[there][self._port(there, here)], **wide)
        return Topology.from_networkx(graph)

    def _port(self, here: int, there: int) -> int:
        """Return the router of group `here` that holds the link to group `there`."""
        return (there - here - 1) % self.groups // self.global_links_per_router
