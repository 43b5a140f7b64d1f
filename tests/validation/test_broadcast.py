"""Broadcasts on the shaped cluster of `test_shaped_cluster`: Gloo's tree and NCCL's chain, nothing fitted.

Gloo sends along a binomial tree, from a node to all its children at once (gloo/broadcast.cc); NCCL along a ring,
whose nodes pass on pieces of 512 KiB in each of two channels (BROADCAST_CHUNKSTEPS in collectives.h). Between two runs
the connections were idle for a second.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from netsim.network import fidelities
from netsim.network.run import plan_times
from netsim.network.transport import Gloo, Nccl
from netsim.sync import Ring, Tree
from netsim.topology import Star
from tests.validation.compare import Compared, show
from tests.validation.test_shaped_cluster import GBIT, MIB, ONE_FLOW

UNSHAPED = (0.03, 10)
NOT_BYTES = "up to 0.3 s more, in runs a second apart, that are neither bytes nor the chain's latency"
MEASURED = {
    # (nodes, delay ms, rate Gbit/s): gloo 128, nccl 128, gloo 256, nccl 256
    (4, *UNSHAPED): (437, 144, 877, 258),
    (4, 1, 5): (674, 243, 1334, 507),
    (4, 5, 2): (1694, 710, 3322, 1284),
    (4, 10, 1): (3395, 1441, 6623, 2346),
    (16, *UNSHAPED): (983, 181, 2179, 327),
    (16, 1, 5): (2172, 277, 4331, 502),
    (16, 5, 2): (5469, 831, 10868, 1333),
    (16, 10, 1): (10897, 1651, 21724, 2552),
}
LIBRARIES = {"gloo": (Gloo(cap=ONE_FLOW), Tree(children="at_once")), "nccl": (Nccl(), Ring())}


def broadcast_ms(transport, sync, nodes, delay_ms, rate_gbit, mib):
    topology = Star(workers=nodes, bandwidth=rate_gbit * GBIT, latency=delay_ms / 1e3).build()
    rounds = sync.alone_rounds("broadcast", mib * MIB, topology.workers, transport.slice)
    return 1e3 * plan_times(fidelities.get("flow")(), topology, transport, rounds, topology.workers).max()


@cache
def errors(library, shaped):
    rows = [
        Compared(
            f"{nodes} nodes, {delay} ms, {rate} Gbit/s, {mib} MiB",
            broadcast_ms(*LIBRARIES[library], nodes, delay, rate, mib),
            row[place],
        )
        for (nodes, delay, rate), row in MEASURED.items()
        for mib, place in ((128, library == "nccl"), (256, 2 + (library == "nccl")))
        if ((delay, rate) != UNSHAPED) == shaped
    ]
    show(f"{library} broadcast, ms, nothing fitted", rows)
    return np.abs([one.error for one in rows])


def test_gloo_within_5_percent_each():
    assert errors("gloo", shaped=True).max() <= 0.05


def test_one_child_after_the_other_would_be_twice_as_fast():
    """What is measured is the sharing: a binomial tree in turn would take 4 messages' time among 16, not 10."""
    in_turn_ms = broadcast_ms(Gloo(cap=ONE_FLOW), Tree(), 16, 10, 1, 256)
    assert MEASURED[16, 10, 1][2] / in_turn_ms == pytest.approx(2.5, abs=0.02)


@pytest.mark.parametrize(
    ("library", "shaped", "median", "worst"),
    [
        ("gloo", True, 0.010, 0.036),
        ("gloo", False, 0.054, 0.212),
        ("nccl", True, 0.109, 0.215),
        ("nccl", False, 0.266, 0.332),
    ],
)
def test_the_errors_are_as_published(library, shaped, median, worst):
    found = errors(library, shaped)
    assert (np.median(found), found.max()) == pytest.approx((median, worst), abs=0.002)


@pytest.mark.xfail(
    strict=True, reason='no rate is documented but "up to 10 Gbit/s": Gloo on 16 nodes had more, NCCL had 6.7 to 8.5'
)
@pytest.mark.parametrize("library", LIBRARIES)
def test_without_shaping_within_5_percent_each(library):
    assert errors(library, shaped=False).max() <= 0.05


@pytest.mark.parametrize("nodes", [4, 16])
def test_what_nccl_took_longer_is_no_bytes(nodes):
    """Over 10 ms, 128 MiB more took 0.90 s, which the line cannot carry in less than 1.07."""
    _, small_ms, _, large_ms = MEASURED[nodes, 10, 1]
    assert large_ms - small_ms < 0.86 * 1e3 * 128 * MIB / GBIT


@pytest.mark.xfail(strict=True, reason=NOT_BYTES)
def test_nccl_within_5_percent_each():
    assert errors("nccl", shaped=True).max() <= 0.05
