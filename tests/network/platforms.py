"""Random platforms and plans for tests, from a NumPy generator."""

from __future__ import annotations

import networkx as nx
import numpy as np

from netsim.network import Round
from netsim.topology import GpuCluster, Topology


def random_graph(rng, least_links=3, most_links=40):
    """Return a connected topology of 3 to 40 undirected links with unequal capacities and latencies."""
    links = int(rng.integers(least_links, most_links + 1))
    nodes = int(rng.integers(max(3, int((1 + (1 + 8 * links) ** 0.5) / 2) + 1), links + 2))
    graph = random_tree(rng, nodes)
    while graph.number_of_edges() < links:
        graph.add_edge(*rng.choice(nodes, 2, replace=False).tolist())
    return topology_of(rng, graph)


def random_tree(rng, nodes):
    graph = nx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from((int(rng.integers(node)), node) for node in range(1, nodes))
    return graph


def topology_of(rng, graph):
    """Give the edges capacities and latencies (some of them zero, some of them equal) and build the topology."""
    for _, _, data in graph.edges(data=True):
        data["bandwidth"] = float(rng.choice([1e9, 1.25e9, 10 ** rng.uniform(8, 10)]))
        data["latency"] = float(rng.choice([0.0, 1e-5, 10 ** rng.uniform(-6, -2)]))
    return Topology.from_networkx(graph)


def random_star(rng, hosts):
    """Return a star of hosts with unequal links; node `hosts` is the switch."""
    graph = nx.Graph()
    graph.add_nodes_from(range(hosts), kind="worker")
    graph.add_node(hosts, kind="switch")
    graph.add_edges_from((host, hosts) for host in range(hosts))
    return topology_of(rng, graph)


def random_cluster(rng, most_cards=1):
    """Return machines of GPUs behind one or more cards."""
    return GpuCluster(
        machines=int(rng.integers(2, 4)),
        gpus_per_machine=int(rng.integers(1, 4)),
        cards_per_machine=int(rng.integers(1, most_cards + 1)),
        bandwidth=10 ** rng.uniform(8.5, 10),
        latency=float(rng.choice([0.0, 12.5e-6, 1e-3])),
        hop_bandwidth=float(rng.choice([12e9, 2e9])),
        hop_latency=float(rng.choice([0.0, 1e-6])),
    ).build()


def random_topology(rng):
    """Return a star, a cluster or a tree in which all or some nodes are workers."""
    shape = rng.integers(3)
    if shape == 0:
        return random_star(rng, int(rng.integers(2, 9)))
    if shape == 1:
        return random_cluster(rng, most_cards=2)
    return topology_of(rng, random_tree(rng, int(rng.integers(2, 9))))


def dyadic_star(rng, hosts):
    """Return a star on which every time is a multiple of 1/64 s, exactly: many things happen at the same instant."""
    graph = nx.star_graph(hosts)
    for _, _, data in graph.edges(data=True):
        data["bandwidth"] = float(rng.choice([2.0**20, 2.0**21]))
        data["latency"] = float(rng.choice([0.0, 1 / 64, 1 / 32]))
    nx.set_node_attributes(graph, {0: "switch"}, "kind")
    return Topology.from_networkx(graph)


def random_sizes(rng, count):
    """Return bytes: all equal, or unequal with some zeros."""
    if rng.random() < 0.4:
        return np.full(count, float(10 ** rng.integers(0, 9)))
    return np.where(rng.random(count) < 0.15, 0.0, 10 ** rng.uniform(0, 8, count))


def random_rounds(rng, nodes, most_rounds=5, most_transfers=12):
    """Return rounds of arbitrary transfers between nodes, some of them held back."""
    rounds = []
    for _ in range(int(rng.integers(1, most_rounds + 1))):
        src, dst = random_pairs(rng, nodes, int(rng.integers(1, most_transfers + 1)))
        hold_s = rng.choice([0.0, 1e-3], len(src)) if rng.random() < 0.3 else 0.0
        rounds.append(Round(src, dst, random_sizes(rng, len(src)), hold_s))
    return rounds


def random_pairs(rng, nodes, count):
    """Return sources and destinations [count], nobody to itself."""
    src = rng.integers(len(nodes), size=count)
    dst = (src + rng.integers(1, len(nodes), size=count)) % len(nodes)
    return nodes[src], nodes[dst]


def plain(one):
    """Return a round as (src, dst, nbytes, hold_s) tuples of Python numbers."""
    hold_s = np.broadcast_to(one.hold_s, one.src.shape)
    return list(zip(one.src.tolist(), one.dst.tolist(), one.nbytes.tolist(), hold_s.tolist(), strict=True))


def route_of(topology):
    """Return a function from (src, dst) to the links of the route that the topology takes."""
    known = {}

    def route(src, dst):
        if (src, dst) not in known:
            known[src, dst] = topology.routes(np.array([src]), np.array([dst]))[1].tolist()
        return known[src, dst]

    return route
