"""A cluster of p3.2xlarge machines whose links are shaped by netem: nothing is fitted.

Measured: public results of github.com/BinhangYuan/tc_cluster_setting, milliseconds. Delays are one-way, 128 MB means
128 MiB. Facts of the cluster: Amazon EC2 carries frames of 9,001 bytes, and 5 Gbit/s in one flow between machines
outside a placement group (EC2 user guide), which matters to Gloo with its one socket; NCCL opens 16. What the same
guide says of "up to 10 Gbit/s" is that a small machine has less for good and bursts on credit and on what its
neighbours leave: it names no rate that would explain the unshaped rows of NCCL.

Between regions, the page moves 6.2 to 7.5 MB a round trip into Oregon and 9.4 to 11 MB into Virginia and Sydney, from
whichever region and distance: what differs is the receiving machine's window, of which the page says nothing. So each
of the three has its own, from its pair with the longest round trip; the others' pairs are as fast as their tunnel.
"""

from __future__ import annotations

import numpy as np
import pytest

from netsim.network import Transfers, fidelities
from netsim.network.run import plan_times
from netsim.network.transport import Gloo, Nccl
from netsim.sync import Payload, Ring
from netsim.topology import Star, Wan
from tests.validation.compare import Compared, show

MIB, GBIT = 2**20, 1e9 / 8
ONE_FLOW = 5 * GBIT

ALL_REDUCE = (
    # nodes, delay ms, rate Gbit/s, gloo 128, nccl 128, gloo 256, nccl 256
    (4, 1, 5, 485, 329, 959, 655),
    (4, 5, 2, 1517, 835, 2989, 1650),
    (4, 10, 1, 2993, 1669, 5909, 3298),
    (8, 1, 5, 537, 383, 1111, 763),
    (8, 5, 2, 1814, 970, 3562, 1921),
    (8, 10, 1, 3582, 1940, 6999, 3841),
    (16, 1, 5, 612, 410, 1239, 817),
    (16, 5, 2, 1950, 1038, 3861, 2057),
    (16, 10, 1, 3873, 2076, 7636, 4114),
    (32, 1, 5, 629, 434, 1299, 844),
    (32, 5, 2, 1992, 1071, 4029, 2124),
    (32, 10, 1, 3940, 2141, 7816, 4251),
)
UNSHAPED = ((4, 175, 363), (8, 208, 443), (16, 252, 474), (32, 252, 523))
"""NCCL without shaping: "up to 10 Gbit/s", of which the machines' network credits decide; 30 us are assumed."""

GLOO_UNSHAPED = ((4, 327, 657), (8, 382, 765), (16, 412, 819), (32, 428, 849))

POINT_TO_POINT = (
    # delay ms (0.03 where none is set), rate Gbit/s (10 where none is set), gloo 64, nccl 64, gloo 128, nccl 128
    (0.03, 10, 107, 55, 216, 112),
    (1, 10, 110, 59, 222, 115),
    (5, 10, 274, 80, 512, 134),
    (10, 10, 532, 113, 972, 171),
    (0.03, 5, 110, 109, 218, 217),
    (0.03, 2, 271, 270, 542, 541),
    (0.03, 1, 541, 541, 1082, 1082),
    (1, 5, 115, 110, 224, 220),
    (5, 2, 311, 275, 581, 542),
    (10, 1, 620, 543, 1160, 1083),
)

VPN = 1.25 * GBIT
"""The tunnels' own limit: the mean of 1.16 and 1.34 Gbit/s that 32 iperf3 connections got on the two shortest pairs."""
WAN = (
    # receiving and sending region, round trip ms, NCCL Gbit/s
    ("Oregon", "Virginia", 67, 0.790),
    ("Oregon", "Ohio", 49, 1.10),
    ("Oregon", "Tokyo", 96, 0.523),
    ("Oregon", "Seoul", 124, 0.460),
    ("Oregon", "Singapore", 163, 0.341),
    ("Oregon", "Sydney", 139, 0.360),
    ("Oregon", "London", 136, 0.420),
    ("Oregon", "Frankfurt", 143, 0.404),
    ("Oregon", "Ireland", 124, 0.482),
    ("Virginia", "Ohio", 11, 1.12),
    ("Virginia", "London", 76, 1.16),
    ("Virginia", "Tokyo", 143, 0.524),
    ("Virginia", "Singapore", 230, 0.364),
    ("London", "Frankfurt", 14, 1.14),
    ("London", "Ireland", 12, 1.09),
    ("Tokyo", "Seoul", 34, 1.10),
    ("Sydney", "London", 262, 0.326),
)
LONG = (("Oregon", 163, 0.341), ("Virginia", 230, 0.364), ("Sydney", 262, 0.326))
"""Of each region that receives over more than 35 ms, the pair with the longest round trip: it fills no tunnel."""
WINDOWS = {region: rate * GBIT * round_trip_ms / 1e3 / 2 for region, round_trip_ms, rate in LONG}
"""Bytes a round trip of each of the two sockets that NCCL opens where it does not know the card: a channel each."""


def all_reduce_ms(transport, nodes, delay_ms, rate_gbit, mib, network="flow"):
    topology = Star(workers=nodes, bandwidth=rate_gbit * GBIT, latency=delay_ms / 1e3).build()
    payload = Payload("sum", np.full(nodes, mib * MIB), mib * MIB, np.ones(1, dtype=np.int64))
    rounds = Ring().rounds(payload, topology.workers, topology.servers)
    return 1e3 * plan_times(fidelities.get(network)(), topology, transport, rounds, topology.workers).max()


def point_to_point_ms(transport, delay_ms, rate_gbit, mib):
    topology = Star(workers=2, bandwidth=rate_gbit * GBIT, latency=delay_ms / 1e3).build()
    one = Transfers(np.array([0]), np.array([1]), np.array([mib * MIB]), np.zeros(1))
    return 1e3 * fidelities.get("flow")().transfer_times(topology, transport, one)[0]


def wan_gbit_s(receiver, round_trip_ms, windows):
    """Return the rate of a long transfer over two channels of one socket each, NCCL's choice for an unknown card."""
    own = (windows[receiver],) * 2 if receiver in windows else ()
    sites = Wan(round_trips=(round_trip_ms / 1e3,), wan_bandwidth=VPN, bandwidth=10 * GBIT, latency=0.0, windows=own)
    nbytes = 1e12
    one = Transfers(np.array([0]), np.array([1]), np.array([nbytes]), np.zeros(1))
    return nbytes / fidelities.get("flow")().transfer_times(sites.build(), Nccl(sockets=2), one)[0] / GBIT


def between_regions(windows):
    return [
        Compared(f"{receiver}-{sender}", wan_gbit_s(receiver, round_trip_ms, windows), rate)
        for receiver, sender, round_trip_ms, rate in WAN
    ]


@pytest.mark.parametrize("network", ["flow", "analytic"])
def test_nccl_all_reduce_within_5_percent_each(network):
    rows = [
        Compared(
            f"{n} nodes, {delay} ms, {rate} Gbit/s, {mib} MiB", all_reduce_ms(Nccl(), n, delay, rate, mib, network), ms
        )
        for n, delay, rate, _, small, _, large in ALL_REDUCE
        for mib, ms in ((128, small), (256, large))
    ]
    show("NCCL all-reduce, ms, nothing fitted", rows)
    assert max(abs(one.error) for one in rows) <= 0.05


def unshaped():
    rows = [
        Compared(f"{n} nodes, {mib} MiB", all_reduce_ms(Nccl(), n, 0.03, 10, mib), ms)
        for n, small, large in UNSHAPED
        for mib, ms in ((128, small), (256, large))
    ]
    show("NCCL all-reduce at the nominal rate of the machines, ms", rows)
    return np.abs([one.error for one in rows])


def test_the_errors_without_shaping_are_as_published():
    assert np.median(unshaped()) == pytest.approx(0.142, abs=0.002)
    assert unshaped().max() == pytest.approx(0.196, abs=0.002)


def test_no_rate_explains_what_was_measured_without_shaping():
    """Were any one rate known that 4 to 32 of these machines had, the worst row would still be 7 % off."""
    slower = 1 / (1 - unshaped())
    assert (slower.max() - slower.min()) / (slower.max() + slower.min()) == pytest.approx(0.07, abs=0.005)


@pytest.mark.xfail(
    strict=True, reason='8 to 9.2 of "up to 10" Gbit/s were there, fewer with more nodes: no rate is documented'
)
def test_nccl_all_reduce_without_shaping_within_5_percent_each():
    assert unshaped().max() <= 0.05


def test_gloo_all_reduce_within_8_percent_each():
    """Two segments are in flight, and the receivers' notices queue behind their own data (netem holds all of it)."""
    gloo = Gloo(cap=ONE_FLOW)
    rows = [
        Compared(f"{n} nodes, {delay} ms, {rate} Gbit/s, {mib} MiB", all_reduce_ms(gloo, n, delay, rate, mib), ms)
        for n, delay, rate, small, _, large, _ in ALL_REDUCE
        for mib, ms in ((128, small), (256, large))
    ]
    rows += [
        Compared(f"{n} nodes, unshaped, {mib} MiB", all_reduce_ms(gloo, n, 0.03, 10, mib), ms)
        for n, small, large in GLOO_UNSHAPED
        for mib, ms in ((128, small), (256, large))
    ]
    show("Gloo all-reduce, ms, nothing fitted", rows)
    errors = np.abs([one.error for one in rows])
    assert np.median(errors) <= 0.025
    assert errors.max() <= 0.08


@pytest.mark.parametrize("transport", [Gloo(cap=ONE_FLOW), Nccl()], ids=["gloo", "nccl"])
def test_point_to_point_within_15_percent_each(transport):
    first = 2 if transport.kind == "gloo" else 3
    rows = [
        Compared(
            f"{row[0]} ms, {row[1]} Gbit/s, {mib} MiB", point_to_point_ms(transport, row[0], row[1], mib), row[place]
        )
        for row in POINT_TO_POINT
        for mib, place in ((64, first), (128, first + 2))
    ]
    show(f"{transport.kind} point to point, ms, nothing fitted", rows)
    assert max(abs(one.error) for one in rows) <= 0.15


def test_wan_pairs_within_15_percent_each():
    """Three pairs give the windows of their receivers; the other 14 are predicted."""
    fitted = {(region, rate) for region, _, rate in LONG}
    rows = [
        one
        for one, (region, *_, rate) in zip(between_regions(WINDOWS), WAN, strict=True)
        if (region, rate) not in fitted
    ]
    show("NCCL between regions, Gbit/s, a window for each of three receivers", rows)
    errors = np.abs([one.error for one in rows])
    assert len(errors) == 14
    assert errors.max() <= 0.15
    assert np.median(errors) == pytest.approx(0.078, abs=0.01)


def test_one_window_for_all_receivers_misses_five_wan_pairs():
    """Linux' default is Oregon's to 14 %; machines elsewhere took 1.5 to 1.7 times as much."""
    rows = between_regions({})
    show("NCCL between regions, Gbit/s, nothing fitted", rows)
    missed = {one.what: one.error for one in rows if abs(one.error) > 0.15}
    assert missed == pytest.approx(
        {
            "Oregon-Ireland": -0.16,
            "Virginia-London": -0.43,
            "Virginia-Tokyo": -0.33,
            "Virginia-Singapore": -0.40,
            "Sydney-London": -0.41,
        },
        abs=0.01,
    )
