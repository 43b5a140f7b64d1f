"""Times that can be written down: rings, incasts, servers, trees, gathers, transports, held transfers."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest

from netsim.api import collective_time, transfer_times
from netsim.errors import InputError
from netsim.network import Round, Transfers, fidelities, transports
from netsim.network.run import plan_times
from netsim.network.transport import Tcp
from netsim.sync import AllGather, AllToAll, ParameterServer, Payload, Ring, Tree
from netsim.topology import GpuCluster, Star, Topology

EXACT = {"rel": 1e-9}
NETWORKS = ["flow", "analytic"]
B, LATENCY = 1.25e9, 25e-6


def sync_time(sync, n, nbytes, network="flow", topology=None, op="sum", transport=None, **costs):
    """Return the seconds of one collective of equal messages on a star, or on the topology given."""
    topology = topology or Star(workers=n, bandwidth=B, latency=LATENCY).build(sync.dedicated_servers)
    payload = Payload(op, np.full(n, float(nbytes)), float(nbytes), np.ones(1, dtype=np.int64), **costs)
    servers = topology.servers[: sync.dedicated_servers]
    rounds = sync.rounds(payload, topology.workers, servers)
    nodes = np.concatenate([topology.workers, servers])
    transport = transport or transports.get("ideal")()
    return float(plan_times(fidelities.get(network)(), topology, transport, rounds, nodes).max())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [2, 3, 8, 64, 1024])
@pytest.mark.parametrize("nbytes", [1.0, 1e4, 1e8, 1e9])
def test_ring(network, n, nbytes):
    expected_s = 2 * (n - 1) * (LATENCY + nbytes / (n * B))
    topology = Star(workers=n, bandwidth=B, latency=LATENCY).build()
    assert collective_time(topology, "all_reduce", nbytes, network=network) == pytest.approx(expected_s, **EXACT)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_ring_in_the_general_solver(n):
    """The same closed form without the fast path."""
    topology = Star(workers=n, bandwidth=B, latency=LATENCY).build()
    payload = Payload("sum", np.full(n, 1e8), 1e8, np.ones(1, dtype=np.int64))
    rounds = Ring().rounds(payload, topology.workers, topology.servers)
    ideal = transports.get("ideal")()
    times = plan_times(fidelities.get("flow")(), topology, ideal, rounds, topology.workers, collective=False)
    np.testing.assert_allclose(times, 2 * (n - 1) * (LATENCY + 1e8 / (n * B)), rtol=1e-9)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [2, 5, 64])
def test_ring_all_gather_takes_the_largest_message_through_every_hop(network, n):
    """Size means all gathered bytes together; equal messages take n-1 hops of S/n."""
    topology = Star(workers=n, bandwidth=B, latency=LATENCY).build()
    time_s = collective_time(topology, "all_gather", 1e8, algorithm="all_gather", network=network)
    assert time_s == pytest.approx((n - 1) * (LATENCY + 1e8 / (n * B)), **EXACT)
    assert sync_time(AllGather(), n, 1e6, network, op="gather") == pytest.approx((n - 1) * (LATENCY + 1e6 / B), **EXACT)
    assert sync_time(Ring(), n, 1e6, network, op="gather") == pytest.approx((n - 1) * (LATENCY + 1e6 / B), **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [2, 4, 8, 64])
def test_tree_takes_two_log_n_hops_of_everything(network, n):
    expected_s = 2 * math.log2(n) * (LATENCY + 1e7 / B)
    assert sync_time(Tree(), n, 1e7, network) == pytest.approx(expected_s, **EXACT)


@pytest.mark.parametrize("n", [3, 7, 17, 33])
def test_tree_of_an_odd_number_takes_no_longer_than_the_next_power_of_two(n):
    """Who has no child in a round need not wait for those who have, and may send at once."""
    hop_s = LATENCY + 1e7 / B
    time_s = sync_time(Tree(), n, 1e7)
    assert 2 * math.floor(math.log2(n)) * hop_s < time_s < 2 * math.ceil(math.log2(n)) * hop_s


def test_tree_of_three_sends_both_children_at_once():
    """Both reach the root after L + 2 S/B; then it sends to one after the other."""
    assert sync_time(Tree(), 3, 1e7) == pytest.approx(3 * LATENCY + 4 * 1e7 / B, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [2, 3, 8, 64])
def test_all_to_all_takes_two_latencies_and_a_rings_bytes(network, n):
    expected_s = 2 * (LATENCY + (n - 1) / n * 1e8 / B)
    assert sync_time(AllToAll(), n, 1e8, network) == pytest.approx(expected_s, **EXACT)
    assert sync_time(AllToAll(), n, 1e8, network, op="owner") == pytest.approx(expected_s, **EXACT)
    gather_s = LATENCY + (n - 1) * 1e6 / B
    assert sync_time(AllToAll(), n, 1e6, network, op="gather") == pytest.approx(gather_s, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("gpus", [1, 2, 4])
def test_all_to_all_between_machines_is_bound_by_the_shared_card(network, gpus):
    """Two machines of g GPUs: g x g shards of S/2g leave each card in either round."""
    topology = GpuCluster(gpus_per_machine=gpus, bandwidth=B, latency=0.0, hop_latency=0.0).build()
    expected_s = 2 * gpus * 1e8 / 2 / B
    assert sync_time(AllToAll(), 2 * gpus, 1e8, network, topology) == pytest.approx(expected_s, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [1, 2, 8, 64])
def test_n_to_one_push_is_bound_by_the_servers_link(network, n):
    topology = Star(workers=n, bandwidth=B, latency=LATENCY).build(1)
    push = Round(topology.workers, np.repeat(topology.servers, n), np.full(n, 1e7))
    nodes = np.append(topology.workers, topology.servers)
    times = plan_times(fidelities.get(network)(), topology, transports.get("ideal")(), [push], nodes)
    assert times.max() == pytest.approx(LATENCY + n * 1e7 / B, **EXACT)
    assert sync_time(ParameterServer(), n, 1e7, network) == pytest.approx(2 * (LATENCY + n * 1e7 / B), **EXACT)


def test_incast_of_transfers_is_bound_by_the_last_link():
    topology = Star(workers=9, bandwidth=B, latency=LATENCY).build()
    times = transfer_times(topology, range(8), [8] * 8, 5e4)
    np.testing.assert_allclose(times, LATENCY + 8 * 5e4 / B, rtol=1e-9)


@pytest.mark.parametrize(
    ("network", "n", "servers"),
    [(network, n, servers) for network in NETWORKS for n, servers in [(4, 1), (4, 2), (4, 4), (8, 2)]]
    + [("flow", 3, 8)],
)
def test_dedicated_servers_meet_the_link_load_bound(network, n, servers):
    """Workers send S, servers get n S / s: the fuller of the two links decides, both ways.

    With more servers than workers `analytic` is only a bound: it does not see that shards which share a link arrive
    together at the end.
    """
    sync = ParameterServer(servers=servers, sharding="even")
    expected_s = 2 * (LATENCY + max(1, n / servers) * 1e8 / B)
    assert sync_time(sync, n, 1e8, network) == pytest.approx(expected_s, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_faster_server_link_moves_the_bound_to_the_workers(network):
    topology = Star(workers=8, bandwidth=B, latency=LATENCY, server_bandwidth=8 * B).build(1)
    time_s = sync_time(ParameterServer(), 8, 1e8, network, topology)
    assert time_s == pytest.approx(2 * (LATENCY + 1e8 / B), **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("n", [2, 3, 8, 64])
def test_a_co_located_server_each_moves_as_much_as_a_ring(network, n):
    """2 S (n-1)/n bytes leave every worker, as in the best all-reduce."""
    sync = ParameterServer(servers=n, placement="colocated", sharding="even")
    sent_s = (n - 1) / n * 1e8 / B
    assert sync_time(sync, n, 1e8, network) == pytest.approx(2 * (LATENCY + sent_s), **EXACT)
    payload = Payload("sum", np.full(n, 1e8), 1e8, np.ones(1, dtype=np.int64))
    workers = np.arange(n)
    sent = sum(np.bincount(one.src, one.nbytes, n) for one in sync.rounds(payload, workers, workers[:0]))
    np.testing.assert_allclose(sent, 2 * 1e8 * (n - 1) / n)


@pytest.mark.parametrize("network", NETWORKS)
def test_sharding_by_tensor_loads_servers_as_their_tensors_are(network):
    """Tensors of 6, 1 and 3 parts over two servers from tensor 1 on: server 1 holds 9 tenths."""
    topology = Star(workers=4, bandwidth=B, latency=LATENCY).build(2)
    payload = Payload("sum", np.full(4, 1e8), 1e8, np.array([6, 1, 3]), first_tensor=1)
    rounds = ParameterServer(servers=2).rounds(payload, topology.workers, topology.servers)
    nodes = np.concatenate([topology.workers, topology.servers])
    times = plan_times(fidelities.get(network)(), topology, transports.get("ideal")(), rounds, nodes)
    assert times.max() == pytest.approx(2 * (LATENCY + 4 * 0.9 * 1e8 / B), **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
def test_owners_work_between_the_two_halves(network):
    """A server decodes n whole messages and encodes one; an owner of an all-to-all does the n-th part of that."""
    costs = {"decode_s": 0.1, "encode_s": 0.4}
    for sync, work_s in [
        (ParameterServer(), 4 * 0.1 + 0.4),
        (ParameterServer(servers=4, placement="colocated", sharding="even"), 0.1 + 0.1),
        (AllToAll(), 0.1 + 0.1),
    ]:
        plain_s = sync_time(sync, 4, 1e8, network, op="owner")
        assert sync_time(sync, 4, 1e8, network, op="owner", **costs) == pytest.approx(plain_s + work_s, **EXACT)
        assert sync_time(sync, 4, 1e8, "ideal", op="owner", **costs) == pytest.approx(work_s, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("collective", [True, False])
def test_held_transfers_leave_later_by_what_they_are_held(network, collective):
    """Each is held by its own seconds, counted from when its source may begin."""
    topology = Star(workers=4, bandwidth=B, latency=LATENCY).build()
    pairs = np.array([0, 1]), np.array([2, 3])
    back = Round(pairs[1], pairs[0], np.full(2, 1e7), 0.5)
    rounds = [Round(*pairs, np.full(2, 1e7), np.array([0.25, 0.75])), back]
    ideal = transports.get("ideal")()
    times = plan_times(fidelities.get(network)(), topology, ideal, rounds, np.arange(4), collective=collective)
    hop_s = LATENCY + 1e7 / B
    expected_s = np.array([0.25, 0.75, 0.25, 0.75]) + 0.5 + 2 * hop_s
    assert times.max() == pytest.approx(expected_s.max(), **EXACT)
    if network == "flow":
        np.testing.assert_allclose(times, expected_s, rtol=1e-9)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_slow_link_delays_only_what_hangs_on_it(network):
    """No global barrier: in a ring of n with one slow link, everyone waits for it 2(n-1) times, not more."""
    n, slow = 4, B / 10
    graph = nx.Graph()
    graph.add_nodes_from(range(n), kind="worker")
    graph.add_node("switch", kind="switch")
    graph.add_edges_from((host, "switch", {"bandwidth": slow if host == 0 else B}) for host in range(n))
    time_s = collective_time(Topology.from_networkx(graph), "all_reduce", 1e8, network=network)
    assert time_s == pytest.approx(2 * (n - 1) * 1e8 / n / slow, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
def test_tcp_carries_payload_in_full_segments_and_costs_a_message_its_overhead(network):
    tcp = Tcp()
    assert tcp.efficiency == pytest.approx(1448 / 1538)
    topology = Star(workers=2, bandwidth=B, latency=LATENCY).build()
    times = transfer_times(topology, [0], [1], 1e8, network=network, transport="tcp")
    assert times[0] == pytest.approx(LATENCY + tcp.overhead + 1e8 / (B * 1448 / 1538), **EXACT)
    n, nbytes = 8, 1e8
    ring_s = 2 * (n - 1) * (LATENCY + tcp.overhead + nbytes / n / (B * tcp.efficiency))
    assert sync_time(Ring(), n, nbytes, network, transport=tcp) == pytest.approx(ring_s, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
def test_no_protocol_is_spoken_inside_a_machine(network):
    hop_bytes_per_s, hop_s, lan_s = 4 * B, 1e-6, 12.5e-6
    topology = GpuCluster(
        machines=2,
        gpus_per_machine=2,
        bandwidth=B,
        latency=lan_s,
        hop_bandwidth=hop_bytes_per_s,
        hop_latency=hop_s,
    ).build()
    transport = Tcp(efficiency=0.5, overhead=1e-3)
    fidelity = fidelities.get(network)()

    def alone_s(src, dst):
        ends = Transfers(np.array([src]), np.array([dst]), np.array([1e8]), np.zeros(1))
        return fidelity.transfer_times(topology, transport, ends)[0]

    assert alone_s(0, 1) == pytest.approx(2 * hop_s + 1e8 / hop_bytes_per_s, **EXACT)
    assert alone_s(0, 2) == pytest.approx(2 * hop_s + 2 * lan_s + 1e-3 + 1e8 / (B * 0.5), **EXACT)


@pytest.mark.parametrize("network", ["ideal", *NETWORKS])
@pytest.mark.parametrize("nbytes", [-1.0, float("nan"), float("inf")])
def test_a_collective_of_impossible_size_is_refused(network, nbytes):
    topology = Star(workers=4, bandwidth=B).build()
    with pytest.raises(InputError, match="nbytes"):
        collective_time(topology, "all_reduce", nbytes, network=network)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"collective": "allreduce"}, "all_reduce"),
        ({"algorithm": "rong"}, "ring"),
        ({"collective": "all_gather", "algorithm": "tree", "network": "flaw"}, "flow"),
        ({"algorithm": "parameter_server"}, "server"),
    ],
)
def test_a_collective_that_cannot_be_is_refused(arguments, said):
    topology = Star(workers=4, bandwidth=B).build()
    with pytest.raises(InputError, match=said):
        collective_time(topology, **{"collective": "all_reduce", "nbytes": 1e6} | arguments)
