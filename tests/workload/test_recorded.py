from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
import torch
from netsim.errors import InputError, TraceError
from netsim.workload import Published, Recorded, workloads
from netsim.workload.published import load_model, model_names
from netsim.workload.trace import open_trace

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
    words = 7 if name.startswith(("bert", "gpt")) else 5
    assert timing.optimizer_s == pytest.approx(words * 4 * numel / 900e9, rel=1e-12)


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
    from netsim.workload.trace import read_header, write_trace
    from netsim.workload.trace_header import TraceFacts

    header = read_header(trace)
    parts = {field.name: getattr(header, field.name) for field in dataclasses.fields(TraceFacts)}
    timing = dataclasses.replace(header.timing, ready_s=(0.0,))
    facts = TraceFacts(**parts | {"tensors": header.tensors[1:2], "timing": timing})
    write_trace(tmp_path / "one.trace", facts, [torch.ones(3, 5) for _ in facts.entries()])
    filled = Published(model="resnet50", gradients=str(tmp_path / "one.trace")).open()
    assert torch.equal(filled.read(0, 0, 0, 1)[0], torch.ones(1000))
