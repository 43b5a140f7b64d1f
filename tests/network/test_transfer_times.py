"""Independent transfers against plain progressive filling, on random platforms and on ones whose routes are certain."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.api import collective_time, transfer_times
from netsim.engine.simulate import simulate
from netsim.errors import InputError
from netsim.topology import Star, Topology
from tests.network import reference
from tests.network.platforms import (
    random_graph,
    random_pairs,
    random_sizes,
    random_star,
    random_tree,
    route_of,
    topology_of,
)

EXACT = {"rtol": 1e-9, "atol": 0.0}


def random_starts(rng, count):
    """Return start seconds: all zero, some equal, or all different."""
    spread_s = float(rng.choice([0.0, 1e-3, 0.1]))
    return np.round(rng.uniform(0, 1, count), int(rng.choice([1, 12]))) * spread_s


def both(topology, src, dst, nbytes, start_s, routes=None):
    """Return what netsim says and what the reference says."""
    route = route_of(topology)
    routes = routes or [route(u, v) for u, v in zip(src.tolist(), dst.tolist(), strict=True)]
    capacity, latency = topology.capacity_bytes_per_s.tolist(), topology.latency_s.tolist()
    expected = reference.transfer_times(capacity, latency, routes, nbytes.tolist(), start_s.tolist())
    return transfer_times(topology, src, dst, nbytes, start_s), np.array(expected)


def check(rng, topology, most_transfers, routes_of=None):
    src, dst = random_pairs(rng, np.arange(len(topology.names)), int(rng.integers(2, most_transfers + 1)))
    nbytes, start_s = random_sizes(rng, len(src)), random_starts(rng, len(src))
    routes = routes_of(src.tolist(), dst.tolist()) if routes_of else None
    got, expected = both(topology, src, dst, nbytes, start_s, routes)
    np.testing.assert_allclose(got, expected, **EXACT)


@pytest.mark.parametrize("seed", range(100))
def test_random_platforms_give_what_progressive_filling_gives(seed):
    rng = np.random.default_rng(seed)
    check(rng, random_graph(rng), most_transfers=60)


@pytest.mark.parametrize("seed", range(8))
def test_many_transfers_give_what_progressive_filling_gives(seed):
    rng = np.random.default_rng(1000 + seed)
    topology = random_graph(rng, least_links=20)
    src, dst = random_pairs(rng, np.arange(len(topology.names)), 200)
    got, expected = both(topology, src, dst, random_sizes(rng, 200), random_starts(rng, 200))
    np.testing.assert_allclose(got, expected, **EXACT)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_seed_gives_what_progressive_filling_gives(seed):
    rng = np.random.default_rng(seed)
    check(rng, random_graph(rng, most_links=12), most_transfers=20)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([0.0, 1.0, 1e6, 1e6 + 1, 3e8]), min_size=1, max_size=12),
    starts=st.lists(st.sampled_from([0.0, 1e-3, 0.5]), min_size=12, max_size=12),
    latency_s=st.sampled_from([0.0, 1e-5, 1e-3]),
)
def test_one_shared_link_gives_what_progressive_filling_gives(sizes, starts, latency_s):
    graph = nx.Graph([("a", "b", {"bandwidth": 1e9, "latency": latency_s})])
    topology = Topology.from_networkx(graph)
    src = np.zeros(len(sizes), dtype=np.int64)
    got, expected = both(topology, src, src + 1, np.array(sizes), np.array(starts[: len(sizes)]))
    np.testing.assert_allclose(got, expected, **EXACT)


def only_paths(graph, topology):
    """Return the routes of a tree, where there is only one path between two nodes, without netsim's own routing."""
    link = {
        pair: place
        for place, pair in enumerate(zip(topology.link_src.tolist(), topology.link_dst.tolist(), strict=True))
    }
    paths = dict(nx.all_pairs_shortest_path(graph))

    def routes(src, dst):
        hops = [paths[u][v] for u, v in zip(src, dst, strict=True)]
        return [[link[hop] for hop in itertools.pairwise(path)] for path in hops]

    return routes


@pytest.mark.parametrize("shape", ["line", "tree", "star"])
@pytest.mark.parametrize("seed", range(15))
def test_certain_routes_give_what_progressive_filling_gives(shape, seed):
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(3, 21))
    graph = {"line": nx.path_graph, "tree": lambda n: random_tree(rng, n), "star": nx.star_graph}[shape](nodes)
    topology = topology_of(rng, graph)
    check(rng, topology, 40, only_paths(graph, topology))


def test_three_on_a_line_share_as_the_textbook_says():
    """One long flow meets a short one on each of two links of 1 and 2: it gets 1/2, they get 1/2 and 3/2."""
    graph = nx.Graph([(0, 1, {"bandwidth": 1e9}), (1, 2, {"bandwidth": 2e9})])
    topology = Topology.from_networkx(graph)
    times = transfer_times(topology, [0, 0, 1], [2, 1, 2], [0.5e9, 0.5e9, 1.5e9])
    np.testing.assert_allclose(times, [1.0, 1.0, 1.0], **EXACT)


def test_latency_holds_no_bandwidth():
    graph = nx.Graph([(0, 1, {"bandwidth": 1e9}), (1, 2, {"bandwidth": 1e9, "latency": 10.0})])
    times = transfer_times(Topology.from_networkx(graph), [0, 0], [2, 1], [1e9, 1e9])
    np.testing.assert_allclose(times, [11.0, 1.0], **EXACT)


@pytest.mark.parametrize("network", ["ideal", "analytic", "flow"])
def test_zero_bytes_take_the_latency_and_no_transfers_take_no_rows(network):
    topology = Star(workers=3, bandwidth=1e9, latency=1e-3).build()
    empty = transfer_times(topology, [], [], [], network=network)
    assert empty.shape == (0,)
    zero = transfer_times(topology, [0, 2], [1, 1], 0.0, [0.0, 2.0], network=network)
    np.testing.assert_allclose(zero, np.array([0.0, 2.0]) + (0.0 if network == "ideal" else 1e-3), **EXACT)


@pytest.mark.parametrize("seed", range(20))
def test_fidelities_are_ordered_for_every_transfer(seed):
    rng = np.random.default_rng(seed)
    topology = random_star(rng, 6)
    src, dst = random_pairs(rng, topology.workers, 15)
    nbytes, start_s = random_sizes(rng, 15), random_starts(rng, 15)
    ideal, analytic, flow = (
        transfer_times(topology, src, dst, nbytes, start_s, network=network)
        for network in ("ideal", "analytic", "flow")
    )
    assert (ideal <= analytic * (1 + 1e-12)).all()
    assert (analytic <= flow * (1 + 1e-12)).all()


def test_names_and_indices_say_the_same():
    topology = Star(workers=3, bandwidth=1e9).build()
    by_name = transfer_times(topology, ["worker0", "worker2"], ["worker1", "worker1"], 1e6)
    np.testing.assert_array_equal(by_name, transfer_times(topology, [0, 2], [1, 1], 1e6))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"src": ["worker9"]}, "worker9"),
        ({"src": [17]}, "17"),
        ({"src": [-1]}, "-1"),
        ({"src": [0.5]}, "0.5"),
        ({"src": [None]}, "None"),
        ({"dst": [0]}, "itself"),
        ({"dst": [1, 2]}, "2 destinations"),
        ({"nbytes": -1.0}, "nbytes"),
        ({"nbytes": float("nan")}, "nbytes"),
        ({"nbytes": "much"}, "nbytes"),
        ({"nbytes": [1.0, 2.0]}, "nbytes"),
        ({"nbytes": [[1.0]]}, "nbytes"),
        ({"start_s": float("inf")}, "start_s"),
        ({"start_s": -1e-9}, "start_s"),
        ({"network": "flo"}, "flow"),
        ({"transport": "tpc"}, "tcp"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments, said):
    topology = Star(workers=3, bandwidth=1e9).build()
    with pytest.raises(InputError, match=said) as caught:
        transfer_times(topology, **{"src": [0], "dst": [1], "nbytes": 1.0} | arguments)
    assert caught.value.remedy


def test_one_transfer_needs_no_list():
    topology = Star(workers=3, bandwidth=1e9).build()
    assert transfer_times(topology, "worker0", 2, 1e9).tolist() == transfer_times(topology, [0], [2], 1e9).tolist()


def test_what_is_no_topology_and_no_scenario_is_refused():
    with pytest.raises(InputError, match=r"'star' is no topology; build one, as in netsim.topology"):
        transfer_times("star", [0], [1], 1.0)
    with pytest.raises(InputError, match=r"'star' is no topology"):
        collective_time("star", "all_reduce", 1e6)
    with pytest.raises(InputError, match=r"is no scenario; give one of those that netsim.load returns"):
        simulate("quickstart.yaml")
