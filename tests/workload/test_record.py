from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from netsim.cli import main
from netsim.errors import InputError, TraceError
from netsim.workload.record import record_gradients
from netsim.workload.trace import open_trace

if TYPE_CHECKING:
    from pathlib import Path


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1))


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, accumulate: int = 1) -> list[dict]:
    """Train, and return the gradients found before each step."""
    seen = []
    for step in range(steps):
        optimizer.zero_grad()
        for part in range(accumulate):
            inputs = torch.randn(3, 6, generator=torch.Generator().manual_seed(10 * step + part))
            model(inputs).square().mean().backward()
        seen.append({name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None})
        optimizer.step()
    return seen


@pytest.mark.parametrize("accumulate", [1, 3])
def test_recorded_gradients_are_those_before_each_step(accumulate: int, tmp_path: Path) -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record_gradients(model, tmp_path / "my.trace", optimizer=optimizer, steps=(0, 2, 7)):
        seen = train(model, optimizer, 9, accumulate)
    read = open_trace(tmp_path / "my.trace")
    assert read.header.steps == (0, 2, 7)
    assert read.num_workers == 1
    for place, step in enumerate((0, 2, 7)):
        for tensor, gradient in zip(read.tensors, read.read(place, 0, 0, 4), strict=True):
            assert torch.equal(gradient, seen[step][tensor.name])
    timing = read.timing
    assert 0 <= timing.ready_s[0] < timing.ready_s[-1] <= timing.backward_s < 1
    assert min(timing.forward_s, timing.optimizer_s) > 0
    assert {tensor.name for tensor in read.tensors[:2]} == {"2.weight", "2.bias"}
    assert (read.header.origin.batch, read.header.origin.task) == (3, "Sequential")


def test_the_recorder_does_not_change_training(tmp_path: Path) -> None:
    plain, recorded = small_model(), small_model()
    train(plain, torch.optim.Adam(plain.parameters()), 5)
    optimizer = torch.optim.Adam(recorded.parameters())
    with record_gradients(recorded, tmp_path / "my.trace", optimizer=optimizer, steps=(0, 1)):
        train(recorded, optimizer, 5)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), recorded.parameters(), strict=True))
    assert not recorded._forward_hooks
    assert not recorded._forward_pre_hooks
    assert not any(parameter._post_accumulate_grad_hooks for parameter in recorded.parameters())


def test_clipping_and_evaluation_between_do_not_count(tmp_path: Path) -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record_gradients(model, tmp_path / "my.trace", optimizer=optimizer, steps=(0,)):
        model(torch.ones(3, 6)).square().mean().backward()
        before = model[0].weight.grad.clone()
        with torch.no_grad():
            model(torch.ones(100, 6))
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        optimizer.step()
    read = open_trace(tmp_path / "my.trace")
    values = dict(zip([tensor.name for tensor in read.tensors], read.read(0, 0, 0, 4), strict=True))
    assert torch.equal(values["0.weight"], before)
    assert read.header.origin.batch == 3


def test_losses_are_kept_when_logged(tmp_path: Path) -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record_gradients(model, tmp_path / "my.trace", optimizer=optimizer, steps=(0, 1)) as recording:
        for step in range(2):
            loss = model(torch.ones(3, 6)).square().mean()
            if step == 1:
                recording.log_loss(loss)
            loss.backward()
            optimizer.step()
    assert open_trace(tmp_path / "my.trace").header.losses == ((None,), (pytest.approx(loss.item()),))


def test_models_that_return_mappings_and_train_in_bfloat16(tmp_path: Path) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(50, 4, sparse=True, dtype=torch.bfloat16)

        def forward(self, tokens: torch.Tensor) -> dict[str, object]:
            hidden = self.embedding(tokens)
            return {"loss": hidden.square().sum(), "hidden": [hidden]}

    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record_gradients(model, tmp_path / "my.trace", optimizer=optimizer, steps=(0,), task="mine", batch=9):
        model(tokens=torch.tensor([1, 7]))["loss"].backward()
        expected = model.embedding.weight.grad.to_dense().float()
        optimizer.step()
    read = open_trace(tmp_path / "my.trace")
    assert torch.equal(read.read(0, 0, 0, 1)[0], expected)
    assert expected.abs().sum(dim=1).count_nonzero() == 2
    assert (read.header.origin.dtype, read.header.origin.task, read.header.origin.batch) == ("bfloat16", "mine", 9)


class Branches(nn.Module):
    """One of two layers is used."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 1), nn.Linear(2, 1)])
        self.chosen = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layers[self.chosen](inputs)


def test_a_parameter_without_gradient_at_a_step_is_zero_there(tmp_path: Path) -> None:
    model = Branches()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record_gradients(model, tmp_path / "my.trace", optimizer=optimizer, steps=(0, 1)):
        for step in range(2):
            optimizer.zero_grad()
            model.chosen = step
            model(torch.ones(3, 2)).sum().backward()
            optimizer.step()
    read = open_trace(tmp_path / "my.trace")
    names = [tensor.name for tensor in read.tensors]
    for step in range(2):
        values = dict(zip(names, read.read(step, 0, 0, 4), strict=True))
        assert values[f"layers.{step}.weight"].abs().sum() == 6
        assert values[f"layers.{1 - step}.weight"].abs().sum() == 0


def test_a_parameter_that_never_gets_a_gradient_is_refused(tmp_path: Path) -> None:
    model = Branches()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def record() -> None:
        with record_gradients(model, tmp_path / "my.trace", optimizer=optimizer, steps=(0,)):
            model(torch.ones(3, 2)).sum().backward()
            optimizer.step()

    with pytest.raises(InputError, match=r"'layers\.1\.weight' \(and 1 more\) never got a gradient; .*requires_grad"):
        record()
    assert os.listdir(tmp_path) == []
    model.layers[1].requires_grad_(False)
    record()
    assert len(open_trace(tmp_path / "my.trace").tensors) == 2


def test_steps_that_were_not_reached_are_left_out_with_a_warning(tmp_path: Path) -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with (
        pytest.warns(UserWarning, match=r"steps \[10, 100\] were not reached") as warned,
        record_gradients(model, tmp_path / "my.trace", optimizer=optimizer),
    ):
        train(model, optimizer, 4)
    assert warned[0].filename == __file__
    assert open_trace(tmp_path / "my.trace").header.steps == (0,)


def test_a_closure_is_refused(tmp_path: Path) -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(torch.ones(3, 6)).square().mean()
        loss.backward()
        return loss

    def record() -> None:
        with record_gradients(model, tmp_path / "my.trace", optimizer=optimizer, steps=(0, 1)):
            for _ in range(4):
                optimizer.step(closure)

    with pytest.raises(InputError, match=r"inside optimizer.step\(closure\)"):
        record()
    assert not list(tmp_path.iterdir())


def test_gradients_that_are_no_numbers_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, path = small_model(), tmp_path / "bad.trace"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def record() -> None:
        with record_gradients(model, path, optimizer=optimizer, steps=(0, 1)):
            for scale in (1.0, float("inf")):
                optimizer.zero_grad()
                (model(torch.ones(3, 6)).mean() * scale).backward()
                optimizer.step()

    with pytest.warns(UserWarning, match=r"gradients of steps \[1\] hold NaN"):
        record()
    assert main(["inspect", str(path)]) == 0
    assert "step 1: 41 values are NaN or infinite" in capsys.readouterr().out
    assert main(["inspect", str(path), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["steps"]
    assert (first["not_finite"], second["not_finite"], second["norm"]) == (0, 41, None)
    assert main(["rd", str(path), "--schemes", "topk", "--out", str(tmp_path / "rd")]) == 1
    assert "41" not in (said := capsys.readouterr().err)
    assert "step 1" in said
    assert "NaN or infinite" in said


def test_an_error_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def interrupted() -> None:
        with record_gradients(model, tmp_path / "my.trace", optimizer=optimizer, steps=(0,)):
            train(model, optimizer, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []
    assert not model._forward_hooks


@pytest.mark.parametrize(
    ("steps", "trained", "called", "message"),
    [
        ((), 1, True, "steps cannot be"),
        ((-1,), 1, True, "steps cannot be"),
        ((5,), 2, True, "ended after 2 optimizer steps"),
        ((0,), 1, False, "never called"),
    ],
)
def test_what_cannot_be_recorded_is_refused(
    steps: tuple[int, ...], trained: int, called: bool, message: str, tmp_path: Path
) -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with (
        pytest.raises(InputError, match=message),
        record_gradients(model, tmp_path / "my.trace", optimizer=optimizer, steps=steps),
    ):
        train(model if called else nn.Sequential(*model), optimizer, trained)
    assert os.listdir(tmp_path) == []


def test_a_frozen_model_and_an_impossible_place_are_refused(tmp_path: Path) -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with (
        pytest.raises(TraceError, match="writable folder"),
        record_gradients(model, tmp_path / "missing" / "my.trace", optimizer=optimizer),
    ):
        pytest.fail("trained")
    with (
        pytest.raises(InputError, match="no parameter that gets a gradient"),
        record_gradients(model.requires_grad_(False), tmp_path / "my.trace", optimizer=optimizer),
    ):
        pytest.fail("trained")


RANK = """
import sys, torch, torch.distributed as dist
from torch import nn
from netsim.workload.record import record_gradients

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
for view in (False, True):
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1))
    model = nn.parallel.DistributedDataParallel(inner, gradient_as_bucket_view=view)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    averaged = {}
    with record_gradients(model, f"{folder}/{view}.trace", optimizer=optimizer, steps=(0, 3)) as recording:
        for step in range(5):
            optimizer.zero_grad()
            inputs = torch.randn(3, 6, generator=torch.Generator().manual_seed(10 * step + rank))
            loss = model(inputs).square().mean()
            recording.log_loss(loss)
            loss.backward()
            averaged[step] = {name: one.grad.clone() for name, one in inner.named_parameters()}
            optimizer.step()
    torch.save(averaged, f"{folder}/{view}{rank}.pt")
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def distributed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with two ranks, once with gradients of their own and once with views of the buckets."""
    folder = tmp_path_factory.mktemp("distributed")
    (folder / "rank.py").write_text(RANK)
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        subprocess.Popen([sys.executable, folder / "rank.py", str(rank), folder], env=environment) for rank in range(2)
    ]
    assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]
    return folder


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="gloo's interface is named for Linux")
@pytest.mark.parametrize("view", [False, True])
def test_every_rank_of_a_distributed_run_is_recorded_before_averaging(view: bool, distributed_run: Path) -> None:
    read = open_trace(distributed_run / f"{view}.trace")
    averaged = torch.load(distributed_run / f"{view}0.pt", weights_only=True)
    assert (read.num_workers, read.header.steps) == (2, (0, 3))
    # A plain run on the mean gradient has the same weights; each rank's own gradient is recomputed there.
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    names = [name for name, _ in model.named_parameters()]
    for step in range(4):
        for worker in range(2) if step in (0, 3) else ():
            place = (0, 3).index(step)
            inputs = torch.randn(3, 6, generator=torch.Generator().manual_seed(10 * step + worker))
            loss = model(inputs).square().mean()
            own = dict(zip(names, torch.autograd.grad(loss, list(model.parameters())), strict=True))
            for tensor, gradient in zip(read.tensors, read.read(place, worker, 0, 4), strict=True):
                torch.testing.assert_close(gradient, own[tensor.name], rtol=1e-4, atol=1e-6)
                assert not torch.allclose(gradient, averaged[step][tensor.name], rtol=1e-3)
            assert read.header.losses[place][worker] == pytest.approx(loss.item(), rel=1e-5)
        for name, parameter in model.named_parameters():
            parameter.grad = averaged[step][name].clone()
        optimizer.step()
