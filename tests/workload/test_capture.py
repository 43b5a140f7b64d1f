from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import torch
from netsim.errors import InputError, TraceError
from netsim.workload import capture as capturing
from netsim.workload.capture import capture
from netsim.workload.tasks import LstmStdlib, Resnet20Digits, tasks
from netsim.workload.trace import TraceGradients, open_trace

if TYPE_CHECKING:
    from pathlib import Path

    from netsim.workload.tasks import Task

STEPS = (0, 2)


def captured(task: Task, path: Path, **settings: object) -> TraceGradients:
    capture(task, path, **{"workers": 2, "steps": STEPS, "device": "cpu", "batch": 4} | settings)
    return open_trace(path)


@pytest.fixture(scope="module")
def read(small_task: Task, tmp_path_factory: pytest.TempPathFactory) -> TraceGradients:
    """Every built-in task, small and captured."""
    return captured(small_task, tmp_path_factory.mktemp("captured") / "a.trace")


def replayed(task: Task, step: int, workers: int = 2, batch: int = 4) -> tuple[torch.nn.Module, list[torch.Tensor]]:
    """Train plainly, on the joined batch of all workers, up to `step`; return the model and its last gradients."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = task.model()
    samples = task.samples()
    optimizer = task.optimizer(model.parameters())
    for now in range(step + 1):
        parts = [samples.micro_batch(now, worker, workers, batch, 0) for worker in range(workers)]
        inputs, targets = (torch.cat(list(both)) for both in zip(*parts, strict=True))
        optimizer.zero_grad()
        task.loss(model, inputs, targets).backward()
        if now < step:
            optimizer.step()
    return model, [parameter.grad for parameter in model.parameters()]


def test_gradients_are_those_of_autograd_at_the_same_weights(small_task: Task, read: TraceGradients) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = small_task.model()
    names = [name for name, _ in model.named_parameters()]
    samples = small_task.samples()
    for worker in range(2):
        loss = small_task.loss(model, *samples.micro_batch(0, worker, 2, 4, 0))
        expected = dict(zip(names, torch.autograd.grad(loss, list(model.parameters())), strict=True))
        for tensor, gradient in zip(read.tensors, read.read(0, worker, 0, len(read.tensors)), strict=True):
            torch.testing.assert_close(gradient, expected[tensor.name], rtol=1e-4, atol=1e-7)
        assert read.header.losses[0][worker] == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("step", STEPS)
def test_the_mean_over_workers_is_the_gradient_of_the_joined_batch(
    small_task: Task, read: TraceGradients, step: int
) -> None:
    if isinstance(small_task, Resnet20Digits):
        pytest.skip("batch norm makes a micro-batch's gradient depend on its other samples")
    model, gradients = replayed(small_task, step)
    expected = dict(zip([name for name, _ in model.named_parameters()], gradients, strict=True))
    both = [read.read(STEPS.index(step), worker, 0, len(read.tensors)) for worker in (0, 1)]
    for tensor, one, other in zip(read.tensors, *both, strict=True):
        torch.testing.assert_close((one + other) / 2, expected[tensor.name], rtol=1e-3, atol=1e-6)


def test_workers_differ_and_training_goes_on(read: TraceGradients) -> None:
    first, other, later = read.read(0, 0, 0, 2), read.read(0, 1, 0, 2), read.read(1, 0, 0, 2)
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0], later[0])


def test_ready_times_never_fall_and_end_within_the_backward_pass(read: TraceGradients) -> None:
    timing = read.timing
    assert min(timing.forward_s, timing.backward_s, timing.optimizer_s) > 0
    assert list(timing.ready_s) == sorted(timing.ready_s)
    assert 0 <= timing.ready_s[0] < timing.ready_s[-1] <= timing.backward_s


def test_backward_order_begins_at_the_output(tmp_path: Path) -> None:
    read = captured(Resnet20Digits(width=4, blocks_per_stage=1), tmp_path / "a.trace")
    names = [tensor.name for tensor in read.tensors]
    assert {names[0], names[1]} == {"fc.weight", "fc.bias"}
    assert names[-1] == "conv1.weight"


def test_the_same_seed_gives_the_same_gradients(small_task: Task, read: TraceGradients, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    runs = [read, *(captured(small_task, tmp_path / f"{seed}.trace", seed=seed) for seed in (0, 1))]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert runs[0].trace_id != runs[2].trace_id
    values = [
        dict(zip([one.name for one in run.tensors], run.read(1, 1, 0, len(run.tensors)), strict=True)) for run in runs
    ]
    assert all(torch.equal(values[0][name], values[1][name]) for name in values[0])
    assert any(not torch.equal(values[0][name], values[2][name]) for name in values[0])


def test_the_origin_says_where_and_how(tmp_path: Path) -> None:
    torch.set_num_threads(2)
    origin = captured(LstmStdlib(embedding=4, hidden=8), tmp_path / "a.trace", seed=5).header.origin
    assert "CPU" in origin.device
    assert (origin.task, origin.batch, origin.seed, origin.threads) == ("lstm-stdlib", 4, 5, capturing.THREADS)
    assert origin.torch == torch.__version__
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_only_rows_of_tokens_that_occur_are_not_zero(tmp_path: Path) -> None:
    task = LstmStdlib(embedding=4, hidden=8, layers=1, length=8)
    read = captured(task, tmp_path / "a.trace")
    (place,) = (index for index, tensor in enumerate(read.tensors) if tensor.name == "encoder.weight")
    assert read.tensors[place].shape == (10_000, 4)
    (embedding,) = read.read(1, 1, place, place + 1)
    inputs, _ = task.samples().micro_batch(2, 1, 2, 4, 0)
    touched = torch.zeros(10_000, dtype=torch.bool)
    touched[inputs.unique()] = True
    assert torch.equal(embedding.abs().sum(dim=1) > 0, touched)
    assert bool((embedding[~touched] == 0.0).all())


def test_resnet20_is_the_published_network() -> None:
    # He et al. 2016, table 6: 0.27 M parameters; 19 convolutions, each with a batch norm, and one linear layer.
    parameters = list(Resnet20Digits().model().parameters())
    assert (len(parameters), sum(parameter.numel() for parameter in parameters)) == (19 * 3 + 2, 269_722)


@pytest.mark.parametrize("name", list(tasks))
def test_a_task_has_defaults_early_middle_and_late(name: str) -> None:
    task = tasks.get(name)()
    assert len(task.default_steps) == 3
    assert list(task.default_steps) == sorted(set(task.default_steps))
    assert task.default_batch > 0
    assert tasks.summary(name)[0]


def test_micro_batches_of_an_epoch_are_disjoint() -> None:
    samples = Resnet20Digits().samples()
    numbered = type(samples)(torch.arange(1797), torch.arange(1797))
    steps = 1797 // (4 * 32)
    seen = [numbered.micro_batch(step, worker, 4, 32, 0)[0] for step in range(steps) for worker in range(4)]
    assert len(torch.cat(seen).unique()) == steps * 4 * 32
    assert not torch.equal(numbered.micro_batch(steps, 0, 4, 32, 0)[0], seen[0])


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"workers": 0}, "workers"),
        ({"batch": 0}, "batch"),
        ({"seed": -1}, "seed"),
        ({"steps": ()}, "steps"),
        ({"steps": (-1, 3)}, "steps"),
        ({"device": "tpu"}, "device"),
        ({"workers": 1000, "batch": 1000}, "samples"),
    ],
)
def test_arguments_out_of_range_are_refused(settings: dict[str, object], path: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=path):
        captured(Resnet20Digits(width=4, blocks_per_stage=1), tmp_path / "a.trace", **settings)
    assert os.listdir(tmp_path) == []


def test_an_unknown_task_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="resnet20-digits"):
        capture("resnet20", tmp_path / "a.trace")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no CUDA device"):
        capture("gpt-stdlib", tmp_path / "a.trace", device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_capture_on_cuda(small_task: Task, tmp_path: Path) -> None:
    read = captured(small_task, tmp_path / "a.trace", device="cuda")
    timing = read.timing
    assert 0 <= timing.ready_s[0] < timing.ready_s[-1] <= timing.backward_s < 10
    assert read.device == torch.cuda.get_device_name()


def test_an_impossible_place_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="writable folder"):
        capture(
            "resnet20-digits", tmp_path / "missing" / "a.trace", progress=lambda done, total: pytest.fail("trained")
        )


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        captured(Resnet20Digits(width=4, blocks_per_stage=1), tmp_path / "a.trace", progress=interrupt)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("old", [None, pytest.param(b"what was there", marks=pytest.mark.slow)])
def test_a_kill_leaves_what_was_there(old: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    if old:
        path.write_bytes(old)
    program = (
        "from netsim.workload.capture import capture\n"
        "from netsim.workload.tasks import Resnet20Digits\n"
        f"capture(Resnet20Digits(width=4, blocks_per_stage=1), {str(path)!r}, workers=2, steps=(0, 5000), batch=4,"
        " device='cpu', progress=lambda done, total: print(done, flush=True))"
    )
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
    assert os.listdir(tmp_path) == (["a.trace"] if old else [])
    assert not old or path.read_bytes() == old
