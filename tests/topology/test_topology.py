"""Topologies: what a graph becomes, routes, registered kinds, files, and what is refused."""

from __future__ import annotations

import itertools
import json

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.errors import InputError
from netsim.topology import File, GpuCluster, Part, Star, Topology, topologies
from tests.network.platforms import random_graph, random_topology

SMALL = {
    "star": [Star(workers=n, bandwidth=1e9) for n in (1, 2, 5)],
    "gpu_cluster": [
        GpuCluster(machines=m, gpus_per_machine=g, cards_per_machine=c, bandwidth=1e9)
        for m, g, c in [(1, 1, 1), (1, 4, 2), (2, 3, 1), (3, 4, 2), (2, 4, 4), (2, 1, 3)]
    ],
    "part": [Part(cluster=Star(workers=5, bandwidth=1e9), workers=w, placement="spread") for w in (1, 3, 5)],
}


def links_of(topology):
    """Return {(src, dst): (capacity, latency, local)} by name."""
    names = topology.names
    values = zip(
        topology.capacity_bytes_per_s.tolist(), topology.latency_s.tolist(), topology.local.tolist(), strict=True
    )
    ends = zip(topology.link_src.tolist(), topology.link_dst.tolist(), strict=True)
    return {(names[u], names[v]): value for (u, v), value in zip(ends, values, strict=True)}


@pytest.fixture(params=[name for name in topologies if name != "file"])
def kinds(request):
    """Return small members of every registered kind; a new kind is made from its defaults and a bandwidth."""
    return SMALL.get(request.param) or [topologies.get(request.param)(bandwidth=1e9)]


@pytest.mark.parametrize("servers", [0, 1, 3])
def test_every_kind_has_its_hosts_is_connected_and_has_equal_capacity_both_ways(kinds, servers):
    for kind in kinds:
        topology = kind.build(servers)
        assert len(topology.workers) == kind.num_workers
        assert len(topology.servers) == servers
        links = links_of(topology)
        assert len(links) == len(topology.link_src), "no two links join the same nodes"
        assert all(links[v, u] == value for (u, v), value in links.items())
        assert (topology.capacity_bytes_per_s > 0).all()
        assert (topology.latency_s >= 0).all()
        graph = nx.DiGraph(list(links))
        graph.add_nodes_from(topology.names)
        assert nx.is_strongly_connected(graph)
        bandwidth, latency_s = kind.access
        assert bandwidth > 0
        assert latency_s >= 0


@pytest.mark.parametrize("servers", [0, 2])
@pytest.mark.parametrize("workers", [1, 2, 9])
def test_a_star_has_the_links_its_docstring_counts(workers, servers):
    topology = Star(workers=workers, bandwidth=1e9, latency=4e-6, server_bandwidth=4e9).build(servers)
    assert len(topology.link_src) == 2 * (workers + servers)
    assert len(topology.names) == workers + servers + 1
    np.testing.assert_allclose(topology.latency_s, 2e-6)
    links = links_of(topology)
    assert links["worker0", "switch"][0] == 1e9
    assert all(links[f"server{index}", "switch"][0] == 4e9 for index in range(servers))


@pytest.mark.parametrize("servers", [0, 2])
@pytest.mark.parametrize(("m", "g", "c"), [(1, 1, 1), (2, 4, 1), (3, 4, 2), (2, 4, 4), (2, 2, 3)])
def test_a_gpu_cluster_has_the_links_its_docstring_counts(m, g, c, servers):
    topology = GpuCluster(machines=m, gpus_per_machine=g, cards_per_machine=c, bandwidth=1e9).build(servers)
    assert len(topology.link_src) == 2 * m * (g + c + c * (c - 1) // 2) + 2 * servers
    assert len(topology.names) == m * g + m * c + servers + 1
    assert int(topology.local.sum()) == 2 * m * (g + c * (c - 1) // 2)
    assert np.array_equal(topology.workers, np.arange(m * g))


def test_the_gpus_of_a_machine_meet_below_the_switch():
    topology = GpuCluster(machines=2, gpus_per_machine=4, cards_per_machine=2, bandwidth=1e9).build()
    start, links = topology.routes(np.array([0, 0, 0, 0]), np.array([2, 1, 4, 5]))
    assert np.diff(start).tolist() == [2, 3, 4, 4]  # one hub, hub to hub, other machine by like card, and by the other
    local = [topology.local[links[a:b]].sum() for a, b in itertools.pairwise(start)]
    assert local == [2, 3, 2, 2]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_routes_are_paths_of_the_fewest_hops_and_then_the_least_latency(seed):
    rng = np.random.default_rng(seed)
    topology = random_graph(rng, most_links=25) if seed % 2 else random_topology(rng)
    size = len(topology.names)
    graph = nx.DiGraph()
    ends = zip(topology.link_src.tolist(), topology.link_dst.tolist(), topology.latency_s.tolist(), strict=True)
    graph.add_weighted_edges_from((u, v, 1 + latency_s) for u, v, latency_s in ends)  # latencies add up to less than 1
    src = rng.integers(size, size=20)
    dst = (src + rng.integers(1, size, 20)) % size
    start, links = topology.routes(src, dst)
    assert start[0] == 0
    assert start[-1] == len(links)
    best = dict(nx.all_pairs_dijkstra_path_length(graph))
    for flow, (u, v) in enumerate(zip(src.tolist(), dst.tolist(), strict=True)):
        route = links[start[flow] : start[flow + 1]]
        after = dict(zip(topology.link_src[route].tolist(), topology.link_dst[route].tolist(), strict=True))
        here, hops = u, 0
        while here != v:
            here, hops = after[here], hops + 1
        assert hops == len(route) == int(best[u][v])
        assert len(route) + topology.latency_s[route].sum() == pytest.approx(best[u][v], rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_no_route_has_more_hops_than_are_said_to_be_the_most(seed, directed):
    rng = np.random.default_rng(seed)
    graph = nx.gnp_random_graph(
        int(rng.integers(1, 12)), float(rng.random() ** 2), seed=seed % 2**31, directed=directed
    )
    nx.set_edge_attributes(graph, 1e9, "bandwidth")
    farthest = max(hops for _, there in nx.all_pairs_shortest_path_length(graph) for hops in there.values())
    most = Topology.from_networkx(graph).most_hops()
    assert farthest <= most
    assert directed or most <= 2 * farthest, "the bound decides at scale whether caps are looked for at all"


def test_routes_do_not_depend_on_what_was_asked_before():
    rng = np.random.default_rng(3)
    topology, again = random_graph(rng), random_graph(np.random.default_rng(3))
    src, dst = np.arange(3), np.array([2, 0, 1])
    for one in range(3):
        again.routes(src[one : one + 1], dst[one : one + 1])
    for got, expected in zip(again.routes(src, dst), topology.routes(src, dst), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_an_undirected_edge_is_a_link_each_way():
    graph = nx.Graph()
    graph.add_edge("a", "b", bandwidth="8 Gbit/s", latency="2 s", local=True)
    graph.add_node("s", kind="switch")
    graph.add_node("p", kind="server")
    graph.add_edge("b", "s", bandwidth=2e9)
    graph.add_edge("s", "p", bandwidth="1 GB/s", latency=1e-3)
    topology = Topology.from_networkx(graph)
    assert links_of(topology) == {
        ("a", "b"): (1e9, 2.0, True),
        ("b", "a"): (1e9, 2.0, True),
        ("b", "s"): (2e9, 0.0, False),
        ("s", "b"): (2e9, 0.0, False),
        ("s", "p"): (1e9, 1e-3, False),
        ("p", "s"): (1e9, 1e-3, False),
    }
    assert [topology.names[one] for one in topology.workers] == ["a", "b"]
    assert [topology.names[one] for one in topology.servers] == ["p"]
    assert sorted(topology.link_names) == sorted(f"{u}->{v}" for u, v in links_of(topology))


def test_a_directed_edge_is_a_link_one_way():
    graph = nx.DiGraph()
    graph.add_edge(0, 1, bandwidth=1e9)
    graph.add_edge(1, 2, bandwidth=2e9)
    graph.add_edge(2, 0, bandwidth=3e9)
    topology = Topology.from_networkx(graph)
    assert links_of(topology) == {("0", "1"): (1e9, 0, 0), ("1", "2"): (2e9, 0, 0), ("2", "0"): (3e9, 0, 0)}
    assert np.diff(topology.routes(np.array([1, 0]), np.array([0, 1]))[0]).tolist() == [2, 1]


def test_nodes_are_given_by_name_or_index():
    topology = Star(workers=2, bandwidth=1e9).build(1)
    assert topology.nodes(["worker1", 0, np.int64(2), np.str_("switch")]).tolist() == [1, 0, 2, 3]


@pytest.mark.parametrize("wrong", ["worker", "", -1, 4, 1.5, None, True])
def test_unknown_nodes_are_refused(wrong):
    with pytest.raises(InputError, match="no node"):
        Star(workers=2, bandwidth=1e9).build(1).nodes([wrong])


def test_sending_to_itself_and_to_nowhere_is_refused_by_name():
    graph = nx.DiGraph([("a", "b", {"bandwidth": 1e9})])
    topology = Topology.from_networkx(graph)
    with pytest.raises(InputError, match="'a' sends to itself"):
        topology.routes(np.array([0]), np.array([0]))
    with pytest.raises(InputError, match="no route from 'b' to 'a'"):
        topology.routes(np.array([0, 1]), np.array([1, 0]))


def edge(**attributes):
    return nx.Graph([("a", "b", attributes)])


def kind(name):
    graph = edge(bandwidth=1e9)
    graph.nodes["a"]["kind"] = name
    return graph


WRONG = {
    "no bandwidth": (edge(latency=0.0), "edge a - b has no bandwidth"),
    "no unit": (edge(bandwidth="10"), "edge a - b.*unit"),
    "zero bandwidth": (edge(bandwidth=0.0), "bandwidth"),
    "negative bandwidth": (edge(bandwidth=-1.0), "bandwidth"),
    "infinite bandwidth": (edge(bandwidth=float("inf")), "bandwidth"),
    "bandwidth of nothing": (edge(bandwidth=None), "bandwidth"),
    "bandwidth of a list": (edge(bandwidth=[1e9]), "bandwidth"),
    "negative latency": (edge(bandwidth=1e9, latency=-1e-6), "latency|duration"),
    "latency that is no number": (edge(bandwidth=1e9, latency=float("nan")), "latency|duration"),
    "latency in bytes": (edge(bandwidth=1e9, latency="5 MB"), "edge a - b"),
    "local as text": (edge(bandwidth=1e9, local="false"), "local"),
    "ecmp as text": (nx.Graph([("a", "b", {"bandwidth": 1e9})], ecmp="false"), "the graph has ecmp='false'"),
    "unknown kind": (kind("swich"), "swich"),
    "no worker": (nx.create_empty_copy(nx.Graph()), "no worker"),
    "to itself": (nx.Graph([("a", "a", {"bandwidth": 1e9})]), "itself"),
    "parallel": (nx.MultiGraph([("a", "b", {"bandwidth": 1e9})]), "parallel"),
    "parallel, directed": (nx.MultiDiGraph([("a", "b", {"bandwidth": 1e9})]), "parallel"),
    "two of a name": (nx.Graph([("1", 1, {"bandwidth": 1e9})]), "same name"),
}


@pytest.mark.parametrize(("graph", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_graph_is_said_with_a_remedy(graph, said):
    with pytest.raises(InputError, match=said) as caught:
        Topology.from_networkx(graph)
    assert caught.value.remedy


def written(tmp_path, graph, form):
    path = tmp_path / f"cluster.{'graphml' if form == 'graphml' else 'json'}"
    if form == "graphml":
        nx.write_graphml(graph, path)
    else:
        path.write_text(json.dumps(nx.node_link_data(graph, edges=form)), encoding="utf-8")
    return str(path)


def cluster(graph_type):
    graph = graph_type()
    graph.add_node("s", kind="switch")
    graph.add_node("p", kind="server")
    for worker, speed in (("a", "10 Gbit/s"), ("b", "5 Gbit/s"), ("p", "40 Gbit/s")):
        pairs = [(worker, "s")] if graph_type is nx.Graph else [(worker, "s"), ("s", worker)]
        graph.add_edges_from(pairs, bandwidth=speed, latency="10 us", local=worker == "a")
    return graph


@pytest.mark.parametrize("form", ["graphml", "links", "edges"])
@pytest.mark.parametrize("graph_type", [nx.Graph, nx.DiGraph])
def test_a_file_gives_the_topology_of_its_graph(tmp_path, graph_type, form):
    graph = cluster(graph_type)
    kind = File(path=written(tmp_path, graph, form))
    topology, expected = kind.build(1), Topology.from_networkx(graph)
    assert links_of(topology) == links_of(expected)
    assert topology.names == expected.names
    assert [topology.names[one] for one in topology.workers] == ["a", "b"]
    assert kind.num_workers == 2
    assert kind.access == pytest.approx((0.625e9, 1e-5))


def test_a_file_with_too_few_servers_is_refused(tmp_path):
    with pytest.raises(InputError, match="2 dedicated servers") as caught:
        File(path=written(tmp_path, cluster(nx.Graph), "graphml")).build(2)
    assert "cluster.graphml" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.json", None, "cannot be read"),
        ("none.graphml", None, "cannot be read"),
        ("cut.json", '{"nodes": [', "not a graph"),
        ("list.json", "[]", "not a graph"),
        ("empty.json", "{}", "not a graph"),
        ("cut.graphml", "<graphml", "not a graph"),
        ("graph.yaml", "a: b", "ending"),
        (
            "bare.json",
            '{"nodes": [{"id": 1}, {"id": 2}], "links": [{"source": 1, "target": 2, "bandwidth": 10}]}',
            "unit",
        ),
        ("window.json", '{"nodes": [{"id": 1, "window": 10}, {"id": 2}], "links": []}', "node 1.*unit"),
        ("shut.json", '{"nodes": [{"id": 1, "window": "0 B"}, {"id": 2}], "links": []}', "window of 0"),
        ("switches.json", '{"nodes": [{"id": 1, "kind": "switch"}], "links": []}', "no worker"),
        (
            "twice.json",
            '{"nodes": [{"id": 1}, {"id": 2}], "links": [{"source": 1, "target": 2, "bandwidth": "1 GB/s"}, '
            '{"source": 1, "target": 2, "bandwidth": "1 GB/s"}]}',
            "parallel",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_its_name(tmp_path, name, text, said):
    path = tmp_path / name
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said) as caught:
        File(path=str(path)).build()
    assert name in str(caught.value)
    assert caught.value.remedy


def test_a_file_written_by_hand_need_not_say_what_it_is_not(tmp_path):
    """networkx writes `multigraph` and `directed`; people leave them out, and mean a simple undirected graph."""
    path = tmp_path / "pair.json"
    text = '{"nodes": [{"id": "a"}, {"id": "b"}], "edges": [{"source": "a", "target": "b", "bandwidth": "1 GB/s"}]}'
    path.write_text(text, encoding="utf-8")
    assert set(links_of(File(path=str(path)).build())) == {("a", "b"), ("b", "a")}
