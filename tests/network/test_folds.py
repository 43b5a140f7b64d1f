"""A part that stands for all of a plan gives what the solver gives for all, and gives way where all are not alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import simpy

from netsim.network import Flow, Round, folds, transports
from netsim.network.flow_network import FlowNetwork
from netsim.network.folds import FoldedFluid, fold_of
from netsim.network.links import Links
from netsim.network.run import plan_times
from netsim.sync import AllToAll, Hierarchical, Ring, Torus2d
from netsim.topology import GpuCluster, Star
from tests.network.test_lanes import compare, payload

IDEAL = transports.get("ideal")()


@pytest.fixture
def folded(monkeypatch):
    """Fold plans however small they are, and nothing else where it can be; return how often it was done, and undone."""
    times = Counter()

    def counted(cls, name):
        inner = getattr(cls, name)

        def call(self, *arguments):
            times[name] += isinstance(self, FoldedFluid)
            return inner(self, *arguments)

        monkeypatch.setattr(cls, name, call)

    monkeypatch.setattr(folds, "LEAST_TRANSFERS", 0)
    monkeypatch.setattr(folds, "LEAST_REPEATS", 0)
    monkeypatch.setattr(FlowNetwork, "_lanes", lambda *_: None)
    counted(FoldedFluid, "open")
    counted(FoldedFluid, "standing")
    return times


def random_case(rng):
    """Return machines that are alike, and a function to plans between all their workers that turn alike."""
    machines, gpus = int(rng.choice([2, 4, 6])), int(rng.choice([1, 2, 3]))
    cluster = GpuCluster(
        machines=machines,
        gpus_per_machine=gpus,
        cards_per_machine=int(rng.choice([1, 1, 2])),
        bandwidth=10 ** rng.uniform(8, 9),
        hop_bandwidth=10 ** rng.uniform(8, 10),
        latency=float(rng.choice([0.0, 1e-5, 1e-3])),
        hop_latency=float(rng.choice([0.0, 1e-6])),
    ).build(1)
    count, nodes = machines * gpus, cluster.workers
    rows = int(rng.choice([one for one in range(1, count + 1) if count % one == 0]))
    sync = [Torus2d(rows=rows), Torus2d(rows=rows), Ring(), Ring(rings=2), AllToAll(), Hierarchical()][rng.integers(6)]

    def rounds():
        one = replace(payload("sum", np.full(count, 10 ** rng.uniform(2, 7))), machines=cluster.machines[nodes])
        return list(sync.rounds(one, nodes, nodes[:0]))

    def joined_s():
        alike = np.tile(rng.choice([0.0, 1e-3, 2e-3], gpus), machines)
        return [np.zeros(count), alike, alike, rng.choice([0.0, 1e-3], count)][rng.integers(4)]

    return cluster, rounds, joined_s


def test_one_after_another_they_give_what_the_solver_gives(folded):
    """Begun together, a part at a time or unequally; the next is begun by those who are through with the former."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        topology, rounds, joined_s = random_case(rng)
        plans = []
        for number in range(int(rng.integers(1, 4))):
            after = number - 1 if number and rng.random() < 0.8 else None
            same = plans[-1][0] if plans and rng.random() < 0.5 else rounds()
            begin_s = 0.0 if after is not None else float(rng.choice([0.0, 1e-3]))
            plans.append((same, topology.workers, begin_s, joined_s(), after))
        compare(topology, plans, with_reference=False, direct=seed % 2 == 0, lazy=seed % 4 < 2)
    assert folded["open"] > 60
    assert folded["standing"] > 10


@pytest.mark.parametrize("seed", range(40))
def test_they_hand_over_where_they_stand(seed, folded):
    """A message meets them at some instant, in whichever round they are; links were held as long, and have carried."""
    rng = np.random.default_rng(10_000 + seed)
    topology, rounds, _ = random_case(rng)
    plan, nodes = rounds(), topology.workers
    end_s = plan_times(Flow(), topology, IDEAL, plan, nodes, collective=False).max()
    at_s, now_s = rng.random(2) * end_s
    src, dst = rng.permutation(np.concatenate([nodes, topology.servers]))[:2]
    other = [Round(np.array([src]), np.array([dst]), np.array([10 ** rng.uniform(2, 6)]))]
    zeros = np.zeros(len(nodes))
    plans = [(plan, nodes, 0.0, zeros, None), (other, np.array([src, dst]), at_s, np.zeros(2), None)]
    compare(topology, plans, with_reference=seed < 20, lazy=True)

    def until_now(collective):
        env = simpy.Environment()
        network = Flow().build(env, topology, IDEAL)
        network.begin(plan, nodes, lambda _: None, collective=collective).join(nodes)
        env.run(until=now_s)
        return network

    one, all_of_it = until_now(collective=True), until_now(collective=False)
    np.testing.assert_allclose(one.carried_bytes(), all_of_it.carried_bytes(), rtol=1e-9, atol=1e-3)
    np.testing.assert_allclose(one.held_s(), all_of_it.held_s(), rtol=1e-9, atol=1e-15)


def test_what_keeps_plans_from_being_folded(monkeypatch):
    monkeypatch.setattr(folds, "LEAST_TRANSFERS", 0)
    monkeypatch.setattr(folds, "LEAST_REPEATS", 0)
    cluster = GpuCluster(machines=4, gpus_per_machine=2, bandwidth=1e9, hop_bandwidth=1e10).build()
    nodes, place = cluster.workers, np.arange(len(cluster.names))
    src, dst = nodes, np.roll(nodes, -2)

    def shift(topology=cluster, nbytes=1e6, to=dst, hold_s=0.0):
        rounds = [Round(src, to, np.broadcast_to(nbytes, 8).astype(float), hold_s)] * 9
        found = fold_of(rounds, nodes, place, Links(topology, IDEAL))
        return None if found is None else found.shift

    assert shift() == 2  # a machine stands for all; its card is crossed by both of its workers
    assert shift(nbytes=np.tile([1.0, 2.0, 3.0, 4.0], 2)) == 4
    assert shift(nbytes=np.arange(8) + 1.0) is None
    assert shift(hold_s=np.array([1e-3, *[0.0] * 7])) is None
    assert shift(to=np.array([1, 2, 3, 4, 5, 6, 0, 0])) is None
    assert shift(to=np.roll(nodes, -1)) == 2
    star = Star(workers=8, bandwidth=1e9).build()
    assert shift(star) == 1
    for changed in ("capacity_bytes_per_s", "latency_s"):
        values = getattr(star, changed).copy()
        values[3] *= 2
        assert shift(replace(star, **{changed: values}, _predecessors={}, _distances={})) is None


def test_small_plans_are_not_looked_at():
    cluster = GpuCluster(machines=4, gpus_per_machine=4, bandwidth=1e9).build()
    rounds = list(Torus2d(rows=2).rounds(payload("sum", np.full(16, 1e6)), cluster.workers, cluster.servers))
    assert fold_of(rounds, cluster.workers, np.arange(len(cluster.names)), Links(cluster, IDEAL)) is None
