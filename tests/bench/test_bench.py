"""How long simulating takes. Run with `pytest tests/bench`; prints medians and asserts counts only, never seconds."""

from __future__ import annotations

import numpy as np
import pytest

from netsim.api import transfer_times
from netsim.sync import AllToAll, ParameterServer, Ring
from tests.network.counting import run_collective
from tests.network.platforms import random_graph, random_pairs


@pytest.mark.parametrize("workers", [256, 1024])
def test_ring_all_reduce_of_100_mb(benchmark, workers):
    seconds, events, solves, rounds = benchmark(run_collective, Ring(), workers, 1e8)
    assert seconds == pytest.approx(2 * (workers - 1) * (25e-6 + 1e8 / (workers * 1.25e9)))
    assert (events <= 4, solves, rounds) == (True, 0, 2 * (workers - 1))


def test_ring_all_reduce_of_1024_in_the_analytic_bound(benchmark):
    _, events, solves, _ = benchmark(run_collective, Ring(), 1024, 1e8, network="analytic")
    assert (events <= 4, solves) == (True, 0)


def test_ring_all_reduce_of_1024_stragglers(benchmark):
    joined_s = np.random.default_rng(0).uniform(0, 0.1, 1024)
    _, events, solves, _ = benchmark(run_collective, Ring(), 1024, 1e8, joined_s)
    assert events <= 2 * 1024 + 8
    assert solves == 0


def test_all_to_all_of_256(benchmark):
    _, events, solves, _ = benchmark(run_collective, AllToAll(), 256, 1e8)
    assert events <= 8
    assert solves <= 6


def test_push_and_pull_of_256_stragglers(benchmark):
    joined_s = np.random.default_rng(0).uniform(0, 0.1, 256)
    _, events, _, _ = benchmark(run_collective, ParameterServer(), 256, 1e6, joined_s)
    assert events <= 12 * 256


def test_200_transfers_on_a_random_graph(benchmark):
    rng = np.random.default_rng(0)
    topology = random_graph(rng, least_links=30)
    src, dst = random_pairs(rng, np.arange(len(topology.names)), 200)
    nbytes, start_s = 10 ** rng.uniform(4, 8, 200), rng.uniform(0, 0.1, 200)
    finish_s = benchmark(transfer_times, topology, src, dst, nbytes, start_s)
    assert (finish_s > start_s).all()
