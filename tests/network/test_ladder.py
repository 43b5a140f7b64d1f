"""The fidelity ladder: what holds between fidelities, and what every fidelity and every run must keep to."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.api import transfer_times
from netsim.network import Round, fidelities, kernel, transports
from netsim.network.fluid import Fluid
from netsim.network.links import Links
from netsim.network.run import plan_times
from netsim.sync import AllGather, AllToAll, ParameterServer, Payload, Ring, Tree
from netsim.topology import Star, Topology
from tests.network import reference
from tests.network.platforms import plain, random_pairs, random_rounds, random_sizes, random_topology, route_of
from tests.network.progressive import max_min_rates
from tests.network.solved import held

IDEAL = transports.get("ideal")()
LADDER = ("ideal", "analytic", "flow")
SEEDS = st.integers(0, 2**32 - 1)
ROUNDING = 1 + 1e-12
any_plan = settings(max_examples=60, deadline=None)


def makespan(network, topology, rounds, nodes, joined_s=None):
    fidelity = fidelities.get(network)()
    return plan_times(fidelity, topology, IDEAL, rounds, nodes, joined_s, collective=False).max()


def random_plan(seed):
    """Return a topology, rounds over its workers, and when they join."""
    rng = np.random.default_rng(seed)
    topology = random_topology(rng)
    if len(topology.workers) < 2:
        topology = Star(workers=2, bandwidth=1e9).build()
    rounds = random_rounds(rng, topology.workers)
    joined_s = np.zeros(len(topology.workers)) if rng.random() < 0.5 else rng.uniform(0, 0.1, len(topology.workers))
    return topology, rounds, joined_s


@pytest.mark.parametrize(("lower", "higher"), list(combinations(LADDER, 2)))
@any_plan
@given(seed=SEEDS)
def test_a_lower_fidelity_never_ends_a_plan_later(lower, higher, seed):
    topology, rounds, joined_s = random_plan(seed)
    low_s, high_s = (makespan(one, topology, rounds, topology.workers, joined_s) for one in (lower, higher))
    assert low_s <= high_s * ROUNDING


@any_plan
@given(seed=SEEDS)
def test_any_plan_in_the_flow_network_ends_as_the_rule_of_time_says(seed):
    topology, rounds, joined_s = random_plan(seed)
    nodes = topology.workers
    got = plan_times(fidelities.get("flow")(), topology, IDEAL, rounds, nodes, joined_s, collective=False)
    plan = reference.Plan([plain(one) for one in rounds], dict(zip(nodes.tolist(), joined_s.tolist(), strict=True)))
    reference.run_plans(topology.capacity_bytes_per_s.tolist(), topology.latency_s.tolist(), route_of(topology), [plan])
    np.testing.assert_allclose(got, [plan.finish_s[node] for node in nodes.tolist()], rtol=1e-9)


SYMMETRIC = [
    Ring(),
    AllGather(),
    AllToAll(),
    Tree(),
    ParameterServer(),
    ParameterServer(servers=2, sharding="even"),
    ParameterServer(servers=8, placement="colocated", sharding="even"),
]


@pytest.mark.parametrize("sync", SYMMETRIC, ids=lambda one: f"{one.kind}-{getattr(one, 'servers', '')}")
@any_plan
@given(
    nbytes=st.sampled_from([0.0, 1.0, 1e3]) | st.floats(1.0, 1e9),
    latency_s=st.sampled_from([0.0, 25e-6, 1e-2]),
    bandwidth=st.floats(1e6, 1e11),
)
def test_symmetric_plans_end_together_in_analytic_and_flow(sync, nbytes, latency_s, bandwidth):
    """Eight equal workers with equal messages on equal links: no bound is loose."""
    topology = Star(workers=8, bandwidth=bandwidth, latency=latency_s).build(sync.dedicated_servers)
    payload = Payload("sum", np.full(8, nbytes), nbytes, np.ones(1, dtype=np.int64))
    rounds = sync.rounds(payload, topology.workers, topology.servers)
    nodes = np.concatenate([topology.workers, topology.servers])
    analytic_s, flow_s = (makespan(network, topology, rounds, nodes) for network in ("analytic", "flow"))
    assert analytic_s == pytest.approx(flow_s, rel=1e-9)
    workers_s = plan_times(fidelities.get("flow")(), topology, IDEAL, rounds, nodes)[:8]
    if not isinstance(sync, Tree):
        np.testing.assert_allclose(workers_s, workers_s[0], rtol=1e-9)  # symmetric in, symmetric out


@any_plan
@given(seed=SEEDS, nbytes=st.floats(0, 1e9))
def test_one_message_on_an_idle_path_takes_latency_and_the_slowest_link(seed, nbytes):
    rng = np.random.default_rng(seed)
    topology = random_topology(rng)
    if len(topology.workers) < 2:
        return
    src, dst = random_pairs(rng, topology.workers, 1)
    route = route_of(topology)(int(src[0]), int(dst[0]))
    expected_s = topology.latency_s[route].sum() + nbytes / topology.capacity_bytes_per_s[route].min()
    one = [Round(src, dst, np.array([nbytes]))]
    for network in ("analytic", "flow"):
        assert transfer_times(topology, src, dst, nbytes, network=network)[0] == pytest.approx(expected_s, rel=1e-9)
        assert makespan(network, topology, one, np.concatenate([src, dst])) == pytest.approx(expected_s, rel=1e-9)


def changed(topology, bandwidth_x):
    """Return the topology with no latency and all capacities multiplied."""
    graph = nx.DiGraph()
    graph.add_nodes_from(enumerate({"kind": "switch"} for _ in topology.names))
    for worker in topology.workers.tolist():
        graph.nodes[worker]["kind"] = "worker"
    ends = zip(topology.link_src.tolist(), topology.link_dst.tolist(), topology.capacity_bytes_per_s, strict=True)
    graph.add_edges_from((u, v, {"bandwidth": capacity * bandwidth_x}) for u, v, capacity in ends)
    return Topology.from_networkx(graph)


@pytest.mark.parametrize("network", ["analytic", "flow"])
@any_plan
@given(seed=SEEDS)
def test_double_bandwidth_at_zero_latency_halves_the_time(network, seed):
    topology, rounds, _ = random_plan(seed)
    rounds = [Round(one.src, one.dst, one.nbytes) for one in rounds]
    once_s, twice_s = (makespan(network, changed(topology, x), rounds, topology.workers) for x in (1, 2))
    assert twice_s == pytest.approx(once_s / 2, rel=1e-9)


@any_plan
@given(seed=SEEDS)
def test_one_more_transfer_into_a_shared_link_finishes_no_other_earlier(seed):
    """A theorem where one link only is shared, whatever caps the senders' own links set.

    There every active transfer gets min(own cap, common level), and the level falls with the number of the active. So
    none is ever ahead of where it is without the newcomer. On general graphs it is no theorem: see the next test.
    """
    rng = np.random.default_rng(seed)
    senders = int(rng.integers(2, 8))
    graph = nx.star_graph(senders)
    for _, leaf, data in graph.edges(data=True):
        data["bandwidth"] = 1e9 if leaf == 1 else 10 ** rng.uniform(7, 10)
        data["latency"] = float(rng.choice([0.0, 1e-3]))
    topology = Topology.from_networkx(graph)
    src = rng.permutation(np.arange(2, senders + 1))  # each has its own link; all go to node 1
    nbytes, start_s = random_sizes(rng, len(src)), rng.choice([0.0, 1e-3, 0.1], len(src))
    dst = np.ones_like(src)
    alone = transfer_times(topology, src[:-1], dst[:-1], nbytes[:-1], start_s[:-1])
    together = transfer_times(topology, src, dst, nbytes, start_s)[:-1]
    assert (together >= alone / ROUNDING).all()


def test_one_more_transfer_can_finish_another_earlier_where_links_differ():
    """Max-min fairness on a star: newcomers slow a down where they meet it, and b has more of the link that a leaves.

    a: 0 -> 1 and b: 2 -> 1 share node 1's link half and half. Three more from node 0 leave a a quarter of node 0's
    link; b gets three quarters of node 1's, and its 1 GB is over after 4/3 s, not 2 s.
    """
    topology = Star(workers=6, bandwidth=1e9, latency=0.0).build()
    before = transfer_times(topology, [0, 2], [1, 1], [1e9, 1e9])
    after = transfer_times(topology, [0, 2, 0, 0, 0], [1, 1, 3, 4, 5], 1e9)
    np.testing.assert_allclose(before, [2.0, 2.0], rtol=1e-9)
    assert after[1] == pytest.approx(4 / 3, rel=1e-9)
    assert after[0] > before[0]


@pytest.mark.parametrize("network", LADDER)
@any_plan
@given(seed=SEEDS)
def test_bytes_in_are_bytes_out(network, seed):
    """Every link is given what its routes carry; what leaves a node and what reaches it add up over its links."""
    topology, rounds, _ = random_plan(seed)
    env = simpy.Environment()
    built = fidelities.get(network)().build(env, topology, IDEAL)
    times = []
    built.begin(rounds, topology.workers, lambda _: times.append(env.now), collective=False).join(topology.workers)
    env.run()
    size = len(topology.names)
    out, into = (np.bincount(ends, built.links.nbytes, size) for ends in (topology.link_src, topology.link_dst))
    sent = sum(np.bincount(one.src, one.nbytes, size) for one in rounds)
    received = sum(np.bincount(one.dst, one.nbytes, size) for one in rounds)
    np.testing.assert_allclose(out - into, sent - received, atol=1e-6 * max(out.sum(), 1.0))
    assert sent.sum() == pytest.approx(received.sum())
    if network == "flow":  # what a link has carried, it had the time to carry
        assert (built.links.nbytes <= topology.capacity_bytes_per_s * max(times) * (1 + 1e-9)).all()


@any_plan
@given(seed=SEEDS)
def test_no_link_is_ever_above_its_capacity_and_every_rate_is_held_by_a_full_link(seed):
    """What max-min means: each transfer crosses a full link on which nobody has more (Bertsekas, Gallager, 6.5.2)."""
    rng = np.random.default_rng(seed)
    links = Links(random_topology(rng), IDEAL)
    nodes, capacity = np.arange(len(links.topology.names)), links.capacity
    count = int(rng.integers(2, 40))
    src, dst = random_pairs(rng, nodes, count)
    routed = links.routed(src, dst)
    begin_s = routed.delay_s + rng.choice([0.0, 0.01, rng.uniform(0, 0.1)], count)
    fluid, solved = Fluid(links), 0
    fluid.queue(routed, begin_s, random_sizes(rng, count))
    now_s = 0.0
    while now_s < np.inf:
        now_s = fluid.run(now_s, now_s)
        flow_of, link_of, rates = held(fluid)
        used = np.bincount(link_of, rates[flow_of], len(capacity))
        most = np.zeros(len(capacity))
        np.maximum.at(most, link_of, rates[flow_of])
        assert (used <= capacity * (1 + 1e-9)).all()
        holds = (used[link_of] >= capacity[link_of] * (1 - 1e-9)) & (rates[flow_of] >= most[link_of] * (1 - 1e-9))
        assert np.isin(np.arange(len(rates)), flow_of[holds]).all()
        np.testing.assert_allclose(rates, max_min_rates(capacity, flow_of, link_of, len(rates)), rtol=1e-9)
        solved += len(rates)
    assert solved
    assert (fluid.core.counts[[kernel.NECKS, kernel.PENDING]] == 0).all()
    assert fluid.core.counts[kernel.FREE] == len(fluid.core.most)
    assert (fluid.core.links[:, [kernel.ROW, kernel.COLUMN]] == kernel.NONE).all()


@pytest.mark.parametrize("network", LADDER)
@any_plan
@given(seed=SEEDS)
def test_nobody_finishes_before_it_has_joined_nor_before_its_own_bytes_have_passed(network, seed):
    topology, rounds, joined_s = random_plan(seed)
    nodes = topology.workers
    times = plan_times(fidelities.get(network)(), topology, IDEAL, rounds, nodes, joined_s, collective=False)
    assert np.isfinite(times).all()
    assert (times >= joined_s / ROUNDING).all()
    if network == "flow":
        route = route_of(topology)
        for one in rounds:
            for src, dst, nbytes, hold_s in plain(one):
                links = route(src, dst)
                least_s = hold_s + topology.latency_s[links].sum()
                least_s += nbytes / topology.capacity_bytes_per_s[links].min()
                for node in (src, dst):
                    at = int(np.flatnonzero(nodes == node)[0])
                    source = int(np.flatnonzero(nodes == src)[0])
                    assert times[at] >= (joined_s[source] + least_s) / ROUNDING


@any_plan
@given(seed=SEEDS)
def test_max_min_rates_are_those_of_plain_progressive_filling(seed):
    rng = np.random.default_rng(seed)
    links, flows = int(rng.integers(1, 15)), int(rng.integers(1, 25))
    capacity = rng.choice([1.0, 2.0, 10 ** rng.uniform(-3, 3)], links)
    routes = [rng.permutation(links)[: int(rng.integers(1, links + 1))].tolist() for _ in range(flows)]
    flow_of = np.repeat(np.arange(flows), [len(route) for route in routes])
    rates = max_min_rates(capacity, flow_of, np.concatenate(routes).astype(np.int64), flows)
    np.testing.assert_allclose(rates, reference.max_min(capacity.tolist(), routes), rtol=1e-9)


def test_the_same_plan_gives_the_same_bits():
    topology, rounds, joined_s = random_plan(7)
    times = [makespan("flow", topology, rounds, topology.workers, joined_s) for _ in range(2)]
    assert times[0] == times[1]
