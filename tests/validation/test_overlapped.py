"""Overlapped training on 4 to 32 V100: Shi et al. 2020, arXiv 2005.13247, results of 2020-05-29.

The cluster, the rates of 10GbE and of the PCIe hop, and the speed of one GPU are those of `test_ring_vs_ps`; nothing
more is fitted. `WFBP` exchanges every tensor by itself as soon as it is ready, `MG-WFBP` merges tensors (here: DDP's
buckets), ByteScheduler sends what the next forward pass needs first. Servers are BytePS: as many machines as the
workers have, partitions of 4 MB, and machines that add up their GPUs' gradients over the hop; within one machine it is
a ring. InfiniBand has its nominal 100 Gbit/s behind the hop, and 1 us a link. ByteScheduler over a ring cuts tensors at
its default of a million elements. On ResNet-50 it was measured to take 0.13 to 0.18 s a step more than computing, on
four GPUs of one machine too, where the others hide all they send: that is its software, which is not modelled. The
100GbE rows are left out as there.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import netsim
from netsim.engine.job import run_job
from netsim.engine.measure import dense
from netsim.engine.simulate import open_workload
from netsim.network.transport import Nccl, Rdma, Tcp
from netsim.scenario.load import parse_text
from netsim.scenario.schema import Job
from netsim.sync import ParameterServer, Ring
from netsim.topology import GpuCluster
from netsim.workload.base import Timing
from tests.validation.compare import Compared, show
from tests.validation.test_ring_vs_ps import BATCH, GPUS, compute_s, fitted

SCENARIOS = Path(netsim.__file__).parents[1] / "scenarios"
MEASURED = {
    # (network, model): samples/s on 4, 8, 16, 32 GPUs by method
    ("10GbE", "resnet50"): {
        "WFBP ring": (1015.4, 1795.74, 3146.78, 5113.18),
        "MG-WFBP": (1003.18, 1980.58, 3784.98, 6883.6),
        "WFBP servers": (1017.32, 2021.44, 3811.965, 6945.39),
        "ByteScheduler servers": (1018.4, 2025.62, 3815.625, 6888.995),
        "ByteScheduler ring": (658.12, 1319.1, 2701.52, 4754.26),
    },
    ("10GbE", "bert-large"): {
        "WFBP ring": (56.04, 29.06, 53.42, 101.96),
        "MG-WFBP": (57.34, 30.04, 54.26, 105.02),
        "WFBP servers": (55.42, 29.8, 61.315, 118.36),
        "ByteScheduler servers": (55.34, 29.31, 61.21, 116.79),
        "ByteScheduler ring": (51.32, 30.4, 56.0, 108.8),
    },
    ("IB", "resnet50"): {
        "WFBP ring": (1014.28, 2017.12, 3946.06, 7326.56),
        "MG-WFBP": (1003.9, 2001.72, 3987.4, 7876.46),
        "WFBP servers": (1010.8, 2008.088, 3988.67, 7977.785),
        "ByteScheduler servers": (1015.82, 2018.39, 4013.88, 7999.83),
        "ByteScheduler ring": (653.8, 1257.66, 2529.14, 4766.38),
    },
    ("IB", "bert-large"): {
        "WFBP ring": (56.3, 101.68, 185.42, 339.82),
        "MG-WFBP": (57.5, 106.78, 205.78, 400.16),
        "WFBP servers": (55.3, 89.89, 175.735, 344.022),
        "ByteScheduler servers": (55.36, 85.52, 148.09, 349.933),
        "ByteScheduler ring": (49.42, 91.267, 171.9, 326.4),
    },
}
METHODS = ("WFBP ring", "MG-WFBP", "WFBP servers", "ByteScheduler servers")
RING_BY_PRIORITY = "ByteScheduler ring"


@cache
def scenario_of(model):
    text = (
        "topology: {kind: star, workers: 1, bandwidth: 1 Gbit/s}\nsync: parameter_server\ncost: {kind: free}\n"
        f"job: {{steps: 1}}\nworkload: {{kind: published, model: {model}, gradients: resnet20-digits}}\n"
    )
    return parse_text(text, SCENARIOS)[-1]


def setting(network, method, machines):
    """Return the topology, the transport, the architecture and the job of a row."""
    card, latency = (100e9 / 8, 1e-6) if network == "IB" else (fitted(network), 12.5e-6)
    cluster = GpuCluster(
        machines=machines, gpus_per_machine=4, bandwidth=card, latency=latency, hop_bandwidth=fitted("IB")
    )
    transport = Rdma() if network == "IB" else Nccl(efficiency=1.0, window=None)
    if method == RING_BY_PRIORITY:
        return cluster, transport, Ring(partition=4e6), Job(steps=1, overlap="per_tensor", scheduling="priority")
    if method in {"WFBP ring", "MG-WFBP"} or machines == 1:
        return cluster, transport, Ring(), Job(steps=1, overlap="ddp" if method == "MG-WFBP" else "per_tensor")
    transport = Rdma() if network == "IB" else Tcp(efficiency=1.0, window=None)
    sync = ParameterServer(servers=machines, sharding="partition", partition=4e6, local_aggregation=True)
    scheduling = "priority" if method == "ByteScheduler servers" else "order"
    return cluster, transport, sync, Job(steps=1, overlap="per_tensor", scheduling=scheduling)


@cache
def samples_per_s(network, model, method, gpus):
    topology, transport, sync, job = setting(network, method, gpus // 4)
    point = replace(scenario_of(model), topology=topology, transport=transport, sync=sync, job=job)
    gradients = open_workload(point.workload)
    published = gradients.timing
    factor = compute_s(model) / (published.forward_s + published.backward_s)
    ready_s = tuple(factor * one for one in published.ready_s)
    timing = Timing(factor * published.forward_s, factor * published.backward_s, 0.0, ready_s)
    (step,) = run_job(point, dense(point, gradients), timing).steps
    return gpus * BATCH[model] / step["step_time_s"]


def compared(network, model, methods, gpus=GPUS):
    return [
        Compared(f"{network} {model} {count} GPUs {method}", samples_per_s(network, model, method, count), row[place])
        for method, row in MEASURED[network, model].items()
        for place, count in enumerate(GPUS)
        if count in gpus and method in methods
    ]


@pytest.mark.parametrize("network", ["10GbE", "IB"])
def test_resnet50_on_two_machines_within_7_percent(network):
    rows = compared(network, "resnet50", METHODS, (8,))
    show("samples/s with overlap", rows)
    assert max(abs(one.error) for one in rows) <= 0.07


PUBLISHED = {
    # (network, model): median, worst error; a ring of small messages is too slow at 10GbE, all else too fast
    ("10GbE", "resnet50"): (0.046, 0.336),
    ("10GbE", "bert-large"): (0.397, 0.580),
    ("IB", "resnet50"): (0.006, 0.104),
    ("IB", "bert-large"): (0.521, 1.308),
}


@pytest.mark.slow
@pytest.mark.parametrize(("network", "model"), PUBLISHED)
def test_the_errors_of_all_rows_are_as_published(network, model):
    rows = compared(network, model, METHODS)
    show("samples/s with overlap", rows)
    found = np.abs([one.error for one in rows])
    assert (np.median(found), found.max()) == pytest.approx(PUBLISHED[network, model], abs=0.002)


BY_PRIORITY = {
    # (network, model): median, worst error over a ring
    ("10GbE", "resnet50"): (0.359, 0.538),
    ("10GbE", "bert-large"): (0.118, 0.901),
    ("IB", "resnet50"): (0.605, 0.697),
    ("IB", "bert-large"): (0.524, 0.981),
}


@pytest.mark.slow
def test_the_errors_over_a_ring_by_priority_are_as_published():
    errors = []
    for network, model in BY_PRIORITY:
        rows = compared(network, model, (RING_BY_PRIORITY,))
        show("samples/s with overlap", rows)
        found = np.abs([one.error for one in rows])
        assert (np.median(found), found.max()) == pytest.approx(BY_PRIORITY[network, model], abs=0.002)
        errors += found.tolist()
    assert (np.median(errors), max(errors)) == pytest.approx((0.534, 0.981), abs=0.002)


def test_four_gpus_by_priority_lose_to_software_alone():
    """One machine: the step is predicted to be its computing, as it was measured without ByteScheduler, to 1 %."""
    for network in ("10GbE", "IB"):
        computing_s = compute_s("resnet50")
        for method in ("WFBP ring", RING_BY_PRIORITY):
            assert 4 * BATCH["resnet50"] / samples_per_s(network, "resnet50", method, 4) < computing_s * 1.01
        assert 4 * BATCH["resnet50"] / MEASURED[network, "resnet50"]["WFBP ring"][0] < computing_s * 1.01
        lost_s = [
            count * BATCH["resnet50"] / measured - computing_s
            for count, measured in zip(GPUS, MEASURED[network, "resnet50"][RING_BY_PRIORITY], strict=True)
        ]
        assert 0.12 < min(lost_s) < max(lost_s) < 0.18


@pytest.mark.slow
def test_priority_is_worth_little_where_bytes_decide_and_nothing_where_they_are_hidden():
    """Measured: ByteScheduler within 4 % of BytePS alone at 10GbE; predicted: up to 5 % for BERT-Large."""
    for model in ("resnet50", "bert-large"):
        for gpus in GPUS[1:]:
            gain = samples_per_s("10GbE", model, "ByteScheduler servers", gpus) / samples_per_s(
                "10GbE", model, "WFBP servers", gpus
            )
            assert 1 - 1e-9 <= gain <= 1.05
