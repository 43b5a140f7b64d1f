"""Links that change while transfers are under way: closed forms, progressive filling, and the recurrences."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import simpy

from netsim.network import Flow, Round, fidelities, transports
from netsim.network.base import LinkState
from netsim.network.links import Links
from netsim.network.transport import Tcp
from netsim.sync import Payload, Ring
from netsim.topology import Star, Topology
from tests.network import progressive
from tests.network.platforms import (
    random_graph,
    random_pairs,
    random_rounds,
    random_sizes,
    random_star,
    random_topology,
)

IDEAL = transports.get("ideal")()


def changing(topology, changes, transport=IDEAL, fidelity=None):
    """Return a network whose links change: (second, links, share, latency, loss) each; and its environment."""
    env = simpy.Environment()
    network = (fidelity or Flow()).build(env, topology, transport)
    network.expect_changes()
    for at_s, links, share, latency_s, *loss in changes:
        links = np.atleast_1d(links)
        share = np.broadcast_to(np.asarray(share, dtype=float), len(links))
        latency_s = topology.latency_s[links] if latency_s is None else np.full(len(links), latency_s)
        state = LinkState(share, latency_s, np.full(len(links), loss[0] if loss else 0.0))
        event = env.timeout(at_s)
        event.callbacks.append(lambda _, some=(links, state): network.change(*some))
    return network, env


def finish_times(network, env, plans):
    """Run plans (rounds, nodes, joined second); return for each the seconds by node."""
    found = [{} for _ in plans]

    def note(number):
        return lambda nodes: found[number].update(dict.fromkeys(nodes.tolist(), env.now))

    def begin(number):
        rounds, nodes, _, collective = plans[number]
        network.begin(rounds, nodes, note(number), collective=collective).join(nodes)

    for number, (_, _, at_s, _) in enumerate(plans):
        env.timeout(at_s).callbacks.append(lambda _, number=number: begin(number))
    env.run()
    return found


def pair(bandwidth=1e6, latency_s=0.5):
    graph = nx.DiGraph()
    graph.add_edge("a", "b", bandwidth=bandwidth, latency=latency_s)
    graph.add_edge("b", "a", bandwidth=bandwidth, latency=latency_s)
    return Topology.from_networkx(graph)


def one_transfer(nbytes, at_s=0.0, collective=False):
    return [Round(np.array([0]), np.array([1]), np.array([float(nbytes)]))], np.array([0, 1]), at_s, collective


@pytest.mark.parametrize("network", ["analytic", "flow"])
@pytest.mark.parametrize("collective", [True, False], ids=["recurrence", "fluid"])
def test_a_transfer_ends_when_the_integral_of_the_bandwidth_is_its_bytes(collective, network):
    """0.5 s latency, 1.5 s at 1 MB/s, 2 s at 0.25 MB/s, then 0.5 MB/s: 3 MB are through after 4 + 2 s."""
    topology = pair()
    changes = [(2.0, 0, 0.25, None), (4.0, 0, 0.5, None)]
    network, env = changing(topology, changes, fidelity=fidelities.get(network)())
    (found,) = finish_times(network, env, [one_transfer(3e6, collective=collective)])
    assert found[1] == pytest.approx(6.0, rel=1e-12)
    assert network.links.mean_share(6.0).tolist() == [pytest.approx((2 + 2 * 0.25 + 2 * 0.5) / 6), 1.0]
    assert network.links.while_up(6.0).share.tolist() == [pytest.approx((2 + 2 * 0.25 + 2 * 0.5) / 6), 1.0]


def test_what_links_are_like_while_they_are_up_leaves_failures_out():
    """2 s whole, 3 s down, 4 s at a quarter, of which 1 s lossy and twice as far: (2 + 4 / 4) / 6 of the bandwidth."""
    links = Links(pair(), transports.get("ideal")())
    assert links.while_up(1.0).latency_s.tolist() == [0.5, 0.5]
    links.expect_changes()
    for at_s, share, latency_s, loss in ((2, 0.0, 0.5, 0.0), (5, 0.25, 0.5, 0.0), (8, 0.25, 1.0, 0.6)):
        links.change(np.array([0]), LinkState(*(np.array([one]) for one in (share, latency_s, loss))), float(at_s))
    share, latency_s, loss = (one.tolist() for one in links.while_up(9.0))
    assert share == [pytest.approx(3 / 6), 1.0]
    assert latency_s == [pytest.approx((5 * 0.5 + 1.0) / 6), 0.5]
    assert loss == [pytest.approx(0.1), 0.0]


@pytest.mark.parametrize("collective", [True, False], ids=["recurrence", "fluid"])
def test_a_failed_link_stops_what_is_on_it_until_it_is_back(collective):
    network, env = changing(pair(), [(1.0, 0, 0.0, None), (11.0, 0, 1.0, None)])
    plans = [one_transfer(1e6, collective=collective), one_transfer(0, at_s=3.0), one_transfer(1e6, at_s=0.25)]
    found = finish_times(network, env, plans)
    assert found[0][1] == pytest.approx(11 + 2 * (1 - 0.25 - 0.125), rel=1e-12)  # two of them share
    assert found[1][1] == 11.0  # nothing, not even an empty message, passes
    assert found[2][1] == pytest.approx(11 + 1.5, rel=1e-12)


def test_a_transfer_that_begins_while_its_link_is_down_waits():
    network, env = changing(pair(latency_s=0.0), [(1.0, 0, 0.0, None), (5.0, 0, 1.0, None)])
    (found,) = finish_times(network, env, [one_transfer(1e6, at_s=2.0, collective=True)])
    assert found[1] == pytest.approx(6.0, rel=1e-12)


def test_one_that_ends_as_its_link_fails_has_ended():
    network, env = changing(pair(bandwidth=2.0**20, latency_s=0.0), [(1.0, 0, 0.0, None), (9.0, 0, 1.0, None)])
    (found,) = finish_times(network, env, [one_transfer(2**20, collective=True)])
    assert found[1] == 1.0


def test_a_latency_counts_for_transfers_that_are_still_to_start():
    """There and back and there: the second round starts after the change, the first has begun before."""
    topology = pair(bandwidth=1e6, latency_s=1.0)
    forth, back = (Round(np.array([u]), np.array([v]), np.array([1e6])) for u, v in ((0, 1), (1, 0)))
    for collective in (True, False):
        network, env = changing(topology, [(0.5, [0, 1], 1.0, 3.0)])
        (found,) = finish_times(network, env, [([forth, back, forth], np.array([0, 1]), 0.0, collective)])
        assert found[1] == pytest.approx(2.0 + 4.0 + 4.0, rel=1e-12)


def test_a_window_caps_the_rate_by_the_latency_of_the_moment():
    """A window of 1 MB: no cap at 0.5 s a round trip and 1 MB/s, 0.25 MB/s at 4 s."""
    transport = Tcp(efficiency=1.0, overhead=0.0, window=1e6)
    for collective in (True, False):
        network, env = changing(pair(latency_s=0.25), [(1.25, [0, 1], 1.0, 2.0)], transport)
        (found,) = finish_times(network, env, [one_transfer(2e6, collective=collective)])
        assert found[1] == pytest.approx(1.25 + 1e6 / 0.25e6, rel=1e-12)


def random_changes(rng, topology, count):
    """Return changes of some links at some times, failures among them, after which everything is up again."""
    changes = []
    for _ in range(count):
        links = rng.choice(len(topology.latency_s), int(rng.integers(1, len(topology.latency_s) + 1)), replace=False)
        share = rng.choice([0.0, 0.5, 1.0, 2.0, 10 ** rng.uniform(-2, 1)], len(links))
        changes.append((float(rng.choice([0.015, 0.105, rng.uniform(0, 0.2)])), links, share, None))
    changes.sort(key=lambda one: one[0])
    return [*changes, (0.3, np.arange(len(topology.latency_s)), 1.0, None)]


def agrees_with_progressive_filling(seed, most_links, most_transfers):
    rng = np.random.default_rng(seed)
    topology = random_graph(rng, most_links=most_links)
    count = int(rng.integers(1, most_transfers + 1))
    src, dst = random_pairs(rng, np.arange(len(topology.names)), count)
    nbytes, start_s = random_sizes(rng, count), np.round(rng.uniform(0, 0.2, count), int(rng.choice([1, 2, 12])))
    changes = random_changes(rng, topology, int(rng.integers(1, 6)))
    network, env = changing(topology, changes)
    plans = [
        ([Round(src[[i]], dst[[i]], nbytes[[i]])], np.array([src[i], dst[i]]), float(start_s[i]), False)
        for i in range(count)
    ]
    found = finish_times(network, env, plans)
    routed = Links(topology, IDEAL).routed(src, dst)
    capacity, steps = topology.capacity_bytes_per_s.copy(), []
    for at_s, links, share, _ in changes:
        capacity = capacity.copy()
        capacity[links] = topology.capacity_bytes_per_s[links] * share
        steps.append((at_s, capacity))
    expected = progressive.transfer_times(
        topology.capacity_bytes_per_s, routed.start, routed.links, start_s + routed.delay_s, nbytes, steps
    )
    got = [one[node] for one, node in zip(found, dst.tolist(), strict=True)]
    np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_changes_are_those_of_progressive_filling(seed):
    agrees_with_progressive_filling(seed, most_links=20, most_transfers=30)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_500_sets_of_changes_are_those_of_progressive_filling(block):
    for seed in range(50 * block, 50 * block + 50):
        agrees_with_progressive_filling(10_000 + seed, most_links=60, most_transfers=200)


@pytest.mark.parametrize("seed", range(20))
def test_recurrences_that_changes_break_into_give_what_the_solver_gives(seed):
    rng = np.random.default_rng(seed)
    topology = random_star(rng, int(rng.integers(2, 9)))
    workers, nbytes = topology.workers, 10 ** rng.uniform(5, 8)
    payload = Payload("sum", np.full(len(workers), nbytes), nbytes, np.ones(1, dtype=np.int64))
    rounds = list(Ring().rounds(payload, workers, workers[:0]))
    changes = random_changes(rng, topology, int(rng.integers(1, 5)))
    changes = [(at_s, links, share, float(rng.choice([1e-3, 2e-2]))) for at_s, links, share, _ in changes]
    joined_s = rng.choice([0.0, 0.05, 0.25], 2)
    fast, forced = (
        finish_times(*changing(topology, changes), [(rounds, workers, float(at_s), collective) for at_s in joined_s])
        for collective in (True, False)
    )
    for one, other in zip(fast, forced, strict=True):
        np.testing.assert_allclose([one[node] for node in workers], [other[node] for node in workers], rtol=1e-9)


def test_expecting_changes_that_do_not_come_changes_nothing():
    topology = Star(workers=4, bandwidth=1e9).build()
    rounds = [Round(np.array([0, 1, 2]), np.array([3, 3, 3]), np.array([1e6, 2e6, 3e6]))]
    for transport in (IDEAL, Tcp(window=2e4)):
        quiet = Flow().build(env := simpy.Environment(), topology, transport)
        expected = finish_times(quiet, env, [(rounds, np.arange(4), 0.0, False)])
        np.testing.assert_allclose(
            list(finish_times(*changing(topology, [], transport), [(rounds, np.arange(4), 0.0, False)])[0].values()),
            list(expected[0].values()),
            rtol=1e-12,
        )


ANALYTIC = fidelities.get("analytic")()


def bound_and_flow(seed):
    """Return when random plans on links that change at random are over, at least and by the flow network.

    Latencies rise and fall, links fail and lose packets, windows cap pairs of hosts.
    """
    rng = np.random.default_rng(seed)
    topology = random_topology(rng)
    if len(topology.workers) < 2:
        topology = Star(workers=2, bandwidth=1e9).build()
    transport = Tcp(window=float(rng.choice([1e4, 1e6]))) if rng.random() < 0.5 else IDEAL
    changes = [
        (at_s, links, share, rng.choice([None, 0.0, 1e-3, 5e-2]), float(rng.choice([0.0, 1e-3])))
        for at_s, links, share, _ in random_changes(rng, topology, int(rng.integers(1, 8)))
    ]
    workers = topology.workers
    plans = [(random_rounds(rng, workers), workers, float(rng.choice([0.0, 0.05, 0.2])), False) for _ in range(2)]
    both = []
    for fidelity in (ANALYTIC, Flow()):
        # One plan at a time: to a bound, plans never meet.
        for one in plans:
            (found,) = finish_times(*changing(topology, changes, transport, fidelity), [one])
            both.append(max(found.values()))
    return np.reshape(both, (2, -1))


@pytest.mark.parametrize("block", range(10))
def test_the_bound_is_never_above_the_flow_whatever_links_do(block):
    for seed in range(6 * block, 6 * block + 6):
        bound_s, flow_s = bound_and_flow(seed)
        assert (bound_s <= flow_s * (1 + 1e-12)).all(), seed
        assert (bound_s > 0).any()


@pytest.mark.parametrize("seed", range(20))
def test_a_symmetric_plan_ends_with_its_bound_whatever_all_links_do(seed):
    """Every link alike at every instant, without latency: each round takes the same integral in both."""
    rng = np.random.default_rng(seed)
    topology = Star(workers=4, bandwidth=1e8, latency=0.0).build()
    workers, every = topology.workers, np.arange(len(topology.latency_s))
    changes = [(at_s, every, rng.choice([0.0, 0.3, 2.0]), None) for at_s in np.sort(rng.uniform(0, 0.5, 6))]
    nbytes = 10 ** rng.uniform(5, 8)
    payload = Payload("sum", np.full(4, nbytes), nbytes, np.ones(1, dtype=np.int64))
    plan = list(Ring().rounds(payload, workers, workers[:0])), workers, 0.0, True
    ends_s = [
        max(finish_times(*changing(topology, [*changes, (0.6, every, 1.0, None)], IDEAL, one), [plan])[0].values())
        for one in (ANALYTIC, Flow())
    ]
    assert ends_s[0] == pytest.approx(ends_s[1], rel=1e-9)


def test_who_waits_for_a_latency_may_meet_a_shorter_one():
    """A latency of 1 s at first, of nothing from 0.5 s on: who enters its round after 0.6 s begins before 1 s."""
    network, env = changing(pair(latency_s=1.0), [(0.5, [0, 1], 1.0, 0.0)], fidelity=ANALYTIC)
    # Node 1 sends after 0.1 s of work at the least, but could be held up until 0.5 s: 0.1 s more from then on.
    held = [Round(np.array([1]), np.array([0]), np.array([1e6]), hold_s=0.1)]
    (found,) = finish_times(network, env, [(held, np.array([0, 1]), 0.0, False)])
    assert found[0] == pytest.approx(0.5 + 0.1 + 1.0, rel=1e-12)


def test_loss_caps_a_connection_by_the_square_root_law():
    """Mathis et al. 1997: sqrt(3/2)/sqrt(b) = 0.87 segments a round trip over sqrt(loss), while timeouts are rare."""
    transport = Tcp(efficiency=1.0, overhead=0.0, window=None, congestion="reno")
    network, env = changing(pair(bandwidth=1e9, latency_s=0.05), [(0.0, [0, 1], 1.0, None, 1e-6)], transport)
    (found,) = finish_times(network, env, [one_transfer(1e8)])
    rate = 1448 / 0.1 * np.sqrt(3 / 4) / np.sqrt(1e-6)
    assert found[1] - 0.05 == pytest.approx(1e8 / rate, rel=1e-3)


def test_loss_of_links_in_a_row_adds_up_and_ends():
    """Two links that each lose a hundredth lose 0.0199 together; for 10 s, then the rest goes at full rate."""
    graph = nx.path_graph(["a", "b", "c"])
    nx.set_edge_attributes(graph, 1e9, "bandwidth")
    nx.set_edge_attributes(graph, 0.005, "latency")
    topology = Topology.from_networkx(graph)
    transport = Tcp(efficiency=1.0, overhead=0.0, window=None)
    every = np.arange(4)
    network, env = changing(topology, [(0.0, every, 1.0, None, 0.01), (10.01, every, 1.0, None)], transport)
    rounds = [Round(np.array([0]), np.array([2]), np.array([1e9]))]
    (found,) = finish_times(network, env, [(rounds, np.array([0, 2]), 0.0, False)])
    rate = float(transport.lossy_rate(np.array([0.02]), np.array([0.0199]))[0])
    assert found[2] == pytest.approx(10.01 + (1e9 - 10 * rate) / 1e9, rel=1e-9)


@pytest.mark.parametrize(
    ("loss", "round_trip_s", "segments"),
    [
        # 1 / (RTT sqrt(2bp/3) + T0 min(1, 3 sqrt(3bp/8)) p (1 + 32 p^2)), worked out by hand; b = 2, T0 = RTT + 0.2.
        (0.01, 0.1, 1 / (0.1 * 0.1154700538 + 0.3 * 0.2598076211 * 0.01 * 1.0032)),
        (0.25, 0.1, 1 / (0.1 * 0.5773502692 + 0.3 * 1.0 * 0.25 * 3.0)),
    ],
)
def test_reno_under_loss_is_padhyes_formula(loss, round_trip_s, segments):
    rate = Tcp(congestion="reno").lossy_rate(np.array([round_trip_s]), np.array([loss]))
    assert rate[0] == pytest.approx(1448 * segments, rel=1e-9)


def test_cubic_is_renos_equal_on_short_paths_and_ahead_on_long_ones():
    """RFC 9438, 5: (C (3 + b) / (4 (1 - b)))^(1/4) (RTT / loss)^(3/4) segments are under way; C = 0.4, b = 0.7."""
    cubic, reno = Tcp(), Tcp(congestion="reno")
    short, long = np.array([0.01]), np.array([0.1])
    assert cubic.lossy_rate(short, np.array([1e-2])) == reno.lossy_rate(short, np.array([1e-2]))
    under_way = cubic.lossy_rate(long, np.array([1e-6]))[0] / 1448 * 0.1
    assert under_way == pytest.approx((0.4 * 3.7 / (4 * 0.3)) ** 0.25 * (0.1 / 1e-6) ** 0.75, rel=1e-3)
    assert cubic.lossy_rate(long, np.array([1e-6])) > 5 * reno.lossy_rate(long, np.array([1e-6]))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_abandoned_leaves_the_links_to_the_others(seed):
    """In progressive filling, each that is abandoned has a link of its own, whose capacity is gone from then on."""
    rng = np.random.default_rng(seed)
    topology = random_graph(rng, most_links=10)
    count, links = int(rng.integers(2, 30)), len(topology.latency_s)
    src, dst = random_pairs(rng, np.arange(len(topology.names)), count)
    nbytes, start_s = random_sizes(rng, count), rng.uniform(0, 0.1, count)
    left_s, gone = float(rng.uniform(0.02, 0.15)), rng.random(count) < 0.5
    env = simpy.Environment()
    network, finish_s = Flow().build(env, topology, IDEAL), np.full(count, np.nan)

    def begin(one):
        ends = np.array([src[one], dst[one]])
        done = lambda _: finish_s.__setitem__(one, env.now)  # noqa: E731
        execution = network.begin([Round(src[[one]], dst[[one]], nbytes[[one]])], ends, done, collective=seed % 2 == 0)
        execution.join(ends)
        if gone[one]:
            leave = env.timeout(max(left_s - env.now, 0.0))
            leave.callbacks.append(lambda _: execution.abandon())

    for one in range(count):
        env.timeout(start_s[one]).callbacks.append(lambda _, one=one: begin(one))
    env.run()
    routed = Links(topology, IDEAL).routed(src, dst)
    routes = np.insert(routed.links, routed.start[1:], links + np.arange(count))
    capacity = np.concatenate([topology.capacity_bytes_per_s, np.full(count, np.inf)])
    after = np.concatenate([topology.capacity_bytes_per_s, np.where(gone, 0.0, np.inf)])
    expected = progressive.transfer_times(
        capacity,
        routed.start + np.arange(count + 1),
        routes,
        start_s + routed.delay_s,
        nbytes,
        [(left_s, after), (1e6, capacity)],
    )
    stays = ~gone | (expected < left_s)
    np.testing.assert_allclose(finish_s[stays], expected[stays], rtol=1e-9)
    assert np.isnan(finish_s[~stays & (start_s < left_s)]).all()
