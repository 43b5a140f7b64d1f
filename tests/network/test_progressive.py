"""500 random platforms and transfer sets against progressive filling in NumPy, and what must hold in any of them."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from netsim.network import Transfers, fidelities, transports
from netsim.network.fluid import Fluid
from netsim.network.links import Links
from netsim.topology import Topology
from tests.network import progressive
from tests.network.platforms import random_graph, random_pairs, random_sizes
from tests.network.solved import held

IDEAL = transports.get("ideal")()


def random_transfers(rng, most_links, most_transfers):
    """Return a topology and transfers: few or many, together or spread, some of them alike or empty."""
    topology = random_graph(rng, most_links=most_links)
    count = int(10 ** rng.uniform(0.4, np.log10(most_transfers)))
    src, dst = random_pairs(rng, np.arange(len(topology.names)), count)
    start_s = np.round(rng.uniform(0, 1, count), int(rng.choice([0, 1, 12]))) * float(rng.choice([0.0, 1e-3, 0.1]))
    return topology, src, dst, random_sizes(rng, count), start_s


def flow_times(topology, src, dst, nbytes, start_s):
    return fidelities.get("flow")().transfer_times(topology, IDEAL, Transfers(src, dst, nbytes, start_s))


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


def end_times(links, routed, begin_s, nbytes):
    """Run transfers event by event; no link may carry more than it can, and all bytes must have been carried."""
    fluid, before_s, now_s, carried = Fluid(links), 0.0, 0.0, np.zeros(len(links.capacity))
    finish_s = fluid.queue(routed, begin_s, nbytes)
    used = np.zeros(len(links.capacity))
    while now_s < np.inf:
        carried += used * (now_s - before_s)
        before_s, now_s = now_s, fluid.run(now_s, now_s)
        flow_of, link_of, rates = held(fluid)
        used = np.bincount(link_of, rates[flow_of], len(carried))
        assert (used <= links.capacity * (1 + 1e-9)).all()
    on_link = np.bincount(routed.links, np.repeat(nbytes, np.diff(routed.start)), len(carried))
    np.testing.assert_allclose(carried, on_link, rtol=1e-9, atol=1e-6 * nbytes.max(initial=1.0))
    return finish_s


def keeps_to_the_invariants(seed):
    """Bytes are conserved, links keep to their capacity, nobody is faster than alone, and what is monotone is.

    That is: a transfer with more bytes is over no earlier; if all links are faster by a factor and all begin earlier by
    it, all are over earlier by it; if all begin later, all are over later by as much. More is not true, see below.
    """
    rng = np.random.default_rng(seed)
    topology, src, dst, nbytes, start_s = random_transfers(rng, most_links=12, most_transfers=20)
    links = Links(topology, IDEAL)
    routed = links.routed(src, dst)
    begin_s = start_s + routed.delay_s
    finish_s = end_times(links, routed, begin_s, nbytes)
    assert (finish_s >= (begin_s + nbytes / routed.rate) * (1 - 1e-12)).all()

    def again(begin_s, nbytes):
        fluid = Fluid(links)
        found_s = fluid.queue(routed, begin_s, nbytes)
        fluid.run(np.inf, np.inf)
        return found_s

    np.testing.assert_allclose(again(begin_s + 1.0, nbytes), finish_s + 1.0, rtol=1e-9)
    one = int(rng.integers(len(nbytes)))
    more = nbytes.copy()
    more[one] = more[one] * rng.uniform(1, 3) + rng.uniform(0, 1e4)
    assert again(begin_s, more)[one] >= finish_s[one] * (1 - 1e-12)
    factor = float(rng.uniform(1, 4))
    links.capacity = links.capacity * factor
    np.testing.assert_allclose(again(begin_s / factor, nbytes), finish_s / factor, rtol=1e-9)


@pytest.mark.parametrize("seed", range(50))
def test_invariants(seed):
    keeps_to_the_invariants(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_invariants_in_10_000_cases(block):
    for seed in range(1000 * block, 1000 * block + 1000):
        keeps_to_the_invariants(100_000 + seed)


@pytest.mark.parametrize("seed", range(20))
def test_on_one_link_more_of_anything_finishes_nobody_earlier(seed):
    """Equal sharing of one link: more bytes or less bandwidth put nobody's end forward, a later begin not one's own."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 30))
    capacity, nbytes, begin_s = 1e6, random_sizes(rng, count), np.round(rng.uniform(0, 3, count), int(rng.integers(3)))

    def ends(capacity, nbytes, begin_s):
        graph = nx.DiGraph([(0, 1, {"bandwidth": capacity}), (1, 0, {"bandwidth": capacity})])
        zeros = np.zeros(count, dtype=np.int64)
        return flow_times(Topology.from_networkx(graph), zeros, zeros + 1, nbytes, begin_s)

    finish_s, one = ends(capacity, nbytes, begin_s), int(rng.integers(count))
    for change in ("bytes", "begin", "bandwidth"):
        more, later = nbytes.copy(), begin_s.copy()
        more[one] += 1e5 * (change == "bytes")
        later[one] += 0.5 * (change == "begin")
        less = capacity * (0.7 if change == "bandwidth" else 1.0)
        whom = one if change == "begin" else slice(None)
        assert (ends(less, more, later)[whom] >= finish_s[whom] * (1 - 1e-12)).all(), change


def test_faster_links_can_finish_a_transfer_later():
    """Why no more is monotone: where all links are a quarter faster, one transfer of five is over later.

    Three transfers keep a fourth to a quarter of link 0 until 3.01 s; it lets the fifth, which begins at 2.5 s, have
    three quarters of link 1. With faster links they are over at 2.41 s, and the two share link 1 evenly.
    """
    src, dst = np.array([0, 0, 0, 0, 1]), np.array([1, 1, 1, 2, 2])
    nbytes, start_s = np.array([752_500, 752_500, 752_500, 1e8, 370_000]), np.array([0, 0, 0, 0, 2.5])
    for bandwidth, expected_s in ((1e6, 2.5 + 0.37 / 0.75), (1.25e6, 2.5 + 0.37 / 0.625)):
        graph = nx.path_graph(3)
        nx.set_edge_attributes(graph, bandwidth, "bandwidth")
        finish_s = flow_times(Topology.from_networkx(graph), src, dst, nbytes, start_s)
        assert finish_s[4] == pytest.approx(expected_s)
