"""The packet fidelity against the flow model where a fluid is right, and against what TCP does where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.errors import InputError
from netsim.network import PacketFidelity, Round, Transfers, fidelities, transports
from netsim.network.congestion import Cubic, Dctcp, Reno
from netsim.network.run import plan_times
from netsim.topology import GpuCluster, Star
from netsim.topology.graph import Topology

IDEAL = transports.get("ideal")()
FLOW = fidelities.get("flow")()
BANDWIDTH, LATENCY_S = 1.25e8, 100e-6


def star(workers: int) -> Topology:
    return Star(workers=workers, bandwidth=BANDWIDTH, latency=LATENCY_S).build()


def times(fidelity: object, topology: Topology, src: list[int], dst: list[int], nbytes: float) -> np.ndarray:
    sizes, starts = np.full(len(src), float(nbytes)), np.zeros(len(src))
    return fidelity.transfer_times(topology, IDEAL, Transfers(np.array(src), np.array(dst), sizes, starts))  # type: ignore[attr-defined]


@pytest.mark.parametrize("nbytes", [1, 1499, 1500, 1501, 150_000])
def test_one_message_takes_one_more_packet_a_hop(nbytes: int) -> None:
    """Two links of one rate: the first packet is sent twice over, the others follow it."""
    first = min(nbytes, 1500) if nbytes % 1500 == 0 or nbytes < 1500 else 1500
    (got,) = times(PacketFidelity(), star(2), [0], [1], nbytes)
    assert got == pytest.approx(LATENCY_S + (nbytes + first) / BANDWIDTH, rel=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_it_becomes_the_flow_model_as_packets_shrink(data: st.DataObject) -> None:
    """On stars and GPU clusters, with sizes and starts at random; the difference falls with the MTU.

    Without latency: a fluid transfer holds no bandwidth while its first byte travels, packets hold some at once.
    """
    if data.draw(st.booleans()):
        topology = Star(workers=data.draw(st.integers(2, 5)), bandwidth=BANDWIDTH, latency=0.0).build()
    else:
        topology = GpuCluster(
            machines=2, gpus_per_machine=2, bandwidth=1e8, hop_bandwidth=3e8, latency=0.0, hop_latency=0.0
        ).build()
    count, workers = data.draw(st.integers(1, 5)), len(topology.workers)
    src = np.array(data.draw(st.lists(st.integers(0, workers - 1), min_size=count, max_size=count)))
    step = np.array(data.draw(st.lists(st.integers(1, workers - 1), min_size=count, max_size=count)))
    sizes = np.array(data.draw(st.lists(st.floats(5e4, 1e5), min_size=count, max_size=count)))
    starts = np.array(data.draw(st.lists(st.floats(0, 1e-3), min_size=count, max_size=count)))
    at = Transfers(src, (src + step) % workers, sizes, starts)
    flow_s = FLOW.transfer_times(topology, IDEAL, at)
    off = []
    for mtu in (1000.0, 50.0):
        packet_s = PacketFidelity(mtu=mtu, window=16 * mtu).transfer_times(topology, IDEAL, at)
        off.append(np.abs(packet_s / flow_s - 1).max())
    assert off[1] < 0.05
    assert off[1] < off[0] / 3 + 1e-3


def test_a_ring_of_packets_is_a_ring_of_chunks_and_one_packet_a_hop() -> None:
    topology, chunk = star(4), 30_000.0
    one = Round(topology.workers, np.roll(topology.workers, -1), np.full(4, chunk))
    got = plan_times(PacketFidelity(), topology, IDEAL, [one] * 6, topology.workers)
    assert got == pytest.approx(6 * (LATENCY_S + (chunk + 1500) / BANDWIDTH), rel=1e-9)


def test_every_byte_arrives_over_every_link_of_its_route() -> None:
    import simpy

    topology = star(5)
    env = simpy.Environment(initial_time=0.0)
    network = PacketFidelity(congestion="reno", queue="fifo", buffer=2e4, timeout=0.01).build(env, topology, IDEAL)
    finished: list[int] = []
    for worker in range(1, 5):
        network.send(worker, 0, 1e5, 0.0, lambda worker=worker: finished.append(worker))  # type: ignore[misc]
    env.run()
    down = network.ports[topology.link_names.index("switch->worker0")]
    assert sorted(finished) == [1, 2, 3, 4]
    assert down.dropped > 0
    assert down.sent_bytes >= 4e5
    assert down.largest_bytes <= 2e4
    assert down.sent_bytes / down.bytes_per_s <= env.now


def test_slow_start_doubles_the_window_every_round_trip() -> None:
    """10, 20, 40 and 30 packets of 100 leave in four rounds; a round trip is 2 latencies and 2 packet times here."""
    latency_s, packet_s = 10e-3, 1500 / 1.25e9
    topology = Star(workers=2, bandwidth=1.25e9, latency=latency_s).build()
    (got,) = times(PacketFidelity(congestion="reno", queue="fifo"), topology, [0], [1], 150_000)
    round_trip_s = 2 * latency_s + 2 * packet_s
    # The last 30 follow the acknowledgements of the third round, which are a packet time apart, two for each.
    assert got == pytest.approx(3 * round_trip_s + latency_s + 31 * packet_s, rel=0.01)


@pytest.mark.parametrize(
    ("congestion", "buffer", "mark", "nbytes"), [("reno", 4.5e4, None, 4e7), ("dctcp", 1.5e5, 2.4e4, 1e7)]
)
def test_two_long_flows_share_fairly(congestion: str, buffer: float, mark: float | None, nbytes: float) -> None:
    """Over 40 and 10 MB each. Reno's share hangs on the buffer: 0.88, 0.98, 0.99, 0.83 at 30, 45, 60, 75 kB."""
    fidelity = PacketFidelity(congestion=congestion, queue="fifo", buffer=buffer, mark=mark, timeout=0.01)  # type: ignore[arg-type]
    first_s, last_s = sorted(times(fidelity, star(3), [0, 1], [2, 2], nbytes))
    # What the slower flow had not sent when the faster one ended, it then sent at full rate.
    slower = nbytes - (last_s - first_s) * BANDWIDTH
    assert slower / nbytes == pytest.approx(1.0, abs=0.05)
    assert last_s == pytest.approx(2 * nbytes / BANDWIDTH, rel=0.05)


class TestIncast:
    """256 kB from each of n synchronised senders through one 1 Gbit/s port with 128 kB of buffer."""

    @staticmethod
    def goodput(senders: int, congestion: str, mark: float | None = None) -> float:
        fidelity = PacketFidelity(
            congestion=congestion,  # type: ignore[arg-type]
            queue="fifo",
            buffer=128e3,
            mark=mark,
            initial_window=2,
            timeout=0.2,
        )
        done_s = times(fidelity, star(senders + 1), list(range(1, senders + 1)), [0] * senders, 256e3).max()
        return float(senders * 256e3 / done_s / BANDWIDTH)

    def test_few_senders_fill_the_link(self) -> None:
        assert self.goodput(4, "reno") > 0.9

    def test_many_senders_collapse(self) -> None:
        """Whole windows are lost, and everybody waits for a timeout: the flow model, which sees none of it, is off."""
        assert self.goodput(24, "reno") < 0.4
        flow_s = times(FLOW, star(25), list(range(1, 25)), [0] * 24, 256e3).max()
        assert 24 * 256e3 / flow_s / BANDWIDTH > 0.99

    def test_marking_recovers_it(self) -> None:
        assert self.goodput(24, "dctcp", mark=2e4) > 0.95


class TestWindows:
    def test_reno_halves_after_a_loss_and_begins_anew_after_silence(self) -> None:
        window = Reno(16.0)
        window.lost(0.0)
        assert window.packets == 8
        for _ in range(8):
            window.acknowledged(0.0, marked=False)
        assert window.packets == pytest.approx(9, abs=0.1)
        window.silent()
        assert window.packets == 1

    def test_cubic_is_flat_where_the_last_loss_was(self) -> None:
        window = Cubic(100.0)
        window.lost(0.0)
        assert window.packets == pytest.approx(70)
        inflection_s = (100 * 0.3 / 0.4) ** (1 / 3)
        for now_s in np.linspace(0, inflection_s, 2000):
            window.acknowledged(float(now_s), marked=False)
        assert window.packets == pytest.approx(100, rel=0.02)

    def test_dctcp_shrinks_by_the_marked_share(self) -> None:
        window = Dctcp(100.0)
        window.threshold = 100.0
        for _ in range(100):
            window.acknowledged(0.0, marked=True)
        assert window.packets == pytest.approx(50)


@pytest.mark.parametrize(
    "fields",
    [
        {"buffer": 1e5},
        {"mark": 1e5, "congestion": "reno"},
        {"window": 1e5, "congestion": "reno"},
        {"timeout": 0.1},
        {"initial_window": 2},
    ],
)
def test_settings_that_would_have_no_effect_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InputError):
        PacketFidelity(**fields)  # type: ignore[arg-type]
