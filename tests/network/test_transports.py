"""What transports do to a transfer and to a ring: caps, windows, slow start, slices, the cost of a call."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import simpy
from scipy import optimize

from netsim.network import Flow, Round, Transfers, fidelities, transports
from netsim.network.links import Links
from netsim.network.packet import PacketFidelity
from netsim.network.run import plan_times
from netsim.network.transport import Gloo, Mpi, Nccl, Rdma, Tcp
from netsim.sync import ParameterServer, Payload, Ring
from netsim.topology import GpuCluster, Star, Topology
from tests.network import reference
from tests.network.gloo_ring import GlooRing
from tests.network.platforms import random_pairs, random_sizes, random_star, route_of

EXACT = {"rel": 1e-9}
NETWORKS = ["flow", "analytic"]
B, LATENCY = 1.25e9, 10e-3


def star(n=2, bandwidth=B, latency=LATENCY):
    return Star(workers=n, bandwidth=bandwidth, latency=latency).build()


def alone_s(network, transport, nbytes, topology=None, ends=((0,), (1,))):
    src, dst = (np.array(one) for one in ends)
    fidelity, sizes = fidelities.get(network)(), np.full(len(src), float(nbytes))
    return fidelity.transfer_times(topology or star(), transport, Transfers(src, dst, sizes, np.zeros(len(src))))


def ring_s(network, transport, n, nbytes, topology=None, collective=True):
    topology = topology or star(n)
    payload = Payload("sum", np.full(n, float(nbytes)), float(nbytes), np.ones(1, dtype=np.int64))
    rounds = Ring().rounds(payload, topology.workers, topology.servers)
    fidelity = fidelities.get(network)()
    return plan_times(fidelity, topology, transport, rounds, topology.workers, collective=collective).max()


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("sockets", [1, 2])
def test_a_window_is_sent_once_a_round_trip_by_every_socket(network, sockets):
    tcp = Tcp(window=1e6, sockets=sockets, efficiency=1.0, overhead=0.0)
    assert alone_s(network, tcp, 1e8)[0] == pytest.approx(LATENCY + 1e8 / (sockets * 1e6 / (2 * LATENCY)), **EXACT)
    fast = Tcp(window=1e6, sockets=sockets, cap=1e7, efficiency=1.0, overhead=0.0)
    assert alone_s(network, fast, 1e8)[0] == pytest.approx(LATENCY + 1e8 / (sockets * 1e7), **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_window_that_fills_the_link_changes_nothing(network):
    plain, wide = Tcp(window=None), Tcp(window=2 * B * 2 * LATENCY)
    assert alone_s(network, wide, 1e8)[0] == alone_s(network, plain, 1e8)[0]


@pytest.mark.parametrize("network", NETWORKS)
def test_a_receivers_own_window_takes_the_place_of_the_transports(network):
    """Site 1 takes 4 MB a round trip, what a node does not say is the transport's 1 MB, and RDMA knows no window."""
    ends = ([0, 1, 2], [1, 0, 0])
    graph = nx.Graph()
    graph.add_nodes_from([("a", {}), ("b", {"window": "4 MB"}), ("c", {})])
    graph.add_edges_from([("a", "b"), ("a", "c")], bandwidth=B, latency=2 * LATENCY)
    topology = Topology.from_networkx(graph)
    for window, sockets in ((1e6, 1), (1e6, 2), (None, 1)):
        tcp = Tcp(window=window, sockets=sockets, efficiency=1.0, overhead=0.0)
        rates = np.minimum(B, sockets * np.array([4e6, window or np.inf, window or np.inf]) / (4 * LATENCY))
        times = [alone_s(network, tcp, 1e8, topology, ends=((src,), (dst,)))[0] for src, dst in zip(*ends, strict=True)]
        np.testing.assert_allclose(times, 2 * LATENCY + 1e8 / rates, rtol=1e-9)
    assert alone_s(network, Rdma(efficiency=1.0, overhead=0.0), 1e8, topology)[0] == pytest.approx(
        2 * LATENCY + 1e8 / B
    )


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("first", ["a", "switch", "lone"])
def test_a_window_binds_in_whatever_order_nodes_stand(network, first):
    graph = nx.Graph()
    graph.add_node(first)
    graph.add_nodes_from(
        (name, {"kind": "worker" if name in "ab" else "switch"}) for name in ("a", "b", "switch", "lone")
    )
    graph.add_edges_from([("a", "switch"), ("switch", "b")], bandwidth=B, latency=LATENCY / 2)
    topology = Topology.from_networkx(graph)
    tcp, ends = Tcp(window=1e6, efficiency=1.0, overhead=0.0), topology.nodes(["a", "b"]).reshape(2, 1)
    assert alone_s(network, tcp, 1e8, topology, ends)[0] == pytest.approx(
        LATENCY + 1e8 / (1e6 / (2 * LATENCY)), **EXACT
    )


def test_transfers_of_a_pair_share_its_cap_and_others_do_not():
    capped = Tcp(cap=1e8, efficiency=1.0, overhead=0.0, window=None)
    times = alone_s("flow", capped, 1e8, star(4), ends=((0, 0, 2), (1, 1, 3)))
    np.testing.assert_allclose(times, LATENCY + np.array([2.0, 2.0, 1.0]), rtol=1e-9)


def test_what_a_cap_leaves_goes_to_those_without():
    """Two send to one: the far one moves 0.2 GB/s at most and begins 10 ms later; the near one has the rest."""
    graph = nx.Graph()
    graph.add_nodes_from(["near", "far", "sink"], kind="worker")
    graph.add_node("switch", kind="switch")
    for host, latency in (("near", 0.0), ("far", 10e-3), ("sink", 0.0)):
        graph.add_edge(host, "switch", bandwidth=B, latency=latency)
    tcp = Tcp(window=4e6, efficiency=1.0, overhead=0.0)
    times = alone_s("flow", tcp, 1e9, Topology.from_networkx(graph), ends=((0, 1), (2, 2)))
    np.testing.assert_allclose(times, [10e-3 + (1e9 - 10e-3 * B) / (B - 2e8), 10e-3 + 1e9 / 2e8], rtol=1e-9)


def test_caps_count_the_bytes_of_real_links_only():
    topology, capped = star(3), Tcp(cap=1e6)
    links = Links(topology, capped)
    payload = Payload("sum", np.full(3, 3e6), 3e6, np.ones(1, dtype=np.int64))
    links.account(Ring().rounds(payload, topology.workers, topology.servers))
    np.testing.assert_allclose(links.nbytes, 4e6)
    assert len(links.nbytes) == len(topology.link_names)


@pytest.mark.parametrize(
    "packet", [{"window": 1e9}, {"congestion": "reno", "initial_window": 1000}], ids=["fixed", "reno"]
)
@pytest.mark.parametrize("sockets", [1, 2])
def test_packets_obey_the_windows_and_caps_of_pairs(packet, sockets):
    """Within a packet of 1 kB a hop, and what the host of a congestion control takes to hear of it."""
    network = PacketFidelity(mtu=1000.0, **packet)
    graph = nx.Graph()
    graph.add_nodes_from([("a", {}), ("b", {}), ("own", {"window": "200 kB"}), ("switch", {"kind": "switch"})])
    graph.add_edges_from([(one, "switch") for one in ("a", "b", "own")], bandwidth=B, latency=LATENCY / 2)
    topology = Topology.from_networkx(graph)
    for dst, cap, rate in ((1, None, 5e4 / (2 * LATENCY)), (2, None, 2e5 / (2 * LATENCY)), (1, 1e6, 1e6)):
        nbytes = 10 * sockets * rate * 2 * LATENCY
        tcp = Tcp(window=5e4, sockets=sockets, cap=cap, efficiency=1.0, overhead=0.0)
        times = network.transfer_times(topology, tcp, Transfers(*map(np.array, ([0], [dst], [nbytes], [0.0]))))
        # All but the last of ten windows wait for a round trip each.
        windows_s = 18 * LATENCY + sockets * rate * 2 * LATENCY / B if cap is None else nbytes / (sockets * cap)
        assert times[0] == pytest.approx(LATENCY + windows_s, rel=5e-3)
    local = GpuCluster(machines=1, gpus_per_machine=2, bandwidth=B, hop_bandwidth=B).build()
    tcp = Tcp(window=1e3, cap=1e3, overhead=0.0)
    assert network.transfer_times(local, tcp, Transfers(*map(np.array, ([0], [1], [1e5], [0.0]))))[0] < 1e-2


def test_no_cap_inside_a_machine():
    cluster = GpuCluster(machines=2, gpus_per_machine=2, bandwidth=B, hop_bandwidth=1e10).build()
    times = alone_s("flow", Tcp(cap=1e6, overhead=0.0), 1e6, cluster, ends=((0, 0), (1, 2)))
    assert times[0] < 1e-3 < 1 < times[1]


def test_pairs_that_send_nothing_take_no_private_link():
    """A ring of 6,000 has 6,000 pairs of 36 million; each is capped by itself all the same."""
    topology, capped = star(6000), Tcp(cap=1e6, efficiency=1.0, overhead=0.0)
    workers = topology.workers
    one = Round(workers, np.roll(workers, -1), np.full(len(workers), 1e6))
    links = Links(topology, capped)
    links.account([one, one])
    assert len(links.capacity) <= len(links.nbytes) + 2 * len(workers)
    np.testing.assert_allclose(plan_times(Flow(), topology, capped, [one], workers), LATENCY + 1.0, rtol=1e-9)


def test_pairs_that_are_met_later_are_capped_too():
    """Plans that begin while others are under way bring private links that the solver has not seen."""
    env = simpy.Environment()
    network = Flow().build(env, star(8), Tcp(cap=1e6, efficiency=1.0, overhead=0.0))
    ended_s = {}
    for number in range(7):
        ends = np.array([number]), np.array([number + 1])
        event = env.timeout(0.1 * number, value=(number, Round(*ends, np.array([1e6]))))

        def begin(fired):
            number, one = fired.value
            nodes = np.concatenate([one.src, one.dst])
            note = lambda some: ended_s.setdefault(number, env.now)  # noqa: E731
            network.begin([one], nodes, note, collective=False).join(nodes)

        event.callbacks.append(begin)
    env.run()
    np.testing.assert_allclose([ended_s[number] for number in range(7)], 1.0 + LATENCY + 0.1 * np.arange(7), rtol=1e-9)


@pytest.mark.parametrize("network", NETWORKS)
def test_slow_start_doubles_the_window_until_the_link_is_full(network):
    """Windows of 1, 2 and 4 MB wait for the 20 ms of their round trip, of which they use 0.8, 1.6 and 3.2 ms each."""

    class Cold(Tcp):
        initial_window = 1e6

    cold = Cold(window=None, efficiency=1.0, overhead=0.0)
    lost_s = sum(2 * LATENCY - window / B for window in (1e6, 2e6, 4e6, 8e6, 16e6))
    assert alone_s(network, cold, 1e8)[0] == pytest.approx(LATENCY + 1e8 / B + lost_s, **EXACT)
    assert alone_s(network, cold, 1e6)[0] == pytest.approx(LATENCY + 1e6 / B, **EXACT)
    assert alone_s(network, cold, 3e6)[0] == pytest.approx(LATENCY + 3e6 / B + 2 * LATENCY - 1e6 / B, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("collective", [True, False])
@pytest.mark.parametrize("n", [2, 4, 32])
def test_a_ring_of_slices_pays_the_latency_once(network, collective, n):
    """A chunk takes longer than a slice and its way: all latency but the first is hidden behind the bytes."""
    nccl = Nccl(efficiency=1.0, overhead=0.0, call_overhead=0.0)
    topology = star(n, 1.25e8)
    chunk_s = 128 * 2**20 / n / 1.25e8
    expected_s = LATENCY + 2 * (n - 1) * chunk_s
    assert ring_s(network, nccl, n, 128 * 2**20, topology, collective) == pytest.approx(expected_s, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
def test_short_chunks_follow_one_another_slice_by_slice(network):
    """Chunks of 1 MB in two slices: the next begins once 0.5 MB and 10 ms have passed."""
    nccl = Nccl(efficiency=1.0, overhead=0.0, call_overhead=0.0)
    first_s, next_s = LATENCY + 1e6 / B, LATENCY + 0.5e6 / B
    assert ring_s(network, nccl, 8, 8e6) == pytest.approx(first_s + 13 * next_s, **EXACT)


@pytest.mark.parametrize("network", NETWORKS)
def test_two_segments_in_flight_move_two_segments_a_round_trip(network):
    """Gloo's ring: chunks of 8 MiB go in four pairs of segments, each a round trip, a segment's time and a wait.

    Two segments keep the host's queue busy for 2 s / t, and what enters it behind the other waits for s.
    """
    gloo = Gloo(efficiency=1.0, overhead=0.0, window=None)
    segment_s = 2**20 / B
    pair_s = optimize.brentq(lambda t: 2 * LATENCY + segment_s + 2 * segment_s**2 / t - t, LATENCY, 1.0, xtol=1e-15)
    assert ring_s(network, gloo, 4, 32 * 2**20) == pytest.approx(LATENCY + 8 * 2**20 / B + 5 * 4 * pair_s, **EXACT)


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.6, 1.2, 2.0, 5.0])
def test_announced_segments_take_what_gloos_own_algorithm_takes(delay):
    """The delay in segments; phases differ by chance, hence means over three runs and a bound of 8 %."""
    n, segment_s = 8, 2**20 / B
    runs = [GlooRing(n, 16, delay * segment_s, segment_s, 0.01 * segment_s, seed).run() for seed in range(3)]
    gloo = Gloo(efficiency=1.0, overhead=0.0, window=None)
    predicted_s = ring_s("flow", gloo, n, 16 * n * 2**20, star(n, B, delay * segment_s))
    assert predicted_s == pytest.approx(np.mean(runs), rel=0.08)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("member", [Nccl, Mpi])
def test_a_call_costs_what_it_costs_once(network, member):
    plain, dear = member(call_overhead=0.0), member(call_overhead=1e-3)
    assert ring_s(network, dear, 4, 1e6) == pytest.approx(ring_s(network, plain, 4, 1e6) + 1e-3, **EXACT)


def test_rdma_carries_4096_bytes_in_4122():
    assert Rdma().efficiency == pytest.approx(0.9937, abs=1e-4)


@pytest.mark.parametrize("name", list(transports))
def test_no_transport_moves_a_message_faster_than_the_line(name):
    for nbytes in (1e3, 1e8):
        assert alone_s("flow", transports.get(name)(), nbytes)[0] >= LATENCY + nbytes / B


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("collective", [True, False])
def test_a_ring_obeys_the_caps_of_its_pairs(network, collective):
    """In the recurrence, in the fluid and in the bound."""
    n, nbytes, window = 4, 1e8, 2e6
    tcp = Tcp(window=window, efficiency=1.0, overhead=0.0)
    expected_s = 2 * (n - 1) * (LATENCY + nbytes / n / (window / (2 * LATENCY)))
    assert ring_s(network, tcp, n, nbytes, collective=collective) == pytest.approx(expected_s, **EXACT)


def test_servers_obey_the_caps_of_their_pairs():
    """Four workers share a server's link of 1.25 GB/s, unless each may move 0.1 GB/s only."""
    topology = Star(workers=4, bandwidth=B, latency=LATENCY).build(1)
    payload = Payload("sum", np.full(4, 1e8), 1e8, np.ones(1, dtype=np.int64))
    rounds = ParameterServer().rounds(payload, topology.workers, topology.servers)
    nodes = np.append(topology.workers, topology.servers)
    tcp = Tcp(window=2e6, efficiency=1.0, overhead=0.0)
    times = plan_times(fidelities.get("flow")(), topology, tcp, rounds, nodes)
    assert times.max() == pytest.approx(2 * (LATENCY + 1.0), **EXACT)


@pytest.mark.parametrize("seed", range(30))
def test_random_transfers_under_caps_give_what_progressive_filling_gives(seed):
    """Each pair's cap, min(cap, window / round trip), is one more link of the reference's routes."""
    rng = np.random.default_rng(seed)
    topology = random_star(rng, 6)
    tcp = Tcp(window=float(10 ** rng.uniform(4, 7)), cap=1e9 if seed % 2 else None, sockets=1 + seed % 3, overhead=0.0)
    src, dst = random_pairs(rng, topology.workers, 25)
    nbytes, start_s = random_sizes(rng, 25), rng.uniform(0, 0.1, 25).round(2)
    route = route_of(topology)
    capacity, latency = (topology.capacity_bytes_per_s * tcp.efficiency).tolist(), topology.latency_s.tolist()
    private, routes = {}, []
    for pair in zip(src.tolist(), dst.tolist(), strict=True):
        links = list(route(*pair))
        if pair not in private:
            round_trip_s = 2 * sum(latency[link] for link in links)
            rate = tcp.window / round_trip_s if round_trip_s else np.inf
            private[pair] = len(capacity)
            capacity.append(tcp.sockets * min(rate, tcp.cap or np.inf))
            latency.append(0.0)
        routes.append([*links, private[pair]])
    expected = reference.transfer_times(capacity, latency, routes, nbytes.tolist(), start_s.tolist())
    got = fidelities.get("flow")().transfer_times(topology, tcp, Transfers(src, dst, nbytes, start_s))
    np.testing.assert_allclose(got, expected, rtol=1e-9)
