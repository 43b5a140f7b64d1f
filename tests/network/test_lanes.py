"""The recurrence fast path gives what the general solver gives, alone and where plans meet, begin and hand over."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import simpy

from netsim.network import Flow, Round, fidelities, transports
from netsim.network.fluid import Fluid
from netsim.network.lanes import _go_round, levels, owners
from netsim.network.links import Links
from netsim.network.run import plan_times
from netsim.sync import AllGather, AllToAll, HalvingDoubling, Hierarchical, Payload, Ring, Torus2d, Tree
from netsim.topology import GpuCluster, Star, Topology
from tests.network import reference
from tests.network.platforms import (
    dyadic_star,
    plain,
    random_cluster,
    random_pairs,
    random_sizes,
    random_star,
    random_topology,
    route_of,
)

IDEAL = transports.get("ideal")()


def payload(op, up_bytes):
    up_bytes = np.asarray(up_bytes, dtype=np.float64)
    return Payload(op, up_bytes, float(up_bytes.max()), np.ones(1, dtype=np.int64))


def ring(rng, workers):
    """Return a ring all-reduce of one size, or a ring all-gather of unequal messages, some of them empty."""
    if rng.random() < 0.5:
        return list(Ring().rounds(payload("sum", np.full(len(workers), 10 ** rng.uniform(0, 8))), workers, workers[:0]))
    return list(Ring().rounds(payload("gather", random_sizes(rng, len(workers))), workers, workers[:0]))


def joins(rng, count):
    """Return when nodes join: together, at a few equal instants, or at unequal ones."""
    return [np.zeros(count), rng.integers(0, 3, count) * 1e-3, rng.uniform(0, 0.05, count)][rng.integers(3)]


def with_sparse_rounds(rng, workers):
    """Return rounds in which nodes may idle and transfers be held or empty, then a ring, so that all depend on all."""
    rounds = []
    for _ in range(int(rng.integers(1, 5))):
        some = rng.random(len(workers)) < 0.6
        shift = int(rng.integers(1, len(workers)))
        src, dst = workers[some], np.roll(workers, -shift)[some]
        rounds.append(Round(src, dst, random_sizes(rng, len(src)), rng.choice([0.0, 2e-3], len(src))))
    return rounds + ring(rng, workers)


@pytest.fixture
def fast_only(monkeypatch):
    """Fail where a plan is not run as a recurrence."""

    def refuse(*_):
        raise AssertionError("the general solver was used")

    monkeypatch.setattr(Fluid, "open", refuse)


@pytest.mark.parametrize("build", [random_star, random_cluster, random_topology], ids=lambda one: one.__name__)
@pytest.mark.parametrize("seed", range(40))
def test_alone_it_gives_what_the_solver_and_the_reference_give(build, seed):
    rng = np.random.default_rng(seed)
    topology = build(rng, int(rng.integers(2, 9))) if build is random_star else build(rng)
    workers = topology.workers if build is random_cluster else rng.permutation(topology.workers)
    rounds = ring(rng, workers) if build is random_cluster else with_sparse_rounds(rng, workers)
    joined_s = joins(rng, len(workers))
    fast, forced = (
        plan_times(Flow(), topology, IDEAL, rounds, workers, joined_s, collective=collective)
        for collective in (True, False)
    )
    np.testing.assert_allclose(fast, forced, rtol=1e-9)
    plan = reference.Plan([plain(one) for one in rounds], dict(zip(workers.tolist(), joined_s.tolist(), strict=True)))
    reference.run_plans(topology.capacity_bytes_per_s.tolist(), topology.latency_s.tolist(), route_of(topology), [plan])
    np.testing.assert_allclose(fast, [plan.finish_s[node] for node in workers.tolist()], rtol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_rings_on_stars_and_clusters_are_recurrences(seed, fast_only):
    rng = np.random.default_rng(seed)
    for topology in (random_star(rng, int(rng.integers(2, 9))), random_cluster(rng)):
        workers = topology.workers
        plan_times(Flow(), topology, IDEAL, ring(rng, workers), workers, joins(rng, len(workers)))


def test_plans_whose_transfers_may_meet_are_not_recurrences():
    topology = Star(workers=4, bandwidth=1e9).build()
    links = Links(topology, IDEAL)

    def owned(*pairs):
        src, dst = np.array(pairs).T
        return owners([Round(src, dst, np.ones(len(src)))], links)

    assert owned((0, 1), (1, 2), (2, 0)) is not None
    assert owned((0, 1), (2, 1)) is None  # two into one
    assert owned((0, 1), (0, 2)) is None  # one into two
    one, other = Round(np.array([0]), np.array([1]), np.ones(1)), Round(np.array([2]), np.array([1]), np.ones(1))
    assert owners([one, other], links) is None  # the rule of time does not keep these two apart
    assert owners([one, Round(np.array([0]), np.array([2]), np.ones(1))], links) is not None
    assert owners(Tree().rounds(payload("sum", np.ones(4)), topology.workers, topology.servers), links) is None


def even_cluster(rng):
    """Return a cluster whose machines are all alike, with a server host that jobs may leave alone."""
    machines, gpus = int(rng.integers(2, 5)), int(rng.choice([1, 2, 4]))
    hop, hop_s = 1e9 * 10 ** rng.uniform(-1, 1), float(rng.choice([0.0, 1e-5]))
    return GpuCluster(
        machines=machines, gpus_per_machine=gpus, bandwidth=1e9, hop_bandwidth=hop, hop_latency=hop_s, latency=1e-5
    ).build(1)


def level_rounds(rng, topology, nodes):
    """Return rounds in which transfers of equal size may share cards: between machines, or of all with all."""
    one = payload("sum", np.full(len(nodes), 10 ** rng.uniform(3, 7)))
    machines = topology.machines[nodes]
    even = len(set(np.unique(machines, return_counts=True)[1].tolist())) == 1
    syncs = [AllToAll(), HalvingDoubling(), *([Hierarchical()] if even else [])]
    op = replace(one, machines=machines)
    return list(syncs[rng.integers(len(syncs))].rounds(op, nodes, nodes[:0]))


@pytest.mark.parametrize("sync", [Hierarchical(), AllToAll(), HalvingDoubling()], ids=lambda one: one.kind)
def test_plans_that_share_links_alike_are_recurrences(sync, fast_only):
    topology = GpuCluster(machines=4, gpus_per_machine=4, bandwidth=1e9, hop_bandwidth=1e10).build()
    workers = topology.workers
    one = replace(payload("sum", np.full(16, 1e6)), machines=topology.machines[workers])
    if sync.kind != "hierarchical":  # partners are in the machine or beyond
        topology = Star(workers=16, bandwidth=1e9).build()
        workers = topology.workers
    plan_times(Flow(), topology, IDEAL, list(sync.rounds(one, workers, workers[:0])), workers)


def test_what_keeps_rounds_from_being_level():
    topology = Star(workers=4, bandwidth=1e9).build()
    links, nodes = Links(topology, IDEAL), topology.workers
    src, dst = np.array([0, 0, 1, 1, 2, 2, 3, 3]), np.array([1, 2, 2, 3, 3, 0, 0, 1])

    def level(nbytes=1e6, hold_s=0.0, some=slice(None)):
        sizes = np.broadcast_to(nbytes, 8).astype(float)
        return levels([Round(src[some], dst[some], sizes[some], hold_s)], nodes, links)

    assert list(level().values()) == [0.5e9]  # two share each link
    assert level(nbytes=np.arange(8) + 1.0) is None
    assert level(hold_s=np.array([0.0, *[1e-3] * 7])) is None
    assert level(some=[0, 1, 3]) is None  # the third is alone on its way
    assert level(some=slice(0, 2)) is None  # 3 idles, and would go on at once
    assert level(nbytes=0.0) is not None


def test_a_torus_is_level_where_its_rows_are_machines():
    """Rows that cross machines are rings in which workers of a machine wait unequally: columns then begin apart."""
    topology = GpuCluster(machines=4, gpus_per_machine=4, bandwidth=1e9, hop_bandwidth=1e10).build()
    links, workers = Links(topology, IDEAL), topology.workers
    by_machine, across = (
        list(Torus2d(rows=rows).rounds(payload("sum", np.full(16, 1e6)), workers, workers[:0])) for rows in (4, 2)
    )
    assert levels(by_machine, workers, links) is not None
    assert levels(across, workers, links) is None
    times_s = [plan_times(Flow(), topology, IDEAL, by_machine, workers, collective=one) for one in (True, False)]
    np.testing.assert_allclose(*times_s, rtol=1e-9)
    along = across[:7]
    assert owners(along, links) is not None
    ends_s = plan_times(Flow(), topology, IDEAL, along, workers)
    assert np.ptp(ends_s[:4]) > 1e-3 * ends_s.max()
    np.testing.assert_allclose(ends_s[:4], ends_s[8:12], rtol=1e-12)


@pytest.mark.parametrize("seed", range(150))
def test_level_plans_give_what_the_solver_gives(seed):
    """Begun together or not, one after another, and where another plan breaks in or is met."""
    rng = np.random.default_rng(70_000 + seed)
    topology = even_cluster(rng)
    plans = []
    for number in range(int(rng.integers(1, 5))):
        some = topology.workers[: int(rng.integers(2, len(topology.workers) + 1))]
        nodes = [topology.workers, some, some[::-1]][rng.integers(3)]
        rounds = level_rounds(rng, topology, nodes) if rng.random() < 0.8 else ring(rng, nodes)
        after = int(rng.integers(number)) if number and rng.random() < 0.6 else None
        begin_s = float(rng.choice([0.0, 1e-3, rng.uniform(0, 0.02)])) if after is None else 0.0
        plans.append((rounds, nodes, begin_s, joins(rng, len(nodes)), after))
    compare(topology, plans, with_reference=False, direct=seed % 2 == 0, lazy=seed % 4 < 2)


@pytest.mark.parametrize("seed", range(60))
def test_level_plans_hand_over_where_they_stand(seed):
    """Another plan meets them at some instant between their beginning and their end, in whichever round they are."""
    rng = np.random.default_rng(90_000 + seed)
    topology = even_cluster(rng)
    nodes = topology.workers
    rounds = level_rounds(rng, topology, nodes)
    at_s = rng.random() * plan_times(Flow(), topology, IDEAL, rounds, nodes).max()
    src, dst = rng.permutation(nodes)[:2]
    other = [Round(np.array([src]), np.array([dst]), np.array([10 ** rng.uniform(2, 6)]))]
    plans = [(rounds, nodes, 0.0, np.zeros(len(nodes)), None), (other, np.array([src, dst]), at_s, np.zeros(2), None)]
    compare(topology, plans, with_reference=seed < 20, lazy=True)


@pytest.mark.parametrize("seed", range(30))
def test_level_plans_hold_their_links_as_long_as_in_the_solver(seed):
    rng = np.random.default_rng(80_000 + seed)
    topology = even_cluster(rng)
    rounds, nodes = level_rounds(rng, topology, topology.workers), topology.workers
    breaks_in = [Round(nodes[:1], nodes[1:2], np.array([1e5]))], nodes[:2], 1e-3, np.zeros(2), None
    plans = [(rounds, nodes, 0.0, np.zeros(len(nodes)), None), *([breaks_in] if seed % 2 else [])]
    fast, forced = (Run(topology, plans, fast=one) for one in (True, False))
    np.testing.assert_allclose(fast.network.held_s(), forced.network.held_s(), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("seed", range(20))
def test_rounds_that_are_repeated_are_those_gone_through_one_by_one(seed):
    """Unequal links, joins and missing ones: at some round everybody keeps pace with the slowest, or never."""
    rng = np.random.default_rng(seed)
    count, times = int(rng.integers(2, 40)), int(rng.integers(1, 2000))
    src = rng.permutation(count)
    wait_s, move_s = rng.choice([0.0, 1e-5, 1e-3], count), rng.choice([1e-3, 1e-3, rng.uniform(1e-4, 1e-2)], count)
    joined_s = joins(rng, count)
    if seed % 5 == 0:
        joined_s[0] = np.inf
    at_once, expected = joined_s.copy(), joined_s.copy()
    _go_round(at_once, src, np.roll(src, -1), wait_s, move_s, times)
    for _ in range(times):
        _go_round(expected, src, np.roll(src, -1), wait_s, move_s, 1)
    np.testing.assert_allclose(at_once, expected, rtol=1e-11)


class Run:
    """Runs plans on one network and notes when every node finishes each of them.

    A plan is (rounds, nodes, begin_s, joined_s, after): it is announced at begin_s; node i joins at joined_s[i], or
    where `after` is a plan, joined_s[i] seconds after it has finished that. `direct` says that a node which need
    not wait joins within the call that tells it of the former end; `lazy` that a plan begins with its first join.
    """

    def __init__(self, topology, plans, *, fast, direct=False, lazy=False):
        self.env = simpy.Environment()
        self.network = fidelities.get("flow")().build(self.env, topology, IDEAL)
        self.plans, self.fast, self.direct = plans, fast, direct
        self.finish_s = [{} for _ in plans]
        self.told = [0] * len(plans)
        self.executions = {}
        for number, (_, nodes, begin_s, joined_s, after) in enumerate(plans):
            if not lazy:
                self._at(begin_s, self._execution, number)
            for node, delay_s in zip(nodes.tolist(), joined_s.tolist(), strict=True):
                if after is None or node not in plans[after][1]:
                    self._at(begin_s + delay_s, self._join, number, node)
        self.env.run()

    def _at(self, at_s, action, *arguments):
        self.env.timeout(max(at_s - self.env.now, 0.0)).callbacks.append(lambda _: action(*arguments))

    def _execution(self, number):
        if number not in self.executions:
            rounds, nodes, *_ = self.plans[number]
            done = lambda finished: self._done(number, finished.tolist())  # noqa: E731
            self.executions[number] = self.network.begin(rounds, nodes, done, collective=self.fast)
        return self.executions[number]

    def _join(self, number, node):
        self._execution(number).join(np.array([node]))

    def _done(self, number, finished):
        for node in finished:
            self.told[number] += 1
            self.finish_s[number][node] = self.env.now
        for later, (_, nodes, _, joined_s, after) in enumerate(self.plans):
            if after != number:
                continue
            for place in np.flatnonzero(np.isin(nodes, finished)):
                if joined_s[place] == 0 and self.direct:
                    self._join(later, nodes[place])
                else:
                    self._at(self.env.now + joined_s[place], self._join, later, nodes[place])


def compare(topology, plans, *, with_reference, **how):
    fast, forced = (Run(topology, plans, fast=one, **how) for one in (True, False))
    for number, (rounds, nodes, *_) in enumerate(plans):
        assert fast.told[number] == forced.told[number] == len(nodes), "everyone finishes once"
        order = nodes.tolist()
        got, expected = ([run.finish_s[number][node] for node in order] for run in (fast, forced))
        np.testing.assert_allclose(got, expected, rtol=1e-9, err_msg=f"plan {number} of {len(rounds)} rounds")
    np.testing.assert_allclose(fast.network.links.nbytes, forced.network.links.nbytes)
    if with_reference:
        plain_plans = [
            reference.Plan(
                [plain(one) for one in rounds],
                dict(zip(nodes.tolist(), (begin_s + joined_s).tolist(), strict=True)),
            )
            for rounds, nodes, begin_s, joined_s, _ in plans
        ]
        capacity, latency = topology.capacity_bytes_per_s.tolist(), topology.latency_s.tolist()
        reference.run_plans(capacity, latency, route_of(topology), plain_plans)
        for number, plan in enumerate(plain_plans):
            for node, finish_s in plan.finish_s.items():
                assert fast.finish_s[number][node] == pytest.approx(finish_s, rel=1e-9)


def some_plan(rng, topology, same_order):
    """Return rounds and nodes of a plan over some workers: a ring, sparse rounds and a ring, or a tree."""
    workers = topology.workers
    count = int(rng.integers(2, len(workers) + 1))
    nodes = workers[:count] if same_order else rng.permutation(workers)[:count]
    shape = rng.integers(5)
    if shape == 0:
        return list(Tree().rounds(payload("sum", np.full(count, 10 ** rng.uniform(0, 8))), nodes, nodes[:0])), nodes
    return (with_sparse_rounds if shape == 1 else ring)(rng, nodes), nodes


@pytest.mark.parametrize("same_order", [True, False], ids=["same-ring", "any-ring"])
@pytest.mark.parametrize("seed", range(100))
def test_plans_begun_at_random_times_give_what_the_solver_gives(seed, same_order):
    rng = np.random.default_rng(seed)
    topology = random_topology(rng)
    plans = []
    for _ in range(int(rng.integers(2, 4))):
        rounds, nodes = some_plan(rng, topology, same_order)
        begin_s = float(rng.choice([0.0, 1e-3, rng.uniform(0, 0.1)]))
        plans.append((rounds, nodes, begin_s, joins(rng, len(nodes)), None))
    compare(topology, plans, with_reference=seed < 60, lazy=seed % 2 == 0)


@pytest.mark.parametrize("same_order", [True, False], ids=["same-ring", "any-ring"])
@pytest.mark.parametrize("seed", range(100))
def test_nodes_that_go_on_to_the_next_plan_give_what_the_solver_gives(seed, same_order):
    """Nodes join each plan some time, or no time at all, after they have finished the one before."""
    rng = np.random.default_rng(5000 + seed)
    topology = random_topology(rng)
    plans = []
    for number in range(int(rng.integers(2, 5))):
        rounds, nodes = some_plan(rng, topology, same_order)
        after = int(rng.integers(number)) if number else None
        plans.append((rounds, nodes, 0.0, joins(rng, len(nodes)), after))
    compare(topology, plans, with_reference=False, direct=seed % 2 == 0, lazy=seed % 4 < 2)


@pytest.mark.parametrize("seed", range(40))
def test_nodes_that_do_not_wait_for_the_former_plan_give_what_the_solver_gives(seed):
    """Buckets of one step: the same ring again and again, each joined while the one before is under way."""
    rng = np.random.default_rng(9000 + seed)
    topology = random_cluster(rng) if seed % 2 else random_star(rng, int(rng.integers(2, 9)))
    workers = topology.workers
    ready_s = rng.uniform(0, 0.02, len(workers)) if rng.random() < 0.5 else np.zeros(len(workers))
    gap_s = float(10 ** rng.uniform(-5, -1))
    plans = [(ring(rng, workers), workers, 0.0, ready_s + gap_s * bucket, None) for bucket in range(3)]
    compare(topology, plans, with_reference=seed < 20)


@pytest.mark.parametrize("seed", range(100))
def test_plans_that_end_and_begin_at_the_same_instants_give_what_the_solver_gives(seed):
    rng = np.random.default_rng(20000 + seed)
    topology = dyadic_star(rng, int(rng.integers(2, 6)))
    workers, plans = topology.workers, []
    for number in range(int(rng.integers(2, 5))):
        nodes = rng.permutation(workers)[: int(rng.integers(2, len(workers) + 1))] if rng.random() < 0.7 else workers
        rounds = []
        for _ in range(int(rng.integers(0, 3))):
            nbytes = 2.0**16 * rng.integers(0, 3, len(nodes))
            rounds.append(Round(nodes, np.roll(nodes, -1), nbytes, rng.choice([0.0, 1 / 32], len(nodes))))
        rounds += list(
            AllGather().rounds(payload("gather", 2.0**16 * rng.integers(0, 3, len(nodes))), nodes, nodes[:0])
        )
        begin_s, joined_s = rng.integers(0, 16) / 64, rng.integers(0, 8, len(nodes)) / 64 * rng.integers(2)
        after = int(rng.integers(number)) if number and rng.random() < 0.5 else None
        plans.append((rounds, nodes, 0.0 if after is not None else begin_s, joined_s, after))
    compare(topology, plans, with_reference=all(plan[-1] is None for plan in plans), direct=seed % 2 == 0)


def test_a_plan_that_ends_at_the_instant_another_begins_is_told_of():
    """A ring ends at 1 s exactly, when a plan that may not run beside it is announced."""
    topology = Star(workers=3, bandwidth=2.0**20, latency=0.0).build()
    pair = np.array([0, 1])
    one = Round(pair, pair[::-1].copy(), np.full(2, 2.0**20))
    other = Round(np.array([2]), np.array([1]), np.array([2.0**20]))
    plans = [([one], pair, 0.0, np.zeros(2), None), ([other], np.array([2, 1]), 1.0, np.zeros(2), None)]
    run = Run(topology, plans, fast=True)
    assert run.finish_s == [{0: 1.0, 1: 1.0}, {2: 2.0, 1: 2.0}]


def test_a_plan_that_breaks_in_at_the_instant_others_end_is_told_of_once():
    """Two equal rings on separate hosts end together; the first to be told begins a plan that may not run beside."""
    topology = Star(workers=4, bandwidth=1e9, latency=0.0).build()
    env = simpy.Environment()
    network = Flow().build(env, topology, IDEAL)
    told = []

    def begin_another(nodes):
        told.extend(nodes.tolist())
        src, dst = np.array([0, 2]), np.array([1, 1])
        network.begin([Round(src, dst, np.ones(2))], np.arange(3), lambda _: None, collective=False).join(np.arange(3))

    for pair, done in (([0, 1], begin_another), ([2, 3], lambda nodes: told.extend(nodes.tolist()))):
        nodes = np.array(pair)
        rounds = list(Ring().rounds(payload("sum", np.full(2, 1e6)), nodes, nodes[:0]))
        network.begin(rounds, nodes, done).join(nodes)
    env.run()
    assert sorted(told) == [0, 1, 2, 3]


def test_a_ring_that_meets_a_transfer_shares_the_link_from_then_on():
    """A node's 2 MB at 1 GB/s are half sent when another transfer takes half of the link: 1 + 2 x 1 ms."""
    graph = nx.star_graph(["switch", "a", "b", "c"])
    nx.set_edge_attributes(graph, 1e9, "bandwidth")
    nx.set_node_attributes(graph, {"switch": "switch"}, "kind")
    topology = Topology.from_networkx(graph)
    a, b, c = topology.nodes(["a", "b", "c"])
    one = Round(np.array([a, b]), np.array([b, a]), np.array([2e6, 2e6]))
    other = Round(np.array([c]), np.array([b]), np.array([1e7]))
    plans = [
        ([one], np.array([a, b]), 0.0, np.zeros(2), None),
        ([other], np.array([c, b]), 1e-3, np.zeros(2), None),
    ]
    run = Run(topology, plans, fast=True)
    assert run.finish_s[0][a] == pytest.approx(3e-3, rel=1e-12)  # a waits for its own send, b's comes after 2 ms
    assert run.finish_s[1][c] == pytest.approx(1e-3 + 2e-3 + 9e-3, rel=1e-12)


def test_random_pairs_never_send_to_themselves():
    src, dst = random_pairs(np.random.default_rng(0), np.arange(5), 1000)
    assert (src != dst).all()
