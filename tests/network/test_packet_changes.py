"""The packet fidelity on links that change, fail and lose packets: closed forms, the flow model, and TCP's laws."""

from __future__ import annotations

import numpy as np
import pytest

from netsim.network import PacketFidelity, Round
from netsim.network.transport import Tcp
from netsim.topology import Star
from tests.network.test_changes import changing, finish_times, one_transfer, pair

SEGMENT = 1448


def fixed(mtu, window=1e6):
    return PacketFidelity(mtu=mtu, window=window)


@pytest.mark.parametrize("mtu", [1e4, 1e3])
def test_a_transfer_ends_when_the_integral_of_the_bandwidth_is_its_bytes(mtu):
    """2 s at 1 MB/s, 2 s at 0.25, 1 s at 0.5: 3 MB. The packet that meets a change still goes as it began."""
    network, env = changing(pair(latency_s=0.5), [(2.0, 0, 0.25, None), (4.0, 0, 0.5, None)], fidelity=fixed(mtu))
    (found,) = finish_times(network, env, [one_transfer(3e6)])
    assert found[1] == pytest.approx(5.0 + 0.5, abs=mtu / 0.25e6)
    star = Star(workers=2, bandwidth=1e6, latency=0.5).build()
    into = star.link_names.index("switch->worker1")
    network, env = changing(star, [(2.0, into, 0.25, None), (4.0, into, 0.5, None)], fidelity=fixed(mtu, window=4e6))
    (found,) = finish_times(network, env, [one_transfer(3e6)])
    # Two hops: what the first has sent waits before the second, which is idle for a latency and a packet at first.
    first_s = 0.25 + mtu / 1e6
    assert found[1] == pytest.approx(4 + 2 * (3 - (2 - first_s) - 0.5) + 0.25, abs=2 * mtu / 0.25e6)


def off_flow(seed):
    """Return how far `packet` is off `flow` with packets of 1000 and of 100 bytes."""
    rng = np.random.default_rng(seed)
    topology = Star(workers=4, bandwidth=1.25e7, latency=0.0).build()
    workers, count = topology.workers, len(topology.latency_s)
    changes = [
        (float(at_s), rng.choice(count, 3, replace=False), float(rng.choice([0.0, 0.2, 0.5, 2.0])), None)
        for at_s in np.sort(rng.uniform(0.0, 0.02, 4))
    ]
    changes.append((0.03, np.arange(count), 1.0, None))
    sizes = rng.uniform(4e4, 8e4, 4)
    rounds = [Round(workers, np.roll(workers, shift), sizes) for shift in (1, 2)]
    other = [Round(np.array([0]), np.array([2]), np.array([5e4]))]
    plans = [(rounds, workers, 0.0, False), (other, np.array([0, 2]), 5e-3, False)]
    flow_s = [max(one.values()) for one in finish_times(*changing(topology, changes), plans)]
    off = []
    for mtu in (1000.0, 100.0):
        found = finish_times(*changing(topology, changes, fidelity=fixed(mtu, 16 * mtu)), plans)
        off.append(np.abs(np.array([max(one.values()) for one in found]) / flow_s - 1).max())
    return off


def test_it_becomes_the_flow_model_as_packets_shrink_whatever_links_do():
    """Without latency, where a fluid is right: shares of 0 to 2 come and go under transfers that meet."""
    off = np.array([off_flow(seed) for seed in range(6)])
    assert off[:, 1].max() < 0.03
    assert off[:, 1].mean() < off[:, 0].mean() / 3


class TestALinkThatIsDown:
    def test_packets_of_a_fixed_window_wait(self):
        """For exactly as long as it is down, as in the flow model."""
        for begin_s, down_s in ((0.0, 0.7), (0.4, 3.0)):
            changes = [(begin_s, 0, 0.0, None), (begin_s + down_s, 0, 1.0, None)]
            network, env = changing(pair(latency_s=0.0), changes, fidelity=fixed(1e3))
            (found,) = finish_times(network, env, [one_transfer(1e6)])
            assert found[1] == pytest.approx(1.0 + down_s, abs=1e-3 + 1e-9)

    @pytest.mark.parametrize(("down_s", "again_s"), [(0.1, 0.2), (0.2, 0.6), (0.59, 0.6), (1.0, 1.4), (20.0, 25.4)])
    def test_a_timeout_brings_a_sender_back(self, down_s, again_s):
        """Sent at 0, again after 0.2, 0.4, 0.8 ... 12.8 s, and every 12.8 s: at 0.2, 0.6, 1.4, 3, ..., 12.6, 25.4 s."""
        changes = [(0.0, 0, 0.0, None), (down_s + 1e-6, 0, 1.0, None)]
        fidelity = PacketFidelity(congestion="reno", queue="fifo")
        network, env = changing(pair(latency_s=0.01), changes, fidelity=fidelity)
        (found,) = finish_times(network, env, [one_transfer(1500, at_s=1e-9)])
        assert found[1] == pytest.approx(again_s + 1500 / 1e6 + 0.01, abs=1e-6)

    def test_what_waits_in_its_queue_is_gone(self):
        """4 of 20 packets pass before it fails; what they let follow finds no link.

        The last is heard of after a round trip of 0.106 s; timeouts of 0.306 and 0.612 s later the link is there, and
        the lost 16 follow as 1, 2, 4, 7 (half of the window that was) and 2. Hosts hear up to a packet late, of each.
        """
        changes = [(0.005, 0, 0.0, None), (1.0, 0, 1.0, None)]
        fidelity = PacketFidelity(congestion="reno", queue="fifo", timeout=0.2)
        network, env = changing(pair(bandwidth=1e6, latency_s=0.05), changes, fidelity=fidelity)
        (found,) = finish_times(network, env, [one_transfer(20 * 1500)])
        assert network.ports[0].dropped == 6 + 8 + 1
        assert found[1] == pytest.approx(0.106 + 3 * 0.306 + 4 * 0.1 + 0.05 + 2 * 0.0015, abs=0.015)


def test_a_latency_counts_for_packets_that_are_still_to_leave():
    """One has left before it grows, the other leaves after; acknowledgements return as the way back is then."""
    network, env = changing(pair(latency_s=0.5), [(0.1, [0, 1], 1.0, 2.0)], fidelity=fixed(1e3, window=1e3))
    found = finish_times(network, env, [one_transfer(1e3), one_transfer(2e3, at_s=0.2)])
    assert found[0][1] == pytest.approx(0.501, rel=1e-9)
    assert found[1][1] == pytest.approx(0.2 + 2 * (0.001 + 2.0) + 2.0, rel=1e-9)


def test_what_is_abandoned_sends_no_more():
    network, env = changing(pair(latency_s=0.0), [], fidelity=fixed(1e3, window=1e4))
    rounds, nodes, *_ = one_transfer(1e6)
    heard = []
    execution = network.begin(rounds, nodes, heard.append, collective=False)
    execution.join(nodes)
    env.timeout(0.25).callbacks.append(lambda _: execution.abandon())
    env.run()
    assert network.ports[0].sent_bytes == pytest.approx(0.25e6, abs=1.1e4)
    assert not heard


def goodput(congestion, loss, round_trip_s, packets):
    """Return the bytes/s at which a connection goes on, once it has sent `packets`: the same again, twice over."""
    fidelity = PacketFidelity(mtu=SEGMENT, congestion=congestion, queue="fifo")
    took_s = []
    for count in (packets, 3 * packets):
        changes = [(0.0, [0, 1], 1.0, None, loss)]
        network, env = changing(pair(bandwidth=1.25e8, latency_s=round_trip_s / 2), changes, fidelity=fidelity)
        took_s.append(finish_times(network, env, [one_transfer(count * SEGMENT)])[0][1])
    return 2 * packets * SEGMENT / (took_s[1] - took_s[0])


def against_flow(congestion, loss, round_trip_s, packets):
    flow = Tcp(congestion=congestion).lossy_rate(np.array([round_trip_s]), np.array([loss]))[0]
    return goodput(congestion, loss, round_trip_s, packets) / flow


@pytest.mark.parametrize(
    ("loss", "packets"), [pytest.param(1e-3, 30_000, marks=pytest.mark.slow), (1e-2, 4_000), (5e-2, 2_000)]
)
def test_reno_under_loss_keeps_to_the_square_root_law(loss, packets):
    """Mathis et al. 1997 with an acknowledgement a segment: 1.22 segments a round trip over sqrt(loss)."""
    law = SEGMENT / 0.1 * np.sqrt(1.5 / loss)
    assert goodput("reno", loss, 0.1, packets) == pytest.approx(law, rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("congestion", "round_trip_s", "times"),
    [
        ("reno", 0.1, (1.6, 1.7, 1.8, 2.0)),
        ("reno", 0.01, (1.7, 2.4, 4.4, 5.6)),
        ("cubic", 0.1, (1.4, 1.6, 1.7, 1.8)),
        ("cubic", 0.01, (1.6, 2.2, 4.2, 5.3)),
    ],
)
def test_flow_says_less_under_loss_by_as_much_as_is_published(congestion, round_trip_s, times):
    for loss, more in zip((1e-3, 1e-2, 5e-2, 0.1), times, strict=True):
        packets = 20_000 if loss < 2e-3 else 8_000
        assert against_flow(congestion, loss, round_trip_s, packets) == pytest.approx(more, rel=0.05)
