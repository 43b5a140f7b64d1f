from __future__ import annotations

import dataclasses
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest
import torch

from netsim.errors import InputError, TraceError
from netsim.workload import Published, Recorded, workloads
from netsim.workload.published import load_model, model_names
from netsim.workload.trace import TraceFacts, open_trace, write_trace

if TYPE_CHECKING:
    from pathlib import Path


def bert_parameters(layers: int, width: int) -> int:
    """Embeddings (vocabulary padded to 30,528) and their norm, the layers, a head of two outputs."""
    embeddings = (30_528 + 512 + 2) * width + 2 * width
    return embeddings + layers * (12 * width**2 + 13 * width) + 2 * width + 2


PARAMETERS = {
    # Published counts of parameters.
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "vgg16": 138_357_544,
    "bert-base": bert_parameters(12, 768),
    "bert-large": bert_parameters(24, 1024),
    "gpt2": 124_439_808,
    "vgg19": 143_667_240,
    "resnet152": 60_192_808,
    "vit-b-16": 86_567_656,
    "lstm": 33_278 * 1501 + 2 * (2 * 4 * 1500 * 1500 + 2 * 4 * 1500),
}


def test_speed_divides_times_and_leaves_gradients(trace: Path) -> None:
    slow, fast = Recorded(trace=str(trace)).open(), Recorded(trace=str(trace), speed=4.0).open()
    assert fast.timing.forward_s == slow.timing.forward_s / 4
    assert fast.timing.backward_s == slow.timing.backward_s / 4
    assert fast.timing.optimizer_s == slow.timing.optimizer_s / 4
    assert fast.timing.ready_s == tuple(one / 4 for one in slow.timing.ready_s)
    assert torch.equal(fast.read(1, 1, 1, 2)[0], slow.read(1, 1, 1, 2)[0])
    assert not slow.synthetic


@pytest.mark.parametrize("kind", ["recorded", "published"])
def test_check_refuses_what_cannot_be_opened(kind: str, tmp_path: Path, trace: Path) -> None:
    missing, good = str(tmp_path / "none.trace"), str(trace)
    fields = {"recorded": ("trace", {}), "published": ("gradients", {"model": "vgg16"})}[kind]
    member = workloads.get(kind)
    member(**{fields[0]: good}, **fields[1]).check()
    with pytest.raises(TraceError, match="there is no trace"):
        member(**{fields[0]: missing}, **fields[1]).check()


def test_an_unknown_model_names_the_nearest(trace: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'resnet50'"):
        Published(model="resnet-50", gradients=str(trace)).check()


def test_the_models_asked_for_are_there() -> None:
    assert set(model_names()) == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_model_has_its_parameters(name: str) -> None:
    assert sum(tensor.numel for tensor in load_model(name).tensors) == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_weights_are_matrices(name: str) -> None:
    tensors = load_model(name).tensors
    large = [tensor for tensor in tensors if tensor.numel > 50_000]
    assert all(len(tensor.shape) >= 2 for tensor in large)
    assert len({tensor.name for tensor in tensors}) == len(tensors)


@pytest.mark.parametrize("name", PARAMETERS)
def test_times_of_a_model_follow_the_stated_assumptions(name: str) -> None:
    model = load_model(name)
    timing = model.timing
    assert timing.ready_s[0] == 0.0
    assert all(a <= b for a, b in zip(timing.ready_s, timing.ready_s[1:], strict=False))
    assert timing.backward_s == timing.ready_s[-1] == 2 * timing.forward_s
    numel = sum(tensor.numel for tensor in model.tensors)
    words = 7 if name.startswith(("bert", "gpt", "vit")) else 5
    memory_bytes_per_s = 936e9 if name in SAMPLES_PER_S else 900e9
    assert timing.optimizer_s == pytest.approx(words * 4 * numel / memory_bytes_per_s, rel=1e-12)


# Training on one RTX 3090, as published with pytorch-image-models: samples/s.
SAMPLES_PER_S = {"vgg19": 457.37, "resnet152": 501.44, "vit-b-16": 392.99}


@pytest.mark.parametrize(("name", "rate"), SAMPLES_PER_S.items())
def test_passes_without_measured_gaps_take_what_the_published_throughput_says(name: str, rate: float) -> None:
    model = load_model(name)
    assert model.device == "RTX 3090"
    assert model.timing.forward_s + model.timing.backward_s == pytest.approx(32 / rate, rel=1e-4)


def test_gaps_that_nobody_measured_are_shares_of_multiplications() -> None:
    """VGG-19: a convolution multiplies each weight at every pixel, twice on the way back, but for the first layer."""
    model = load_model("vgg19")
    side = dict(zip((0, 2, 5, 7, *range(10, 17, 2), *range(19, 26, 2), *range(28, 35, 2)), SIDES, strict=True))
    times = []
    for tensor in model.tensors:
        kind, number, part = tensor.name.split(".")
        pixels = (side[int(number)] ** 2 if kind == "features" else 1) * (part == "weight")
        times.append(tensor.numel * pixels * (1 if tensor.name == "features.0.weight" else 2))
    ready_s = [model.timing.backward_s * done / sum(times) for done in accumulate(times)]
    assert model.timing.ready_s == pytest.approx(ready_s, abs=1e-6)


SIDES = (224, 224, 112, 112, 56, 56, 56, 56, 28, 28, 28, 28, 14, 14, 14, 14)


def test_pruned_gradients_are_zero_at_the_same_places_everywhere(facts: TraceFacts, tmp_path: Path) -> None:
    write_trace(tmp_path / "one", facts, [torch.randn(tensor.shape) for _, tensor in facts.entries()])
    whole, pruned = (
        Published(model="vgg16", gradients=str(tmp_path / "one"), pruned=share).open() for share in (0.0, 0.8)
    )
    assert whole.label != pruned.label
    masks = []
    for step, worker in ((0, 0), (2, 1)):
        dense, bias, weight = whole.read(step, worker, 1, 2)[0], *pruned.read(step, worker, 0, 2)
        assert torch.equal(bias, whole.read(step, worker, 0, 1)[0])
        masks.append(weight != 0)
        assert torch.equal(weight, torch.where(masks[-1], dense, 0))
    assert torch.equal(*masks)
    deviation = (0.2 * 0.8 / masks[0].numel()) ** 0.5
    assert float(masks[0].double().mean()) == pytest.approx(0.2, abs=5 * deviation)
    # No tensor repeats another's places, and no block of them is empty or full.
    others = [pruned.read(0, 0, index, index + 1)[0].reshape(-1) != 0 for index in (9, 11)]
    assert float((others[0] & others[1]).double().mean()) == pytest.approx(0.04, abs=0.001)


def test_some_ready_times_are_the_published_ones() -> None:
    ready_s = load_model("vgg16").timing.ready_s
    assert ready_s[:5] == pytest.approx((0, 69e-6, 335e-6, 562e-6, 1723e-6), abs=1e-12)
    assert load_model("gpt2").timing.backward_s == pytest.approx(0.211329, abs=1e-9)


def test_filled_gradients_are_cyclic_repetitions_of_the_same_worker(trace: Path) -> None:
    captured, filled = open_trace(trace), Published(model="resnet50", gradients=str(trace)).open()
    assert filled.synthetic
    assert filled.label == "ResNet-50 (V100 timing; gradients filled from small)"
    assert filled.trace_id == captured.trace_id
    assert (filled.num_steps, filled.num_workers) == (3, 2)
    for step, worker in ((0, 1), (2, 0)):
        bias, weight, scale, _ = captured.read(step, worker, 0, 4)
        pools = {True: bias, False: torch.cat([weight.reshape(-1), scale.reshape(-1)])}
        for tensor, gradient in zip(filled.tensors[:8], filled.read(step, worker, 0, 8), strict=True):
            assert gradient.shape == tensor.shape
            pool, flat = pools[len(tensor.shape) == 1], gradient.reshape(-1)
            assert any(torch.equal(flat[: len(pool)], pool.roll(-shift)) for shift in range(len(pool)))
            assert torch.equal(flat[len(pool) :], flat[: -len(pool)])


def test_workers_of_a_filled_job_agree_as_much_as_the_captured_ones(trace: Path) -> None:
    captured, filled = open_trace(trace), Published(model="vgg16", gradients=str(trace)).open()
    a, b = (filled.read(1, worker, 3, 4)[0].reshape(-1) for worker in (0, 1))
    c, d = (torch.cat([one.reshape(-1) for one in captured.read(1, worker, 1, 4)]) for worker in (0, 1))
    similarity = torch.nn.functional.cosine_similarity
    assert float(similarity(a, b, dim=0)) == pytest.approx(float(similarity(c, d, dim=0)), abs=1e-3)


def test_tensors_of_one_shape_are_filled_differently(trace: Path) -> None:
    filled = Published(model="bert-base", gradients=str(trace)).open()
    a, b = (filled.read(0, 0, index, index + 1)[0] for index in (13, 15))
    assert a.shape == b.shape
    assert not torch.equal(a, b)


def test_a_trace_without_vectors_fills_them_too(trace: Path, tmp_path: Path) -> None:
    from netsim.workload.trace import read_header

    header = read_header(trace)
    parts = {field.name: getattr(header, field.name) for field in dataclasses.fields(TraceFacts)}
    timing = dataclasses.replace(header.timing, ready_s=(0.0,))
    facts = TraceFacts(**parts | {"tensors": header.tensors[1:2], "timing": timing})
    write_trace(tmp_path / "one.trace", facts, [torch.ones(3, 5) for _ in facts.entries()])
    filled = Published(model="resnet50", gradients=str(tmp_path / "one.trace")).open()
    assert torch.equal(filled.read(0, 0, 0, 1)[0], torch.ones(1000))
