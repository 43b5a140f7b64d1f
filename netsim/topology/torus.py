"""Tori: workers that are their own switches, each linked to its neighbours in two or three dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Annotated

import networkx as nx
from annotated_types import Ge, Len

from netsim.topology.base import TopologyKind, topologies
from netsim.topology.graph import Topology
from netsim.units import Bandwidth, Seconds


@topologies.register("torus", paper="Dally, Seitz 1986, doi 10.1007/BF01660031; Jouppi et al. 2023, arXiv 2304.01433")
@dataclass(frozen=True, kw_only=True)
class Torus(TopologyKind):
    """A torus of `shape` [x, y] or [x, y, z]: every worker is joined to its neighbours, round each dimension.

    n = x y z workers. A dimension of 3 or more has 2 n directed links, one of 2 has n, one of 1 none. A dedicated
    server is on a worker, in turn, by 2 links. All links have `bandwidth`; `latency` is per link. Of equally short
    routes one is taken by hash.
    """

    shape: Annotated[tuple[Annotated[int, Ge(1)], ...], Len(2, 3)] = (4, 4)
    bandwidth: Bandwidth
    latency: Seconds = 1e-6

    @property
    def num_workers(self) -> int:
        """Return the product of the shape."""
        return prod(self.shape)

    @property
    def access(self) -> tuple[float, float]:
        """Return the bandwidth and the latency of a link."""
        return self.bandwidth, self.latency

    def build(self, servers: int = 0) -> Topology:
        """Return the torus; worker numbers count the last dimension first."""
        link = {"bandwidth": self.bandwidth, "latency": self.latency}
        places = list(product(*map(range, self.shape)))
        name = {place: f"worker{index}" for index, place in enumerate(places)}
        graph: nx.Graph[str] = nx.Graph(ecmp=True)
        graph.add_nodes_from(name.values(), kind="worker")
        graph.add_nodes_from((f"server{index}" for index in range(servers)), kind="server")
        for place in places:
            for dimension, size in enumerate(self.shape):
                near = (*place[:dimension], (place[dimension] + 1) % size, *place[dimension + 1 :])
                if near != place:
                    graph.add_edge(name[place], name[near], **link)
        for index in range(servers):
            graph.add_edge(f"server{index}", f"worker{index % len(places)}", **link)
        return Topology.from_networkx(graph)
