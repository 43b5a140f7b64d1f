"""Counts and capacities as the docstrings state them, and what traffic makes of them."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

import netsim
from netsim.api import collective_time, transfer_times
from netsim.errors import InputError
from netsim.topology import Dragonfly, FatTree, GpuCluster, LeafSpine, Star, Topology, Torus, Wan, topologies

B = 1e9
KINDS = {
    "star": Star(bandwidth=B),
    "gpu_cluster": GpuCluster(bandwidth=B, cards_per_machine=2),
    "leaf_spine": LeafSpine(bandwidth=B),
    "fat_tree": FatTree(bandwidth=B),
    "torus": Torus(bandwidth=B),
    "dragonfly": Dragonfly(bandwidth=B),
    "wan": Wan(round_trips=(0.01, 0.02, 0.03), wan_bandwidth=B / 10, bandwidth=B),
}


def hosts(topology):
    return np.concatenate([topology.workers, topology.servers])


def hops(topology, src, dst):
    start, _ = topology.routes(np.array([src]), np.array([dst]))
    return int(start[1])


def test_every_kind_is_here():
    assert set(KINDS) | {"file", "part"} == set(topologies)


@pytest.mark.parametrize("servers", [0, 1, 5])
@pytest.mark.parametrize("name", KINDS)
def test_hosts_are_all_there_and_reach_each_other_over_valid_routes(name, servers):
    kind = KINDS[name]
    topology = kind.build(servers)
    assert len(topology.workers) == kind.num_workers
    assert len(topology.servers) == servers
    assert [topology.names[one] for one in topology.workers] == [f"worker{i}" for i in range(kind.num_workers)]
    ends = hosts(topology)
    src, dst = (one[one_is_not_other] for one_is_not_other in [~np.eye(len(ends), dtype=bool).ravel()]
                for one in (np.repeat(ends, len(ends)), np.tile(ends, len(ends))))  # fmt: skip
    start, links = topology.routes(src, dst)
    for flow in range(0, len(src), 7):
        route = links[start[flow] : start[flow + 1]]
        walk = nx.DiGraph(zip(topology.link_src[route].tolist(), topology.link_dst[route].tolist(), strict=True))
        assert nx.shortest_path_length(walk, int(src[flow]), int(dst[flow])) == len(route)


@pytest.mark.parametrize("name", KINDS)
def test_routes_are_shortest(name):
    topology = KINDS[name].build()
    graph = nx.DiGraph(zip(topology.link_src.tolist(), topology.link_dst.tolist(), strict=True))
    lengths = dict(nx.all_pairs_shortest_path_length(graph))
    for src, dst in [(0, 1), (0, len(topology.workers) - 1), (1, len(topology.workers) // 2)]:
        if src != dst:
            assert hops(topology, src, dst) == lengths[src][dst]


@pytest.mark.parametrize(("leaves", "per_leaf", "spines"), [(4, 8, 2), (2, 3, 4), (1, 2, 1)])
def test_leaf_spine_counts_and_uplinks(leaves, per_leaf, spines):
    kind = LeafSpine(leaves=leaves, hosts_per_leaf=per_leaf, spines=spines, bandwidth=B, oversubscription=2)
    topology = kind.build(3)
    assert len(topology.link_src) == 2 * (leaves * per_leaf + leaves * spines) + 2 * 3
    names = np.array(topology.link_names)
    of_leaf = [place for place, name in enumerate(names) if name.startswith("leaf0->spine")]
    assert topology.capacity_bytes_per_s[of_leaf].sum() == pytest.approx(per_leaf * B / 2)


@pytest.mark.parametrize("k", [2, 4, 6, 8])
def test_fat_tree_counts(k):
    topology = FatTree(k=k, bandwidth=B).build(2)
    assert len(topology.workers) == k**3 // 4
    assert len(topology.names) == k**3 // 4 + 2 + k * k + k * k // 4
    assert len(topology.link_src) == 3 * k**3 // 2 + 4
    ports = np.bincount(topology.link_src, minlength=len(topology.names))
    assert (ports[len(topology.workers) + 2 + 2 :] == k).all()
    if k > 2:
        assert [hops(topology, 0, other) for other in (1, k // 2, k * k // 4)] == [2, 4, 6]


@pytest.mark.parametrize(
    ("shape", "links"), [((4, 4), 64), ((3, 3, 3), 162), ((2, 2), 8), ((2, 3), 18), ((1, 4), 8), ((4, 2, 2), 64)]
)
def test_torus_counts(shape, links):
    topology = Torus(shape=shape, bandwidth=B).build(1)
    assert len(topology.link_src) == links + 2
    graph = nx.Graph(zip(topology.link_src.tolist(), topology.link_dst.tolist(), strict=True))
    graph.remove_node(int(topology.servers[0]))
    assert nx.diameter(graph) == sum(size // 2 for size in shape)


@pytest.mark.parametrize(("a", "p", "h"), [(4, 2, 2), (2, 1, 1), (3, 2, 1), (1, 2, 3)])
def test_dragonfly_counts(a, p, h):
    kind = Dragonfly(routers_per_group=a, hosts_per_router=p, global_links_per_router=h, bandwidth=B)
    topology, groups = kind.build(1), a * h + 1
    assert len(topology.workers) == a * p * groups
    assert len(topology.link_src) == groups * (a * (a - 1) + 2 * a * p) + groups * (groups - 1) + 2
    degree = np.bincount(topology.link_src, minlength=len(topology.names))[len(hosts(topology)) :]
    assert sorted(degree)[:-1] == [a - 1 + p + h] * (a * groups - 1)
    assert sorted(degree)[-1] == a - 1 + p + h + 1  # the server's router
    assert max(hops(topology, 0, other) for other in topology.workers[1:]) <= 5


def test_wan_pairs_have_their_own_round_trips():
    topology = Wan(
        round_trips=(0.010, 0.020, 0.030), workers_per_site=2, wan_bandwidth=B, bandwidth=B, latency=0.0
    ).build()
    assert len(topology.link_src) == 2 * 6 + 6
    times = transfer_times(
        topology, ["worker0", "worker0", "worker2", "worker0"], ["worker2", "worker4", "worker4", "worker1"], 0.0
    )
    np.testing.assert_allclose(times, [0.005, 0.010, 0.015, 0.0])
    with pytest.raises(InputError, match="2 round trips"):
        Wan(round_trips=(0.1, 0.1), wan_bandwidth=B, bandwidth=B)
    with pytest.raises(InputError, match="1 windows"):
        Wan(round_trips=(0.1,), wan_bandwidth=B, bandwidth=B, windows=(1e6,))


def test_hosts_of_a_site_have_its_window_and_switches_have_none():
    topology = Wan(round_trips=(0.1,), workers_per_site=2, bandwidth=B, windows=(1e6, 2e6)).build(2)
    np.testing.assert_array_equal(topology.window_bytes[topology.workers], [1e6, 1e6, 2e6, 2e6])
    np.testing.assert_array_equal(topology.window_bytes[topology.servers], [1e6, 2e6])
    assert np.isnan(topology.window_bytes).sum() == 2


def test_wan_and_torus_can_be_written_as_text():
    wan = netsim.topology(
        "wan", round_trips=["10 ms", "20 ms", "30 ms"], wan_bandwidth="1 Gbit/s", bandwidth="10 Gbit/s"
    )
    assert len(wan.workers) == 3
    assert len(netsim.topology("torus", shape=[2, 3], bandwidth="1 Gbit/s").workers) == 6
    for fields in ({"shape": [2]}, {"shape": [2, 2, 2, 2]}, {"shape": [0, 2]}):
        with pytest.raises(netsim.errors.NetsimError):
            netsim.topology("torus", bandwidth="1 Gbit/s", **fields)
    with pytest.raises(netsim.errors.NetsimError):
        netsim.topology("fat_tree", k=3, bandwidth="1 Gbit/s")


def test_a_hash_spreads_flows_over_equal_routes_and_always_the_same_way():
    kind = LeafSpine(leaves=8, hosts_per_leaf=8, spines=4, bandwidth=B)
    topology = kind.build()
    src, dst = (one.ravel() for one in np.meshgrid(np.arange(32), np.arange(32, 64), indexing="ij"))
    start, links = topology.routes(src, dst)
    spine = [name.split(">")[1] for name in np.array(topology.link_names)[links] if "->spine" in name]
    counts = np.unique(spine, return_counts=True)[1]
    assert len(counts) == 4
    assert (np.abs(counts / len(src) - 0.25) < 0.05).all()
    again_start, again = kind.build().routes(src[::-1], dst[::-1])
    for flow in (0, 17, 500):
        other = len(src) - 1 - flow
        assert set(links[start[flow] : start[flow + 1]]) == set(again[again_start[other] : again_start[other + 1]])
    assert sorted(np.unique(spine)) == [f"spine{i}" for i in range(4)]


def test_hashes_are_pinned():
    """The same routes on every machine and in every version: predictions depend on them."""
    topology = FatTree(k=4, bandwidth=B).build()
    start, links = topology.routes(np.array([0, 1, 2, 5]), np.array([15, 14, 9, 0]))
    routes = [set(np.array(topology.link_names)[links[start[flow] : start[flow + 1]]]) for flow in range(4)]
    cores = [name.split("->")[1] for route in routes for name in route if "->core" in name]
    assert cores == ["core0.0", "core1.1", "core1.0", "core1.1"]


@pytest.mark.parametrize("oversubscription", [1, 4])
def test_an_all_to_all_feels_the_oversubscription(oversubscription):
    """One spine, so that no hash collides: h (h (l-1)) shards leave a leaf over h/o of a host's bandwidth."""
    leaves, per_leaf = 4, 4
    kind = LeafSpine(
        leaves=leaves, hosts_per_leaf=per_leaf, spines=1, bandwidth=B, latency=0.0, oversubscription=oversubscription
    )
    n, nbytes = leaves * per_leaf, 1.6e8
    share = nbytes / n
    own_s, leaf_s = (n - 1) * share / B, per_leaf * (n - per_leaf) * share / (per_leaf * B / oversubscription)
    seconds = collective_time(kind.build(), "all_to_all", nbytes, algorithm="all_to_all")
    assert seconds == pytest.approx(max(own_s, leaf_s))


def test_rails_are_reached_inside_the_machine():
    rails = GpuCluster(machines=2, gpus_per_machine=2, cards_per_machine=2, bandwidth=B, rail_optimised=True)
    topology, plain = rails.build(), replace(rails, rail_optimised=False).build()
    assert len(topology.link_src) == len(plain.link_src) == 2 * 2 * (2 + 2 + 1)
    names = np.array(topology.link_names)
    _, links = topology.routes(np.array([0]), np.array([3]))
    assert {"machine0.hub0->machine0.hub1", "machine0.hub1->rail1"} <= set(names[links])
    _, links = plain.routes(np.array([0]), np.array([3]))
    assert "machine0.hub0->switch" in set(np.array(plain.link_names)[links])


def test_a_ring_on_a_torus_of_neighbours_runs_at_the_links_rate():
    n, nbytes = 4, 1e8
    topology = Torus(shape=(1, n), bandwidth=B, latency=0.0).build()
    assert collective_time(topology, "all_reduce", nbytes) == pytest.approx(2 * (n - 1) / n * nbytes / B)


def test_graphs_of_ones_own_may_ask_for_ecmp():
    graph = nx.Graph(ecmp=True)
    for spine in "xy":
        graph.add_node(spine, kind="switch")
    for host in range(40):
        for spine in "xy":
            graph.add_edge(host, spine, bandwidth=B)
    topology = Topology.from_networkx(graph)
    src, dst = topology.nodes([str(i) for i in range(20)]), topology.nodes([str(i) for i in range(20, 40)])
    _, links = topology.routes(src, dst)
    assert len(np.unique(topology.link_dst[links])) > 20 + 1
