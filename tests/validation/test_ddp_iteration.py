"""ResNet-50 under DistributedDataParallel on 1 to 40 V100, and what its hooks and copies cost; nothing is fitted.

Measured: PyTorch pull request 30660, p75 seconds of an iteration, batch 32, buckets of 25 MiB, NCCL. Its tool's README
(benchmarks/distributed/ddp) says what the machines are: DGX of 8 V100 on NVLink, 4 cards of 100 Gbit/s InfiniBand each.
Six NVLinks of 25 GB/s a GPU are taken as its hop, links of 1 us, and a ring for every card. Seconds of computing are
the published ones of a V100 (Espresso), which are of other people's machines.

Other rows of this kind say too little: models, batches or networks of PyTorch issues 17159 and 4870, NCCL issue 318 and
Horovod issue 693; torchtitan's Llama 3 shards its parameters, which netsim does not.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from netsim.engine.simulate import Baseline, dense_step_s
from netsim.scenario.load import parse_text
from tests.validation.compare import Compared, show

P75_S = {1: 0.097, 2: 0.104, 4: 0.105, 8: 0.108, 16: 0.111, 24: 0.111, 32: 0.112, 40: 0.114}
ALONE_S, HOOKED_S = 0.097, 0.100
"""The same tool's README: one GPU without DistributedDataParallel, and with it, when there is nothing to exchange."""


@cache
def iteration_s(gpus):
    machines, each = max(1, gpus // 8), min(gpus, 8)
    cluster = (
        f"{{kind: gpu_cluster, machines: {machines}, gpus_per_machine: {each}, bandwidth: 100 Gbit/s, latency: 1 us, "
        f"hop_bandwidth: 150 GB/s, cards_per_machine: {min(each, 4)}}}"
    )
    (point,) = parse_text(f"""
topology: {cluster}
network: {{kind: flow, transport: rdma}}
workload: {{kind: published, model: resnet50}}
job: {{steps: 1}}
sync: {{kind: ring, rings: {min(each, 4)}}}
schemes: [none]
""")
    return dense_step_s(Baseline(point))


def errors(hooks_s=0.0):
    rows = [
        Compared(f"{gpus} GPUs", iteration_s(gpus) + (hooks_s if gpus > 1 else 0.0), seconds)
        for gpus, seconds in P75_S.items()
    ]
    show(f"seconds of an iteration, {1e3 * hooks_s:.0f} ms of them for hooks", rows)
    return np.array([one.error for one in rows])


def test_one_gpu_within_2_percent():
    assert abs(errors()[0]) <= 0.02


@pytest.mark.parametrize(("hooks_s", "median", "worst"), [(0.0, -0.120, -0.152), (HOOKED_S - ALONE_S, -0.093, -0.125)])
def test_the_errors_are_as_published(hooks_s, median, worst):
    found = errors(hooks_s)
    assert (np.median(found), found.min()) == pytest.approx((median, worst), abs=0.002)


def test_the_network_is_not_what_is_missed():
    """On 40 GPUs 0.85 ms of the exchange are exposed here, and 17 ms were; on 2, behind NVLink alone, 0.07 and 7."""
    exposed_ms = [1e3 * (iteration_s(gpus) - iteration_s(1)) for gpus in (2, 40)]
    assert exposed_ms == pytest.approx([0.07, 0.85], abs=0.02)


@pytest.mark.xfail(
    strict=True, reason="3 ms of hooks and copies, and what NCCL's kernels and the slowest GPU take from computing"
)
def test_iterations_within_10_percent_each():
    assert np.abs(errors()).max() <= 0.10
