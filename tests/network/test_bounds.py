"""The closed-form fidelities with several plans under way: each ends as if it were alone, and is told of once."""

from __future__ import annotations

import numpy as np
import pytest
import simpy

from netsim.network import fidelities, transports
from netsim.network.run import plan_times
from tests.network.platforms import random_rounds, random_star

IDEAL = transports.get("ideal")()


@pytest.mark.parametrize("network", ["ideal", "analytic"])
@pytest.mark.parametrize("seed", range(20))
def test_plans_do_not_meet(network, seed):
    rng = np.random.default_rng(seed)
    topology = random_star(rng, int(rng.integers(3, 9)))
    workers, fidelity = topology.workers, fidelities.get(network)()
    plans = [(random_rounds(rng, workers), rng.integers(0, 4, len(workers)) / 64) for _ in range(4)]
    env, told = simpy.Environment(), [[] for _ in plans]
    built = fidelity.build(env, topology, IDEAL)
    for number, (rounds, joined_s) in enumerate(plans):
        execution = built.begin(rounds, workers, lambda nodes, to=told[number]: to.append((env.now, nodes.tolist())))
        for worker, at_s in zip(workers, joined_s, strict=True):
            joining = env.timeout(at_s, value=np.array([worker]))
            joining.callbacks.append(lambda fired, execution=execution: execution.join(fired.value))
    env.run()
    for (rounds, joined_s), said in zip(plans, told, strict=True):
        alone_s = plan_times(fidelity, topology, IDEAL, rounds, workers, joined_s)
        assert [nodes for _, nodes in said] == [workers.tolist()]
        np.testing.assert_allclose(said[0][0], alone_s, rtol=1e-9)


@pytest.mark.parametrize("network", ["ideal", "analytic", "flow"])
def test_a_plan_begun_by_the_end_of_another_follows_it(network):
    """The end of one plan begins the next within the call, at that very instant, ten times over."""
    rng = np.random.default_rng(0)
    topology = random_star(rng, 4)
    workers, fidelity = topology.workers, fidelities.get(network)()
    rounds = random_rounds(rng, workers)
    env, ends_s, finished = simpy.Environment(), [], []
    built = fidelity.build(env, topology, IDEAL)

    def begin():
        finished.clear()
        built.begin(rounds, workers, ended, collective=False).join(workers)

    def ended(nodes):
        finished.extend(nodes.tolist())
        if len(finished) == len(workers):
            ends_s.append(env.now)
            if len(ends_s) < 10:
                begin()

    begin()
    env.run()
    alone_s = plan_times(fidelity, topology, IDEAL, rounds, workers, collective=False).max()
    np.testing.assert_allclose(ends_s, alone_s * np.arange(1, 11), rtol=1e-9, atol=1e-12)
