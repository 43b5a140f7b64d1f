"""Sites far from one another, each with its own round-trip time to each other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import isqrt
from typing import Annotated

import networkx as nx
from annotated_types import Ge, Gt, MinLen

from netsim.errors import InputError
from netsim.topology.base import TopologyKind, topologies
from netsim.topology.graph import Topology
from netsim.topology.hosts import add_hosts
from netsim.units import Bandwidth, Bytes, Seconds


@topologies.register("wan", paper="Hsieh et al. 2017, NSDI (Gaia)")
@dataclass(frozen=True, kw_only=True)
class Wan(TopologyKind):
    """Sites joined pair by pair: each pair of sites has a link of `wan_bandwidth` and its own round-trip time.

    `round_trips` lists the pairs of sites in the order 0-1, 0-2, ..., 1-2, ...: s (s - 1) / 2 of them make s sites,
    with s w workers, 2 s w + s (s - 1) directed links, and 2 for each dedicated server; these are at the sites in turn.
    Inside a site, hosts are on one non-blocking switch by links of `bandwidth` and `latency`. `windows` are what a
    socket of each site's hosts takes in a round trip, where that is not the transport's `window`: systems differ.
    """

    round_trips: Annotated[tuple[Seconds, ...], MinLen(1)] = (50e-3,)
    workers_per_site: Annotated[int, Ge(1)] = 1
    wan_bandwidth: Bandwidth = 125e6
    bandwidth: Bandwidth
    latency: Seconds = 12.5e-6
    windows: tuple[Annotated[Bytes, Gt(0)], ...] = ()

    def __post_init__(self) -> None:
        """Raise InputError where the round trips are not those of all pairs, or the windows not those of all sites."""
        if self.sites * (self.sites - 1) // 2 != len(self.round_trips):
            raise InputError(
                f"{len(self.round_trips)} round trips are not those of all pairs of sites",
                "give 1 for two sites, 3 for three, 6 for four, 10 for five, ...",
            )
        if len(self.windows) not in (0, self.sites):
            raise InputError(
                f"{len(self.windows)} windows are not those of {self.sites} sites",
                "give one for each, or none",
                "windows",
            )

    @property
    def sites(self) -> int:
        """Return s of s (s - 1) / 2 round trips."""
        return (1 + isqrt(1 + 8 * len(self.round_trips))) // 2

    @property
    def num_workers(self) -> int:
        """Return the workers of all sites."""
        return self.sites * self.workers_per_site

    @property
    def access(self) -> tuple[float, float]:
        """Return the bandwidth between sites and the longest one-way latency between two of them."""
        return self.wan_bandwidth, max(self.round_trips) / 2

    def build(self, servers: int = 0) -> Topology:
        """Return the sites with `servers` more hosts."""
        graph: nx.Graph[str] = nx.Graph()
        sites = [f"site{index}" for index in range(self.sites)]
        add_hosts(graph, sites, self.workers_per_site, servers, self.bandwidth, self.latency)
        for site, window in zip(sites, self.windows, strict=False):
            nx.set_node_attributes(graph, dict.fromkeys(list(graph[site]), window), "window")
        for (one, other), round_trip_s in zip(combinations(sites, 2), self.round_trips, strict=True):
            graph.add_edge(one, other, bandwidth=self.wan_bandwidth, latency=round_trip_s / 2)
        return Topology.from_networkx(graph)
