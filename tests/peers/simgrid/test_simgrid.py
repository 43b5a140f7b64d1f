"""The flow network against SimGrid, an independent simulator, on random platforms and transfers.

SimGrid is asked through a small program of ours over its public S4U interface, built here where g++ and its headers
are installed (Debian: libsimgrid-dev). Its clock resolves about 1e-5 s, hence the absolute tolerance; exactness is held
against plain progressive filling in tests/network.
"""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from netsim.api import transfer_times
from netsim.topology import Star
from tests.network.platforms import random_graph, random_pairs, random_star, route_of
from tests.peers.simgrid.program import built

TOLERANCE = {"rtol": 1e-3, "atol": 3e-5}

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def simgrid(tmp_path_factory):
    """Return a function that asks SimGrid; skip where it is not installed."""
    program = built(tmp_path_factory.mktemp("simgrid"), "flows")

    def ask(topology, src, dst, nbytes, start_s):
        route = route_of(topology)
        lines = [str(len(topology.capacity_bytes_per_s)), *(repr(float(one)) for one in topology.capacity_bytes_per_s)]
        lines.append(str(len(src)))
        for flow, (u, v) in enumerate(zip(src.tolist(), dst.tolist(), strict=True)):
            links = route(u, v)
            begin_s = start_s[flow] + topology.latency_s[links].sum()
            lines.append(f"{float(begin_s)!r} {float(nbytes[flow])!r} {len(links)} {' '.join(map(str, links))}")
        command = [str(program), "--log=root.threshold:error"]
        answer = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True)
        return np.array(answer.stdout.split(), dtype=float)

    return ask


def compare(simgrid, topology, src, dst, nbytes, start_s):
    expected = simgrid(topology, src, dst, nbytes, start_s)
    np.testing.assert_allclose(transfer_times(topology, src, dst, nbytes, start_s), expected, **TOLERANCE)


def sizes(rng, count):
    """Return whole bytes, from kilobytes to hundreds of megabytes, or all equal."""
    if rng.random() < 0.3:
        return np.full(count, float(10 ** rng.integers(5, 9)))
    return np.floor(10 ** rng.uniform(4, 8.5, count))


@pytest.mark.parametrize("seed", range(60))
def test_random_platforms_and_transfers(simgrid, seed):
    rng = np.random.default_rng(seed)
    topology = random_graph(rng) if seed % 3 else random_star(rng, int(rng.integers(3, 20)))
    count = int(rng.integers(2, 80))
    src, dst = random_pairs(rng, np.arange(len(topology.names)), count)
    starts = np.round(rng.uniform(0, 0.2, count), int(rng.choice([1, 9])))
    compare(simgrid, topology, src, dst, sizes(rng, count), starts)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_500_random_platforms_of_200_links_and_2000_transfers(simgrid, block):
    worst = 0.0
    for seed in range(50 * block, 50 * block + 50):
        rng = np.random.default_rng(30_000 + seed)
        topology, count = random_graph(rng, most_links=100), int(10 ** rng.uniform(0.4, np.log10(2000)))
        src, dst = random_pairs(rng, np.arange(len(topology.names)), count)
        start_s = np.round(rng.uniform(0, 0.2, count), int(rng.choice([0, 1, 9])))
        nbytes = sizes(rng, count)
        expected = simgrid(topology, src, dst, nbytes, start_s)
        found = transfer_times(topology, src, dst, nbytes, start_s)
        np.testing.assert_allclose(found, expected, **TOLERANCE, err_msg=f"seed {seed}")
        beyond_clock = np.maximum(np.abs(found - expected) - TOLERANCE["atol"], 0.0)
        worst = max(worst, float((beyond_clock / expected).max()))
    print(f"\nseeds from {50 * block}: beyond the peer's clock, at most {worst:.1e} apart")


@pytest.mark.parametrize("workers", [2, 8, 64])
def test_incast(simgrid, workers):
    topology = Star(workers=workers + 1, bandwidth=1.25e9, latency=25e-6).build()
    src = np.arange(workers)
    compare(simgrid, topology, src, np.full(workers, workers), np.full(workers, 1e7), np.zeros(workers))


@pytest.mark.parametrize("workers", [3, 16])
def test_all_to_all(simgrid, workers):
    topology = Star(workers=workers, bandwidth=1.25e9, latency=25e-6).build()
    src, dst = np.nonzero(~np.eye(workers, dtype=bool))
    compare(simgrid, topology, src, dst, np.full(len(src), 6.25e6), np.zeros(len(src)))


def test_the_peer_sees_a_difference(simgrid):
    """The comparison can fail: half the bandwidth is not within tolerance."""
    fast, slow = (Star(workers=3, bandwidth=bandwidth).build() for bandwidth in (1e9, 5e8))
    ends = np.array([0, 1]), np.array([2, 2]), np.full(2, 1e7), np.zeros(2)
    assert not np.allclose(transfer_times(slow, *ends), simgrid(fast, *ends), **TOLERANCE)
