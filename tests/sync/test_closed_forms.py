"""Collectives on a star against their closed forms, in the flow and the analytic network."""

from __future__ import annotations

import numpy as np
import pytest

from netsim.api import collective_time
from netsim.network import fidelities, transports
from netsim.network.run import plan_times
from netsim.network.transport import JUMBO, Nccl
from netsim.sync import (
    AllToAll,
    DoubleBinaryTree,
    HalvingDoubling,
    Hierarchical,
    ParameterServer,
    Payload,
    Ring,
    Torus2d,
    Tree,
    carrier,
)
from netsim.theory import exchange_time as theory
from netsim.topology import GpuCluster, Star

EXACT = {"rel": 1e-9}
NETWORKS = ["flow", "analytic"]
B, LATENCY = 1.25e9, 25e-6


def time_s(sync, topology, nbytes, network="flow", op="sum", **shares):
    n, one = len(topology.workers), np.ones(1, dtype=np.int64)
    machines = topology.machines[topology.workers]
    payload = Payload(op, np.full(n, float(nbytes)), float(nbytes), one, machines=machines, **shares)
    rounds = carrier(sync, op).rounds(payload, topology.workers, topology.servers)
    ideal = transports.get("ideal")()
    nodes = np.concatenate([topology.workers, topology.servers])
    return plan_times(fidelities.get(network)(), topology, ideal, rounds, nodes)[:n].max()


def star(n, latency=LATENCY):
    return Star(workers=n, bandwidth=B, latency=latency).build()


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [2, 4, 8, 64])
def test_halving_doubling(network, n):
    expected_s = theory.halving_doubling_s(n, 1e8, B, LATENCY)
    assert time_s(HalvingDoubling(), star(n), 1e8, network) == pytest.approx(expected_s, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [2, 4, 8, 64])
def test_recursive_doubling_of_sums_that_grow(network, n):
    sums = 1e6 * (1 - 0.9 ** np.arange(1, n + 1))
    expected_s = theory.recursive_doubling_sum_s(sums, B, LATENCY)
    found_s = time_s(HalvingDoubling(), star(n), sums[0], network, "union", union_bytes=sums)
    assert found_s == pytest.approx(expected_s, **EXACT)


def test_recursive_doubling_of_sums_beyond_a_power_of_two():
    """Of 6 workers, 2 hand in first; 4 partners then hold the sums of 1.5 and 3, and hand back all. Each adds first."""
    payload = Payload(
        "union", np.full(6, 1.0), 0.0, np.ones(1, dtype=np.int64), decode_s=9, union_bytes=np.arange(1.0, 7)
    )
    rounds = HalvingDoubling().rounds(payload, np.arange(6), np.arange(0))
    assert [one.nbytes.tolist() for one in rounds] == [[1, 1], [2, 2, 1, 1], [3, 3, 3, 3], [6, 6]]
    holds = [np.broadcast_to(one.hold_s, one.src.shape).tolist() for one in rounds]
    assert holds == [[0, 0], [9, 9, 0, 0], [9, 9, 9, 9], [9, 9]]


@pytest.mark.parametrize("n", [3, 7, 17])
def test_halving_doubling_of_workers_beyond_a_power_of_two(n):
    """Who has no partner beyond begins at once and shares a link with what is handed in."""
    expected_s = theory.halving_doubling_s(n, 1e8, B, LATENCY)
    assert time_s(HalvingDoubling(), star(n), 1e8, "analytic") == pytest.approx(expected_s, **EXACT)
    assert expected_s * (1 - 1e-9) <= time_s(HalvingDoubling(), star(n), 1e8) <= 1.25 * expected_s


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [2, 4, 8, 64])
def test_recursive_doubling_all_gather(network, n):
    expected_s = theory.recursive_doubling_all_gather_s(n, 1e6, B, LATENCY)
    assert time_s(HalvingDoubling(), star(n), 1e6, network, "gather") == pytest.approx(expected_s, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("n", "rows"), [(2, 1), (4, 2), (7, 1), (8, 2), (12, 3), (64, 8)])
def test_torus(network, n, rows):
    expected_s = theory.torus_2d_s(rows, n // rows, 1e8, B, LATENCY)
    assert time_s(Torus2d(), star(n), 1e8, network) == pytest.approx(expected_s, **EXACT)
    assert time_s(Torus2d(rows=rows), star(n), 1e8, network) == pytest.approx(expected_s, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [2, 4, 17])
@pytest.mark.parametrize("slices", [1, 2, 8])
@pytest.mark.parametrize("latency", [LATENCY, 10e-3])
def test_ring_of_slices(network, n, slices, latency):
    expected_s = theory.sliced_ring_all_reduce_s(n, 1e8, B, latency, slices=slices)
    assert time_s(Ring(slices=slices), star(n, latency), 1e8, network) == pytest.approx(expected_s, **EXACT)


@pytest.mark.parametrize("n", [3, 17])
def test_slices_approach_the_bytes_alone(n):
    bytes_s = 2 * (n - 1) / n * 1e8 / B
    assert time_s(Ring(slices=1000), star(n), 1e8) == pytest.approx(bytes_s + LATENCY, rel=1e-4)


@pytest.mark.parametrize("n", [2, 4, 8, 16, 64])
def test_double_binary_tree_lies_between_its_bounds(n):
    """Two trees fill both directions: no less than 2(n-1)/n of a ring's bytes, and little more with many slices."""
    least_s = S_OVER_B = 1e9 / B
    many = time_s(DoubleBinaryTree(slices=64), star(n, 0.0), 1e9)
    assert many >= 2 * (n - 1) / n * least_s * (1 - 1e-9) if n > 2 else many >= S_OVER_B * (1 - 1e-9)
    assert many <= (2 + 2 * np.log2(n) / 64 * 3) * 1.2 * S_OVER_B
    assert time_s(DoubleBinaryTree(slices=1), star(n, 0.0), 1e9) > many or n == 2


def test_double_binary_tree_of_two_sends_half_up_and_half_down_each_way():
    """Of two workers each is the root of one tree: k slices up, the first of them back a round later."""
    for slices in (1, 4):
        rounds = 2 * 1 + slices - 1
        seconds = time_s(DoubleBinaryTree(slices=slices), star(2), 1e8)
        least_s = rounds * (LATENCY + 1e8 / 2 / slices / B)
        assert least_s * (1 - 1e-9) <= seconds <= 2 * least_s


def test_double_binary_tree_needs_fewer_latencies_than_a_ring():
    small = 1e3
    assert time_s(DoubleBinaryTree(slices=1), star(64), small) < time_s(Ring(), star(64), small) / 5


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [2, 4, 17])
def test_who_owns_more_than_others_takes_longer(n, network):
    """Owner 0 has the share x: the others' (n - 1) x S come in over its link, then go out over it."""
    for x in (1.0, 0.5, 1 / n):
        shares = np.array([x, *[(1 - x) / (n - 1)] * (n - 1)])
        seconds = time_s(AllToAll(), star(n), 1e8, network, "owner", up_shares=shares[None], down_shares=shares)
        assert seconds == pytest.approx(2 * ((n - 1) * x * 1e8 / B + LATENCY), **EXACT)
    assert seconds == pytest.approx(time_s(AllToAll(), star(n), 1e8, network, "owner"), **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [4, 17])
def test_the_fullest_server_bounds_the_exchange(n, network):
    """Server 0 has the share x of what is pushed and y of what is pulled: n x S in, then n y S out, over its link."""
    topology = Star(workers=n, bandwidth=B, latency=LATENCY).build(2)
    sync = ParameterServer(servers=2, sharding="even")
    for x, y in ((1.0, 1.0), (0.75, 0.5), (0.5, 0.9)):
        shares = {"up_shares": np.array([[x, 1 - x]]), "down_shares": np.array([y, 1 - y])}
        seconds = time_s(sync, topology, 1e8, network, "owner", **shares)
        assert seconds == pytest.approx(n * (x + y) * 1e8 / B + 2 * LATENCY, **EXACT)


@pytest.mark.parametrize(("machines", "gpus"), [(2, 4), (4, 2), (3, 3)])
def test_hierarchical_crosses_a_card_once_for_every_byte(machines, gpus):
    """g rings of m machines share a card, each with S/g: together the ring of machines; inside, (g-1)/g S each way."""
    hop = 10 * B
    topology = GpuCluster(
        machines=machines, gpus_per_machine=gpus, bandwidth=B, hop_bandwidth=hop, latency=0.0, hop_latency=0.0
    ).build()
    between_s = theory.ring_all_reduce_s(machines, 1e8, B, 0.0)
    inside_s = 2 * (gpus - 1) / gpus * 1e8 / hop
    flow_s = time_s(Hierarchical(), topology, 1e8)
    assert flow_s == pytest.approx(between_s + inside_s, **EXACT)
    assert time_s(Hierarchical(), topology, 1e8, "analytic") <= flow_s


def test_hierarchical_on_single_workers_is_a_ring():
    assert time_s(Hierarchical(), star(5), 1e8) == pytest.approx(time_s(Ring(), star(5), 1e8), **EXACT)


@pytest.mark.parametrize("cards", [1, 2, 4])
def test_as_many_rings_as_cards_use_all_of_them(cards):
    topology = GpuCluster(
        machines=4, gpus_per_machine=4, bandwidth=B, cards_per_machine=cards, hop_bandwidth=100 * B, latency=0.0,
        hop_latency=0.0,
    ).build()  # fmt: skip
    one_s, all_s = time_s(Ring(), topology, 1e8), time_s(Ring(rings=cards), topology, 1e8)
    assert all_s == pytest.approx(one_s / cards, rel=1e-6)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [2, 4, 17])
def test_collectives_alone(network, n):
    def seconds(collective, algorithm):
        return collective_time(star(n), collective, 1e8, algorithm, network)

    half_ring_s = theory.ring_all_reduce_s(n, 1e8, B, LATENCY) / 2
    assert seconds("reduce_scatter", "ring") == pytest.approx(half_ring_s, **EXACT)
    direct_s = theory.all_to_all_s(n, 1e8, B, LATENCY)
    assert seconds("reduce_scatter", "all_to_all") == pytest.approx(direct_s, **EXACT)
    assert seconds("all_to_all", "all_to_all") == pytest.approx(direct_s, **EXACT)
    assert seconds("all_to_all", "ring") == pytest.approx(direct_s + (n - 2) * LATENCY, **EXACT)
    if n == 4:
        assert seconds("broadcast", "tree") == pytest.approx(2 * (LATENCY + 1e8 / B), **EXACT)
        assert seconds("reduce", "tree") == pytest.approx(2 * (LATENCY + 1e8 / B), **EXACT)
        halving_s = theory.halving_doubling_s(n, 1e8, B, LATENCY) / 2
        assert seconds("reduce_scatter", "halving_doubling") == pytest.approx(halving_s, **EXACT)


@pytest.mark.parametrize("n", [2, 4, 17])
@pytest.mark.parametrize("collective", ["broadcast", "reduce"])
def test_a_chain_of_slices(n, collective):
    expected_s = theory.chain_broadcast_s(n, 1e8, B, LATENCY, slices=16)
    assert collective_time(star(n), collective, 1e8) == pytest.approx(expected_s, **EXACT)


@pytest.mark.parametrize("collective", ["broadcast", "reduce"])
def test_a_chain_has_the_slices_of_its_transport(collective):
    """Each hop costs its latency and one slice; what follows streams through."""
    for n, nbytes in ((4, 2.0**27), (16, 2.0**27), (5, 1000.0)):
        nccl, slices = Nccl(), max(1, int(nbytes / 2**20))
        expected_s = theory.chain_broadcast_s(n, nbytes, JUMBO * B, 1e-3 + nccl.overhead, slices=slices)
        seconds = collective_time(star(n, 1e-3), collective, nbytes, transport="nccl")
        assert seconds == pytest.approx(nccl.call_overhead + expected_s, **EXACT)


@pytest.mark.parametrize(("n", "shares"), [(2, [1]), (4, [2, 1]), (8, [3, 2, 1]), (16, [4, 3, 2, 1])])
def test_a_tree_that_serves_all_children_at_once_shares_its_links(n, shares):
    """Down the longest path every node has one child less, and a message takes as long as its siblings together.

    Up, leaves send at once, so that a link is free again whenever the next subtree is through.
    """
    topology, network, ideal = star(n), fidelities.get("flow")(), transports.get("ideal")()
    for collective, expected in (("broadcast", shares), ("reduce", [1] * len(shares))):
        rounds = Tree(children="at_once").alone_rounds(collective, 1e8, topology.workers)
        seconds = plan_times(network, topology, ideal, rounds, topology.workers).max()
        assert seconds == pytest.approx(sum(LATENCY + share * 1e8 / B for share in expected), **EXACT)


def test_merging_at_once_takes_as_long_as_the_messages_that_came():
    """Eight leaves up: 1, 2 and at the root 3 merges in turn; with one child at a time they hide but for the last."""
    workers = star(8).workers
    for children, merges in (("in_turn", [1, 1, 1]), ("at_once", [1, 2, 3])):
        payload = Payload("merge", np.full(8, 1.0), 1.0, np.ones(1, dtype=np.int64), decode_s=1.0)
        rounds = Tree(children=children).rounds(payload, workers, workers[:0])
        assert [float(np.max(one.hold_s)) for one in rounds] == [0, *merges, 0, 0]


def test_a_group_of_some_workers():
    whole = collective_time(star(4), "all_reduce", 1e8)
    assert collective_time(star(9), "all_reduce", 1e8, workers=["worker1", "worker3", 5, 7]) == pytest.approx(whole)
