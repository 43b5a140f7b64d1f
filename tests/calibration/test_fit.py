"""Logs of a known model give it back; published measurements fit as well as two parameters can."""

from __future__ import annotations

import numpy as np
import pytest

from netsim.calibration import Cluster, Hints, Sample, fit, read_log
from netsim.calibration.predict import predicted_s
from netsim.errors import InputError
from netsim.network.transport import Gloo, Ideal, Nccl, Rdma, Tcp, transports

LINE = 1.25e9
SIZES = [2.0**power for power in range(12, 28)]


def synthetic(transport, cluster, operation, workers, sizes, scatter, seed=0, flows=None):
    """Return samples that the model gives, each off by a factor of its own."""
    rng, samples = np.random.default_rng(seed), []
    for size_bytes in sizes:
        exact = Sample(operation, workers, size_bytes, 1.0, flows)
        time_s = predicted_s(exact, transport, cluster) * np.exp(scatter * rng.standard_normal())
        samples.append(Sample(operation, workers, size_bytes, float(time_s), flows))
    return samples


@pytest.mark.parametrize("operation", ["point_to_point", "all_reduce", "all_gather", "reduce_scatter"])
def test_a_log_without_scatter_gives_the_model_back(operation):
    known = Tcp(efficiency=0.8, overhead=2e-4)
    samples = synthetic(known, Cluster(LINE), operation, 4, SIZES, 0.0)
    found = fit(samples, Tcp(), Cluster(LINE))
    assert found.transport.efficiency == pytest.approx(0.8, rel=1e-6)
    assert found.transport.overhead == pytest.approx(2e-4, rel=1e-6)
    assert np.abs(found.errors).max() < 1e-6


@pytest.mark.parametrize("kind", [Nccl, Gloo, Rdma])
def test_intervals_of_95_percent_hold_the_model_as_often_as_they_say(kind):
    """Of 2 fields and 12 logs, 24 in all, fewer than 18 hits would happen once in 1,400 times."""
    known, cluster = kind(efficiency=0.7, overhead=1e-4), Cluster(LINE)
    exact = synthetic(known, cluster, "all_reduce", 4, SIZES[::2], 0.0)
    hits = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        noisy = [Sample(one.operation, 4, one.size_bytes, one.time_s * np.exp(rng.normal(0, 0.02))) for one in exact]
        found = fit(noisy, kind(), cluster).estimates
        hits += sum(
            found[name].low <= getattr(known, name) <= found[name].high for name in ("efficiency", "overhead")
        )  # fmt: skip
    assert hits >= 18


def test_messages_and_all_reduces_together_give_one_transport():
    known, cluster = Gloo(efficiency=0.9, overhead=3e-4), Cluster(LINE)
    samples = synthetic(known, cluster, "point_to_point", 2, SIZES, 0.01)
    samples += synthetic(known, cluster, "all_reduce", 8, SIZES, 0.01, seed=1)
    found = fit(samples, Gloo(), cluster).transport
    assert found.efficiency == pytest.approx(0.9, rel=0.01)
    assert found.overhead == pytest.approx(3e-4, rel=0.01)


def test_several_numbers_of_connections_tell_a_cap_from_an_efficiency():
    known, cluster = Tcp(efficiency=0.9, cap=0.3 * LINE), Cluster(LINE)
    samples = [
        one
        for flows in (1, 2, 8)
        for one in synthetic(known, cluster, "point_to_point", 2, [LINE] * 6, 0.01, flows, flows)
    ]
    found = fit(samples, Tcp(), cluster).transport
    assert found.cap == pytest.approx(0.3 * LINE, rel=0.01)
    assert found.efficiency == pytest.approx(0.9, rel=0.02)
    assert set(fit(samples[:6], Tcp(), cluster).estimates) == {"efficiency"}
    assert set(fit(samples[:12], Tcp(), cluster).estimates) == {"cap"}


def test_without_a_line_rate_the_rate_is_a_cap():
    samples = synthetic(Tcp(efficiency=0.8, overhead=1e-4), Cluster(LINE), "point_to_point", 2, SIZES, 0.0)
    found = fit(samples, Tcp(), Cluster())
    assert found.transport.cap == pytest.approx(0.8 * LINE, rel=1e-6)
    assert any("--bandwidth" in note for note in found.notes)


def test_a_latency_that_is_given_is_no_overhead():
    samples = synthetic(Tcp(overhead=1e-4), Cluster(LINE, 1e-3), "point_to_point", 2, SIZES, 0.0)
    assert fit(samples, Tcp(), Cluster(LINE, 1e-3)).transport.overhead == pytest.approx(1e-4, rel=1e-4)
    assert fit(samples, Tcp(), Cluster(LINE)).transport.overhead == pytest.approx(1.1e-3, rel=1e-4)


# nccl-tests' bus bandwidth in GB/s on 8 H200 and 32 B200: github.com/stas00/ml-engineering, network/benchmarks.
BUSBW_8_H200 = {"32K": 3.20, "256K": 24.63, "1M": 72.45, "4M": 139.97, "16M": 242.45, "32M": 298.44}
BUSBW_32_B200 = {"32K": 0.65, "256K": 4.06, "1M": 12.47, "4M": 31.63, "16M": 71.80, "32M": 142.90}


@pytest.mark.parametrize(("rows", "workers", "median"), [(BUSBW_8_H200, 8, 0.10), (BUSBW_32_B200, 32, 0.25)])
def test_published_nccl_tests_fit(tmp_path, rows, workers, median):
    """As well as one latency and one rate can: NCCL changes its protocol and its channels between these sizes."""
    log = tmp_path / "log.csv"
    log.write_text("size,busbw_GBps\n" + "\n".join(f"{size},{rate}" for size, rate in rows.items()))
    found = fit(read_log(log, Hints(workers=workers)), Tcp(window=None), Cluster(450e9))
    assert np.median(np.abs(found.errors)) <= median
    assert 0 < found.estimates["overhead"].low < found.estimates["overhead"].high < 1e-5


@pytest.mark.parametrize(
    ("workers", "alpha_s", "beta_s_per_byte"),
    [(16, 2.358e-4, 4.059e-10), (8, 9.754e-5, 3.057e-10)],
)
def test_published_latency_and_rate_of_all_reduces_come_back(workers, alpha_s, beta_s_per_byte):
    """github.com/HKBU-HPML/MG-WFBP, 56 Gbit/s InfiniBand: an all-reduce of S bytes takes alpha + beta S."""
    samples = [Sample("all_reduce", workers, size, alpha_s + beta_s_per_byte * size) for size in SIZES]
    found = fit(samples, Rdma(), Cluster(7e9))
    messages, share = 2 * (workers - 1), 2 * (workers - 1) / workers
    assert found.transport.overhead == pytest.approx(alpha_s / messages, rel=1e-6)
    assert found.transport.efficiency == pytest.approx(share / beta_s_per_byte / 7e9, rel=1e-6)


def test_a_published_rate_above_its_line_is_refused():
    """The same source's 4 workers: 2.059e-10 s a byte, less than the ring's 1.5 / 7e9."""
    samples = [Sample("all_reduce", 4, size, 4.204e-5 + 2.059e-10 * size) for size in SIZES]
    with pytest.raises(InputError, match=r"1.04 times as fast as its line"):
        fit(samples, Rdma(), Cluster(7e9))


def test_a_rate_above_its_line_by_scatter_is_the_line():
    exact = synthetic(Tcp(efficiency=1.0), Cluster(LINE), "point_to_point", 2, SIZES[-6:], 0.0)
    scatter = (0.93, 1.03, 0.93, 1.03, 0.93, 1.03)
    samples = [
        Sample(one.operation, 2, one.size_bytes, one.time_s * by) for one, by in zip(exact, scatter, strict=True)
    ]
    found = fit(samples, Tcp(), Cluster(LINE)).estimates["efficiency"]
    assert found.value == pytest.approx(1.0)
    assert found.low < 0.98


def test_what_cannot_be_fitted_is_refused():
    samples = synthetic(Tcp(), Cluster(LINE), "point_to_point", 2, SIZES, 0.0)
    with pytest.raises(InputError, match=r"has nothing to fit; choose"):
        fit(samples, Ideal(), Cluster(LINE))
    with pytest.raises(InputError, match="no sample"):
        fit([], Tcp(), Cluster(LINE))
    with pytest.raises(InputError, match=r"9.41 times as fast as its line"):
        fit(samples, Tcp(), Cluster(LINE / 10))
    with pytest.raises(InputError, match="no parameter has an effect"):
        fit([samples[0]], Tcp(window=1e3), Cluster(LINE, 1.0))
    with pytest.raises(InputError, match="--bandwidth"):
        fit(samples, Rdma(), Cluster())


def test_every_transport_with_an_efficiency_can_be_fitted():
    sample = Sample("point_to_point", 2, 1e6, 1.0)
    for name in transports:
        if name != "ideal":
            assert fit([sample, sample], transports.get(name)(), Cluster(LINE)).estimates["efficiency"].value < 1
