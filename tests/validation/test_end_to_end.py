"""Speedups that others report end to end, against what netsim says of the same setting; nothing is fitted.

A row is predicted where its model, GPUs, batch and network are known, from published tensors, line rates and documented
coding costs. Merged gradients are Horovod's: up to 64 MiB. BytePS sends partitions of 4,096,000 bytes by priority, with
as many servers as machines; a machine adds up over NVLink first and counts as one worker. Links are 1 us long with
RDMA, 12.5 us with TCP. Gradients in half precision are ours at twice the bandwidth. Sources and what they leave open:

- "Is network the bottleneck of distributed training?" (arXiv 2006.10103): says for CNNs on 64 V100 that ratio 2 to 5 is
  enough at 10 Gbit/s and none is needed at 100, if the network is used in full. Its released simulator
  (github.com/netx-repo/training-bottleneck) has seconds of a step, batch 32, and of each layer (VGG-16 with batch
  normalisation); its rules (buckets of 64 MiB or 5 ms) give the scaling factors below, by arithmetic.
- BytePS, README and docs/performance.md: 8 V100 a machine, batch 64. BERT-Large, mixed precision, 256 GPUs, 100 Gbit/s:
  its speed on one GPU is not said; 64 sequences and the update took 0.311 s on V100 elsewhere (arXiv 2104.06069, table
  5). Whether Horovod's exchange overlapped is not said either. Against Horovod: how many machines is not said; 4 are
  taken, 2 and 8 make no difference of more than 9 points.
- BytePS issue 29: one K40c does 54 images/s of ResNet-50, batch 32; 1 and 2 of them with 2 servers over 10 Gbit/s.
- PyTorch issue 74148: PowerSGD on 2, 3 and 4 machines of 2 V100, 3 Gbit/s, ResNet-50; speed over that of one GPU (4, 6,
  8 would be ideal), not over all-reduce. Batch and rank are not said: 32 and the hook's default of 1 are taken.
- DRAGONN (ICML 2022; github.com/zhuangwang93/dragonn): 16 V100, 25 Gbit/s, ResNet-50, float32 and batch 32 by its
  script, DGC at 1 % of tensors above 1,024 elements. Eight GPUs a machine are taken.

Not predicted: DRAGONN's ViT, MLP-Mixer and XML (no V100's seconds of them are published); plain servers in BytePS'
issue 29 (they beat one GPU alone); Horovod issue 578 and BytePS pull request 225 (networks and GPUs are not said);
Cupcake (MLSys 2023: models and schemes of its best ratios are in no text that we could read); MAD-Max (arXiv
2310.02784: a company's fleet).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import netsim
from netsim.engine.simulate import Baseline, dense_step_s
from netsim.scenario.load import parse_text
from netsim.workload.published import load_model
from tests.validation.compare import Compared, show

MERGED = "bucket: 64 MiB, first_bucket: 64 MiB"
BY_PRIORITY = "overlap: per_tensor, scheduling: priority"


def points(topology, transport, model, job, sync, speed=1.0, schemes="[none]", cost=""):
    text = f"""
topology: {topology}
network: {{kind: flow, transport: {transport}}}
workload: {{kind: published, model: {model}, speed: {speed}}}
job: {{steps: 1, {job}}}
sync: {sync}
schemes: {schemes}
{cost}
"""
    return parse_text(text)


@cache
def dense_s(*args, **fields):
    """Return the seconds of an uncompressed step: those of `netsim.simulate`, without what it compares them with."""
    (point,) = points(*args, **fields)
    return dense_step_s(Baseline(point))


def machines(count, gpus, gbit_per_s, latency="12.5 us", hop="100 GB/s"):
    return (
        f"{{kind: gpu_cluster, machines: {count}, gpus_per_machine: {gpus}, bandwidth: {gbit_per_s} Gbit/s, "
        f"latency: {latency}, hop_bandwidth: {hop}}}"
    )


def star(workers, gbit_per_s, latency="12.5 us"):
    return f"{{kind: star, workers: {workers}, bandwidth: {gbit_per_s} Gbit/s, latency: {latency}}}"


def byteps(servers):
    return f"{{kind: parameter_server, servers: {servers}, sharding: partition, partition: 4096000 B}}"


def one_gpu_s(model):
    timing = load_model(model).timing
    return timing.forward_s + timing.backward_s + timing.optimizer_s


def errors(title, rows):
    show(title, rows)
    return np.array([one.error for one in rows])


STEP_S = {"resnet50": 0.12809, "resnet101": 0.19201, "vgg16": 0.19452}
SCALING = {
    # model: on 64 GPUs at 100 Gbit/s, then at 10 Gbit/s with a ratio of 1, 2, 5, 10
    "resnet50": (0.995, 0.540, 0.817, 0.994, 0.995),
    "resnet101": (0.997, 0.500, 0.787, 0.997, 0.997),
    "vgg16": (0.993, 0.201, 0.367, 0.723, 0.993),
}
GBIT_PER_S = (100, 10, 20, 50, 100)
"""A ratio that costs nothing to code is as much more bandwidth."""


@cache
def scaling():
    return {
        (model, place): Compared(
            f"{model} at 100 Gbit/s" if not place else f"{model} at 10 Gbit/s, ratio {rate / 10:g}",
            STEP_S[model]
            / dense_s(star(64, rate, "0 s"), "ideal", model, MERGED, "ring", speed=one_gpu_s(model) / STEP_S[model]),
            column[place],
        )
        for model, column in SCALING.items()
        for place, rate in enumerate(GBIT_PER_S)
    }


def test_scaling_factors_of_a_fully_used_network_within_11_percent():
    found = np.abs(errors("scaling factor on 64 V100, by the paper's released figures", list(scaling().values())))
    assert (np.median(found), found.max()) == pytest.approx((0.04, 0.107), abs=0.002)


@pytest.mark.parametrize("model", SCALING)
def test_100_gbit_per_s_needs_no_compression(model):
    assert scaling()[model, 0].predicted >= 0.95


def test_10_gbit_per_s_need_a_ratio_of_5_for_resnets_and_of_10_for_vgg16():
    """Near-linear is 0.9 here. The paper's 2 to 5 is ResNets'; by its own figures VGG-16 reaches 0.72 at 5."""
    ratios = dict(zip((1, 2, 3, 4), (1, 2, 5, 10), strict=True))
    least = {
        model: min(ratio for place, ratio in ratios.items() if scaling()[model, place].predicted >= 0.9)
        for model in SCALING
    }
    assert least == {"resnet50": 5, "resnet101": 5, "vgg16": 10}


def bert_large():
    """Return the scaling efficiency on 256 GPUs: a ring after the backward pass and beneath it, and BytePS."""
    single_s = 0.311
    speed = one_gpu_s("bert-large") / single_s
    job = "bucket: 128 MiB, first_bucket: 128 MiB"
    gpus = machines(32, 8, 200, "1 us", "200 GB/s")
    servers = "{kind: parameter_server, servers: 32, sharding: even}"
    return [
        single_s / dense_s(*setting, speed=speed)
        for setting in (
            (gpus, "rdma", "bert-large", f"{job}, overlap: none", "ring"),
            (gpus, "rdma", "bert-large", job, "ring"),
            (star(32, 200, "1 us"), "rdma", "bert-large", "overlap: ddp", servers),
        )
    ]


def test_bert_large_scales_as_reported_on_256_gpus():
    """Horovod's 70 % are those of a ring that waits for the backward pass; one beneath it would scale as servers do."""
    after, beneath, servers = bert_large()
    rows = [Compared("Horovod", after, 0.70), Compared("BytePS", servers, 0.90)]
    assert errors("BERT-Large on 256 V100, 100 Gbit/s", rows) == pytest.approx([-0.01, 0.038], abs=0.002)
    assert beneath == pytest.approx(0.93, abs=0.005)


GAIN = {
    # (transport, Gbit/s): BytePS over Horovod, with ResNet-50 and VGG-16
    ("tcp", 20): {"resnet50": 1.44, "vgg16": 2.00},
    ("rdma", 100): {"resnet50": 1.07, "vgg16": 1.17},
}
GAIN_MISSED = """at line rate ResNet-50 hides most of its exchange, so that servers can gain 14 %: Horovod had less than
20 Gbit/s. With 100, BytePS' authors blame the two PCIe switches of a machine, which are hops of 12 GB/s a GPU here"""


@cache
def gains(transport, gbit_per_s, count=4):
    latency, hop = ("12.5 us", "100 GB/s") if transport == "tcp" else ("1 us", "12 GB/s")
    ring_over, gpus = {"tcp": "nccl"}.get(transport, transport), machines(count, 8, gbit_per_s, latency, hop)
    one_a_machine = star(count, gbit_per_s, latency)
    return [
        Compared(
            f"{model}, {gbit_per_s} Gbit/s",
            dense_s(gpus, ring_over, model, MERGED, "ring", speed=0.5)
            / dense_s(one_a_machine, transport, model, BY_PRIORITY, byteps(count), speed=0.5),
            reported,
        )
        for model, reported in GAIN[transport, gbit_per_s].items()
    ]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (("tcp", 20), (1.14, 1.99)),
        pytest.param(("rdma", 100), (1.03, 1.04), marks=pytest.mark.slow),
    ],
)
def test_byteps_over_horovod_is_as_published(setting, expected):
    rows = gains(*setting)
    errors("BytePS over Horovod, 4 machines of 8 V100, batch 64", rows)
    assert [one.predicted for one in rows] == pytest.approx(expected, abs=0.006)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 8])
def test_how_many_machines_there_were_makes_little_difference(count):
    for setting in GAIN:
        rows = [one.predicted for one in gains(*setting, count)]
        assert rows == pytest.approx([one.predicted for one in gains(*setting)], abs=0.1)


@pytest.mark.xfail(strict=True, reason=GAIN_MISSED)
@pytest.mark.parametrize("setting", [("tcp", 20), pytest.param(("rdma", 100), marks=pytest.mark.slow)])
def test_byteps_over_horovod_within_10_percent(setting):
    assert max(abs(one.error) for one in gains(*setting)) <= 0.10


@pytest.mark.slow
def test_byteps_with_k40c_within_6_percent():
    """The exchange hides behind 0.59 s of computing; what is missed is what BytePS costs on one machine."""
    speed = one_gpu_s("resnet50") * 54 / 32
    rows = [
        Compared(
            f"{workers} workers",
            32 * workers / dense_s(star(workers, 10), "tcp", "resnet50", BY_PRIORITY, byteps(2), speed=speed),
            reported,
        )
        for workers, reported in ((1, 51.2), (2, 103.1))
    ]
    assert errors("BytePS, images/s of K40c", rows) == pytest.approx([0.055, 0.047], abs=0.002)


SETTING = ("nccl", "resnet50", "overlap: ddp", "ring")
POWERSGD = ((2, 3.50), (3, 5.23), (4, 5.46))


def powersgd(speed):
    rows = []
    for count, reported in POWERSGD:
        *_, point = points(
            machines(count, 2, 3, hop="12 GB/s"),
            *SETTING,
            speed=speed,
            schemes="[[error_feedback, {kind: powersgd, rank: 1}]]",
            cost="cost: {kind: documented}",
        )
        step_s = netsim.simulate(point).runs.step_time_s[0]
        rows.append(Compared(f"{count} machines", 2 * count * one_gpu_s("resnet50") / speed / step_s, reported))
    return rows


def test_without_powersgd_eight_gpus_are_faster_than_one_by_half():
    rates = [
        2
        * count
        * one_gpu_s("resnet50")
        / dense_s(machines(count, 2, 3, hop="12 GB/s"), "nccl", "resnet50", "overlap: ddp", "ring")
        for count, _ in POWERSGD
    ]
    assert rates == pytest.approx([0.86, 1.17, 1.49], abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("speed", "expected"), [(1, (-0.23, -0.23, -0.02)), (0.5, (-0.08, -0.07, 0.18))])
def test_powersgd_over_one_gpu_is_as_published(speed, expected):
    assert errors(f"PowerSGD, batch {32 / speed:g}", powersgd(speed)) == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
@pytest.mark.xfail(
    strict=True,
    reason="the batch is not said; coding is an estimate of 46 ms; and measured from 6 to 8 GPUs only 4 % are gained",
)
def test_powersgd_over_one_gpu_within_10_percent():
    assert max(abs(one.error) for one in powersgd(1)) <= 0.10


DRAGONN, DGC = 2.40, 1.68
TWO_OF_EIGHT = machines(2, 8, 25, hop="12 GB/s")
DRAGONN_MISSED = """a dense step that leaves 2.4 times to gain moves its 192 MB at 11 Gbit/s or less, even after all
computing: the reported baseline had not half of its line rate"""


def headroom(overlap):
    return dense_s(TWO_OF_EIGHT, "nccl", "resnet50", f"{MERGED}, overlap: {overlap}", "ring") / one_gpu_s("resnet50")


def test_no_scheme_can_gain_what_dragonn_reports_at_line_rate():
    assert [headroom(overlap) for overlap in ("ddp", "none")] == pytest.approx([1.22, 1.65], abs=0.01)
    nbytes = 2 * 15 / 16 * 4 * sum(one.numel for one in load_model("resnet50").tensors)
    assert 8e-9 * nbytes / ((DRAGONN - 1) * one_gpu_s("resnet50")) == pytest.approx(11.4, abs=0.1)


@pytest.mark.xfail(strict=True, reason=DRAGONN_MISSED)
def test_dragonn_gains_less_than_the_headroom():
    assert headroom("none") >= DRAGONN


@pytest.mark.slow
def test_dgc_slows_resnet50_down_where_it_is_reported_to_gain():
    """Documented coding takes 71 ms, with which DGC can win only over a network that is far from its line rate."""
    for overlap, error in (("ddp", -0.59), ("none", -0.45)):
        *_, point = points(
            TWO_OF_EIGHT,
            "nccl",
            "resnet50",
            f"{MERGED}, overlap: {overlap}",
            "ring",
            schemes="[[{kind: skip_small, below: 1025}, {kind: dgc, ratio: 0.01}]]",
            cost="cost: {kind: documented}",
        )
        rows = [Compared(f"overlap {overlap}", netsim.simulate(point).runs.speedup_x[0], DGC)]
        assert errors("DGC over all-reduce", rows) == pytest.approx([error], abs=0.01)
