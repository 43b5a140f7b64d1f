"""A simulated all-reduce costs events by its rounds and its stragglers, never by its messages."""

from __future__ import annotations

import numpy as np
import pytest

from netsim.sync import AllToAll, ParameterServer, Ring, Tree
from tests.network.counting import run_collective

NUMBERS = [8, 32, 64, 256]
SYNCS = [Ring(), Tree(), AllToAll(), ParameterServer(), ParameterServer(servers=4, sharding="even")]
each = pytest.mark.parametrize("sync", SYNCS, ids=lambda one: f"{one.kind}-{getattr(one, 'servers', '')}")


@each
@pytest.mark.parametrize("network", ["analytic", "flow"])
@pytest.mark.parametrize("n", NUMBERS)
def test_symmetric_workers_cost_events_by_the_round(sync, network, n):
    """Everyone joins at once; a round is at most an arrival and a completion, a fast ring a handful in all."""
    _, events, solves, rounds = run_collective(sync, n, 1e8, network=network)
    if network == "analytic" or sync.kind == "ring":
        assert events <= 4
        assert solves == 0
    else:
        assert events <= 4 + 4 * rounds
        assert solves <= 2 + 3 * rounds


@pytest.mark.parametrize("sync", [Ring(), Tree(), ParameterServer()], ids=lambda one: one.kind)
@pytest.mark.parametrize("n", NUMBERS)
def test_stragglers_cost_events_by_the_worker(sync, n):
    """Unequal joins: each worker may join, arrive and complete at instants of its own, in each of a few phases."""
    joined_s = np.random.default_rng(n).uniform(0, 1, n)
    _, events, _, _ = run_collective(sync, n, 1e6, joined_s)
    assert events <= 12 * n + 20


@pytest.mark.parametrize("spread_s", [1e-3, 0.05, 1.0])
@pytest.mark.parametrize("n", [8, 16, 32, 64])
def test_an_all_to_all_of_stragglers_costs_no_event_a_message(n, spread_s):
    """Apart, in each other's way, and almost together: n^2 messages, events by the worker."""
    joined_s = np.random.default_rng(n).uniform(0, spread_s, n)
    _, events, _, _ = run_collective(AllToAll(), n, 1e7, joined_s)
    assert events <= 12 * n + 20
