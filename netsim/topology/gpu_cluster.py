"""Machines with several GPUs behind a PCIe or NVLink hop, sharing the machine's network cards."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Annotated

import networkx as nx
from annotated_types import Ge

from netsim.topology.base import TopologyKind, topologies
from netsim.topology.graph import Topology
from netsim.units import Bandwidth, Seconds


@topologies.register("gpu_cluster")
@dataclass(frozen=True, kw_only=True)
class GpuCluster(TopologyKind):
    """Machines of GPUs: GPU - PCIe or NVLink hop - network card - one non-blocking switch.

    m machines of g GPUs and c cards: m g workers, 2 m (g + c + c (c - 1) / 2) directed links, and 2 for each dedicated
    server, which is a machine with one card. With `cards_per_server` k > 1 it has 4 k links: k hops and k cards, on the
    rails in turn; a hash spreads flows over the cards of one switch. GPU i of a machine hangs on the hub of card i mod
    c; the hubs of a machine are joined by hops. `latency` is that of a network link, `hop_latency` that of a hop, each
    per link. On many clusters the hop, not the fabric, is the bottleneck. With `rail_optimised`, card i of every
    machine is on a switch of its own, rail i, and the rails are not joined: what is for another rail changes over
    inside the machine.
    """

    machines: Annotated[int, Ge(1)] = 2
    gpus_per_machine: Annotated[int, Ge(1)] = 4
    bandwidth: Bandwidth
    latency: Seconds = 12.5e-6
    cards_per_machine: Annotated[int, Ge(1)] = 1
    hop_bandwidth: Bandwidth = 12e9
    hop_latency: Seconds = 1e-6
    rail_optimised: bool = False
    cards_per_server: Annotated[int, Ge(1)] = 1

    @property
    def num_workers(self) -> int:
        """Return the number of GPUs."""
        return self.machines * self.gpus_per_machine

    @property
    def access(self) -> tuple[float, float]:
        """Return the bandwidth and the latency of one network card."""
        return self.bandwidth, self.latency

    def build(self, servers: int = 0) -> Topology:
        """Return the cluster with `servers` more machines that hold a server each."""
        graph: nx.Graph[str] = nx.Graph()
        graph.add_nodes_from((f"worker{index}" for index in range(self.num_workers)), kind="worker")
        graph.add_nodes_from((f"server{index}" for index in range(servers)), kind="server")
        switches = [f"rail{card}" for card in range(self.cards_per_machine)] if self.rail_optimised else ["switch"]
        graph.add_nodes_from(switches, kind="switch")
        for machine in range(self.machines):
            hubs = [f"machine{machine}.hub{card}" for card in range(self.cards_per_machine)]
            for card, hub in enumerate(hubs):
                graph.add_node(hub, kind="switch")
                switch = switches[card % len(switches)]
                graph.add_edge(hub, switch, bandwidth=self.bandwidth, latency=self.latency)
            for one, other in combinations(hubs, 2):
                graph.add_edge(one, other, bandwidth=self.hop_bandwidth, latency=self.hop_latency, local=True)
            for index in range(self.gpus_per_machine):
                gpu = f"worker{machine * self.gpus_per_machine + index}"
                hub = hubs[index % self.cards_per_machine]
                graph.add_edge(gpu, hub, bandwidth=self.hop_bandwidth, latency=self.hop_latency, local=True)
        for index in range(servers):
            self._add_server(graph, index, switches)
        graph.graph["ecmp"] = servers > 0 and self.cards_per_server > 1
        return Topology.from_networkx(graph)

    def _add_server(self, graph: nx.Graph[str], index: int, switches: list[str]) -> None:
        """Join a server to its switch, or by hops to its cards and these to switches in turn."""
        server = f"server{index}"
        if self.cards_per_server == 1:
            graph.add_edge(server, switches[index % len(switches)], bandwidth=self.bandwidth, latency=self.latency)
            return
        for card in range(self.cards_per_server):
            hub = f"{server}.hub{card}"
            graph.add_node(hub, kind="switch")
            graph.add_edge(server, hub, bandwidth=self.hop_bandwidth, latency=self.hop_latency, local=True)
            switch = switches[card % len(switches)]
            graph.add_edge(hub, switch, bandwidth=self.bandwidth, latency=self.latency)
