"""500 random platforms and transfer sets against progressive filling in NumPy, and what must hold in any of them."""

from __future__ import annotations

import numpy as np
import pytest

from netsim.network import fidelities, transports
from netsim.network.links import Links
from tests.network import progressive
from tests.network.platforms import random_graph, random_pairs, random_sizes

IDEAL = transports.get("ideal")()


def random_transfers(rng, most_links, most_transfers):
    """Return a topology and transfers: few or many, together or spread, some of them alike or empty."""
    topology = random_graph(rng, most_links=most_links)
    count = int(10 ** rng.uniform(0.4, np.log10(most_transfers)))
    src, dst = random_pairs(rng, np.arange(len(topology.names)), count)
    start_s = np.round(rng.uniform(0, 1, count), int(rng.choice([0, 1, 12]))) * float(rng.choice([0.0, 1e-3, 0.1]))
    return topology, src, dst, random_sizes(rng, count), start_s


def flow_times(topology, src, dst, nbytes, start_s):
    return fidelities.get("flow")().transfer_times(topology, IDEAL, src, dst, nbytes, start_s)


def agree(seed, most_links, most_transfers):
    topology, src, dst, nbytes, start_s = random_transfers(np.random.default_rng(seed), most_links, most_transfers)
    routed = Links(topology, IDEAL).routed(src, dst)
    expected = progressive.transfer_times(
        topology.capacity_bytes_per_s, routed.start, routed.links, start_s + routed.delay_s, nbytes
    )
    np.testing.assert_allclose(flow_times(topology, src, dst, nbytes, start_s), expected, rtol=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_random_transfers_are_those_of_progressive_filling(seed):
    agree(seed, most_links=40, most_transfers=100)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_500_random_platforms_are_those_of_progressive_filling(block):
    for seed in range(50 * block, 50 * block + 50):
        agree(10_000 + seed, most_links=100, most_transfers=2000)


def keeps_to_the_invariants(seed):
    """Nobody is faster than alone; a link carries what it has time for; starting all later shifts all."""
    rng = np.random.default_rng(seed)
    topology, src, dst, nbytes, start_s = random_transfers(rng, most_links=12, most_transfers=20)
    times_s = flow_times(topology, src, dst, nbytes, start_s)
    links = Links(topology, IDEAL)
    routed = links.routed(src, dst)
    begin_s = start_s + routed.delay_s
    assert (times_s >= (begin_s + nbytes / routed.rate) * (1 - 1e-12)).all()
    flow_of = np.repeat(np.arange(len(src)), np.diff(routed.start))
    carried = np.bincount(routed.links, nbytes[flow_of], len(links.capacity))
    first_s, last_s = np.full(len(carried), np.inf), np.zeros(len(carried))
    np.minimum.at(first_s, routed.links, begin_s[flow_of])
    np.maximum.at(last_s, routed.links, times_s[flow_of])
    used = carried > 0
    assert (carried[used] <= links.capacity[used] * (last_s - first_s)[used] * (1 + 1e-9) + 1e-3).all()
    later_s = flow_times(topology, src, dst, nbytes, start_s + 1.0)
    np.testing.assert_allclose(later_s, times_s + 1.0, rtol=1e-9)


@pytest.mark.parametrize("seed", range(50))
def test_invariants(seed):
    keeps_to_the_invariants(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_invariants_in_10_000_cases(block):
    for seed in range(1000 * block, 1000 * block + 1000):
        keeps_to_the_invariants(100_000 + seed)
