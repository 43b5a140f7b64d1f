"""Hosts on the switches of a graph, for topologies of several tiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import networkx as nx


def add_hosts(
    graph: nx.Graph[str], switches: Sequence[str], per_switch: int, servers: int, bandwidth: float, latency: float
) -> None:
    """Add `per_switch` workers to each switch, and `servers` to the switches in turn, each by a link of its own.

    Workers come first among the nodes, then servers, in order of their switches.
    """
    hosts = [("worker", index, index // per_switch) for index in range(per_switch * len(switches))]
    hosts += [("server", index, index % len(switches)) for index in range(servers)]
    for kind, index, _ in hosts:
        graph.add_node(f"{kind}{index}", kind=kind)
    graph.add_nodes_from(switches, kind="switch")
    for kind, index, switch in hosts:
        graph.add_edge(f"{kind}{index}", switches[switch], bandwidth=bandwidth, latency=latency)
