"""Networks trained in simulated time: against torch's optimizers, closed forms, another process, and each other."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from netsim.engine.checkpoint import FORMAT, load, save
from netsim.engine.learn import Learner, learn
from netsim.engine.simulate import simulate
from netsim.errors import InputError, ScenarioErrors
from netsim.optim.sgd import batch_rows
from netsim.report.training import disagreements, training_summary
from netsim.scenario.dump import dump_yaml
from netsim.scenario.load import parse_text
from netsim.sweep import sweep
from netsim.workload.base import Timing
from netsim.workload.trace import Origin, TraceFacts, write_trace
from tests.engine.live import GPT, LSTM, RESNET, point, points

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from netsim.record.result import Result
    from netsim.workload import Network

LIVE = "{kind: live, task: %s, samples: 64, held_out: 16%s}"
FAILURE = "[{kind: node_failure, at: 1 s, duration: 1 s, nodes: [worker0]}]"
TOPK = "[error_feedback, {kind: topk, ratio: 0.01}]"


def train(optimizer: str, more: str = "") -> str:
    return f"{{optimizer: {optimizer}, max_epochs: 1, every: 0.25, gradient_time: 1 ms{more}}}"


def network(scenario) -> Network:
    return scenario.workload.problem(scenario.topology.num_workers, scenario.seed)


def torch_alone(scenario, make, shares: Sequence[float] = ()) -> np.ndarray:
    """Train the same network with torch alone, on the joined batches of all workers; `shares` of its learning rate."""
    problem = network(scenario)
    optimizer, epoch = make(problem.parameters), problem.samples // scenario.train.optimizer.batch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda turn: (*shares, *[1.0] * (epoch + 1))[turn])
    for turn in range(epoch):
        rows = batch_rows(problem, scenario.seed, turn, scenario.train.optimizer.batch)
        joined = [problem.batch(worker, rows[worker]) for worker in range(problem.workers)]
        inputs, targets = (torch.cat(parts) for parts in zip(*joined, strict=True))
        optimizer.zero_grad()
        problem.task.loss(problem.module, inputs, targets).backward()
        optimizer.step()
        schedule.step()
    return np.concatenate([one.detach().numpy().reshape(-1) for one in problem.parameters])


@pytest.mark.parametrize("task", [GPT, LSTM], ids=["gpt", "lstm"])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(
    ("optimizer", "make"),
    [
        ("{kind: sgd, lr: 0.5, batch: 4}", lambda x: torch.optim.SGD(x, lr=0.5)),
        ("{kind: momentum, lr: 0.1, batch: 4}", lambda x: torch.optim.SGD(x, lr=0.1, momentum=0.9)),
        ("{kind: adam, lr: 0.01, batch: 4, epsilon: 1.0e-3}", lambda x: torch.optim.Adam(x, lr=0.01, eps=1e-3)),
    ],
    ids=["sgd", "momentum", "adam"],
)
def test_workers_are_torch_on_the_joined_batch(task: str, workers: int, optimizer: str, make) -> None:
    one = point(
        workload=LIVE % (task, ""),
        train=train(optimizer),
        topology=f"{{kind: star, workers: {workers}, bandwidth: 1 Mbit/s}}",
    )
    problem = network(one)
    reached = torch_alone(one, make)
    learned = learn(one, one.train)
    assert learned.curve[-1]["epoch"] == 1
    expected = problem.evaluate(reached)
    found = [learned.curve[-1][key] for key in ("loss", "metric", "gradient_norm")]
    assert found == pytest.approx(expected, rel=2e-5)
    assert abs(expected[0] - learned.curve[0]["loss"]) > 1e-3


def test_a_scheduled_learning_rate_is_torchs() -> None:
    """Four steps up from a quarter of it, two at it, two at half of it."""
    schedule = "{begin: 0.25, rise: 0.5, every: 0.25, factor: 0.5}"
    one = point(train=train("{kind: momentum, lr: 0.3, batch: 2}", f", schedule: {schedule}"))
    shares = [0.25, 0.25**0.75, 0.5, 0.25**0.25, 1, 1, 0.5, 0.5]
    assert [one.train.schedule.share(turn / 8) for turn in range(8)] == pytest.approx(shares)
    reached = torch_alone(one, lambda x: torch.optim.SGD(x, lr=0.3, momentum=0.9), shares)
    found = [learn(one, one.train).curve[-1][key] for key in ("loss", "metric", "gradient_norm")]
    assert found == pytest.approx(network(one).evaluate(reached), rel=2e-5)
    assert found[0] != pytest.approx(learn(point(train=train("momentum")), point().train).curve[-1]["loss"], rel=1e-3)


def test_a_step_takes_what_its_parts_take() -> None:
    """Forward and backward of a batch, then a ring of all bytes: 2 (n - 1) rounds of a share and a latency each."""
    one = point(job="{overlap: none}")
    row = simulate(one).runs.iloc[0]
    nbytes, n = row["dense_bytes"], 4
    ring_s = 2 * (n - 1) * (nbytes / n / 125e3 + 1e-3)
    assert row["compute_s"] == pytest.approx(2e-3)
    assert row["step_time_s"] == pytest.approx(2e-3 + ring_s, rel=1e-3)
    assert row["total_s"] == pytest.approx(8 * row["step_time_s"])
    assert row["wire_bytes_per_worker"] == pytest.approx(2 * (n - 1) / n * nbytes, rel=1e-3)
    assert (row["speedup_x"], row["rel_error"], row["compression_x"]) == (1, pytest.approx(0, abs=1e-6), 1)


def test_one_training_serves_every_network() -> None:
    """Loss against steps is the same at any bandwidth and over any architecture, loss against seconds is not."""
    slow, fast = (point(schemes=f"[{TOPK}]", topology=f"{{kind: star, workers: 4, bandwidth: {one}}}")
                  for one in ("1 Mbit/s", "1 Gbit/s"))  # fmt: skip
    server = point(schemes=f"[{TOPK}]", sync="{kind: parameter_server, servers: 1}")
    first, *others = (simulate(one).curves for one in (slow, fast, server))
    for other in others:
        assert other["loss"].tolist() == first["loss"].tolist()
        assert (other["time_s"].iloc[1:] != first["time_s"].iloc[1:]).all()


def test_compression_and_the_target_are_held_against_none() -> None:
    goal = train("{kind: momentum, lr: 0.3, batch: 2}", ", target_of: loss, target: 5.3")
    none, topk = (simulate(one).runs.iloc[0] for one in points(train=goal, schemes=f"[none, {TOPK}]"))
    assert none["status"] == "target"
    assert none["speedup_to_target_x"] == none["speedup_x"] == 1
    assert topk["speedup_x"] > 2
    assert 1 < topk["headroom_x"] == none["headroom_x"]
    if topk["status"] == "target":
        assert topk["speedup_to_target_x"] == none["time_to_target_s"] / topk["time_to_target_s"]
    else:
        assert np.isnan(topk["speedup_to_target_x"])
    assert topk["best"] >= 5.3 or topk["status"] == "target"


def test_accumulation_is_a_larger_batch_that_shares_an_exchange() -> None:
    larger = simulate(point(train=train("{kind: sgd, lr: 0.1, batch: 4}")))
    shared = simulate(point(train=train("{kind: sgd, lr: 0.1, batch: 2}"), job="{grad_accumulation: 2}"))
    assert shared.curves["loss"].tolist() == larger.curves["loss"].tolist()
    assert shared.runs["total_s"][0] == pytest.approx(larger.runs["total_s"][0], rel=0.05)
    assert shared.runs["speedup_x"][0] == 1  # its baseline accumulates too


@pytest.mark.parametrize(
    ("optimizer", "sync"),
    [("{kind: adam, batch: 2}", "ring"), ("{kind: asgd, lr: 0.5, batch: 2}", "{kind: parameter_server, servers: 1}")],
    ids=["adam", "asgd"],
)
def test_curves_are_the_same_in_another_process(optimizer: str, sync: str) -> None:
    one = point(train=train(optimizer, ", speed_spread: 3"), sync=sync)
    code = (
        "import sys; from netsim.scenario.load import parse_text; from netsim.engine.simulate import simulate; "
        "print(simulate(parse_text(sys.stdin.read())[0]).curves.drop(columns='scenario').to_csv(index=False))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=dump_yaml([one]), capture_output=True, text=True, check=True
    )
    here = simulate(parse_text(dump_yaml([one]))[0])
    assert done.stdout == here.curves.drop(columns="scenario").to_csv(index=False) + "\n"


def test_staleness_of_a_network_is_what_the_event_log_says() -> None:
    one = point(
        train=train("{kind: asgd, lr: 0.5, batch: 2}", ", speed_spread: 3"),
        sync="{kind: parameter_server, servers: 1}",
    )
    log, seen = simulate(one).steps, {}
    for row in log.itertuples():
        assert row.staleness == row.step - 1 - seen.get(row.worker, 0)
        seen[row.worker] = row.step
    assert log["staleness"].max() > 3


def test_divergence_ends_a_point_and_the_sweep_goes_on() -> None:
    runs = sweep(
        points(
            train=train("{kind: sgd, batch: 2}"),
            sweep="{train.optimizer.lr: [1.0e+30, 0.1]}",
            schemes=f"[none, {TOPK}]",
        )
    )
    assert runs["status"].tolist() == ["diverged"] * 2 + ["max_epochs"] * 2
    assert np.isfinite(runs["best"]).all()


def test_simulated_time_may_run_out_before_the_target() -> None:
    one = point(train=train("{kind: sgd, batch: 2}", ", until: 1 s"))
    result = simulate(one)
    assert result.runs["status"][0] == "until"
    assert result.runs["total_s"][0] == 1
    assert (
        result.curves["time_s"].iloc[-1] <= 1 < simulate(point(train=train("{kind: sgd, batch: 2}"))).runs["total_s"][0]
    )


@pytest.mark.parametrize(
    ("optimizer", "sync"),
    [("{kind: sgd, batch: 2}", "ring"), ("{kind: asgd, batch: 2}", "{kind: parameter_server, servers: 1}")],
    ids=["sgd", "asgd"],
)
def test_the_last_epoch_ends_a_training_wherever_points_of_the_curve_are(optimizer: str, sync: str) -> None:
    result = simulate(point(train=f"{{optimizer: {optimizer}, max_epochs: 0.5, every: 0.375}}", sync=sync))
    assert result.curves["epoch"].tolist() == [0, 0.375, 0.5]
    assert result.runs["status"][0] == "max_epochs"


def test_what_diverges_between_two_points_of_the_curve_has_the_speed_of_its_turns() -> None:
    """Gradients overflow in the second turn, whose exchange fails; the only point of the curve is the first."""
    goal = train("{kind: sgd, lr: 1.0e+30, batch: 2}")
    both = points(train=goal, schemes="[none, fp16]", job="{overlap: none}")
    none, fp16 = (simulate(one).runs.iloc[0] for one in both)
    assert (none["status"], fp16["status"]) == ("diverged", "diverged")
    assert none["speedup_x"] == 1
    assert fp16["speedup_x"] == pytest.approx(none["step_time_s"] / fp16["step_time_s"])


def test_who_diverges_after_the_end_of_time_has_run_out_of_it() -> None:
    row = simulate(point(train=train("{kind: sgd, lr: 1.0e+30, batch: 2}", ", until: 1 ms"))).runs.iloc[0]
    assert (row["status"], row["total_s"]) == ("until", 1e-3)


def test_batch_normalised_networks_learn() -> None:
    one = point(
        workload=LIVE.replace("64", "256").replace("16", "64") % (RESNET.replace("width: 2", "width: 4"), ""),
        train="{optimizer: {kind: momentum, lr: 0.1, batch: 8}, max_epochs: 4, gradient_time: 1 ms}",
    )
    curve = simulate(one).curves
    assert curve["loss"].iloc[-1] < 0.9 * curve["loss"].iloc[0]
    assert curve["metric"].iloc[-1] > 0.2 > curve["metric"].iloc[0]


@pytest.fixture
def times(tmp_path: Path) -> Path:
    """Write a trace of the small transformer's tensors, in an order of its own, two samples in 0.3 s."""
    tensors = network(point()).tensors[::-1]
    ready_s = tuple(0.2 * (1 + place) / len(tensors) for place in range(len(tensors)))
    origin = Origin(task="gpt", device="a device", driver="", torch="2", netsim="0", python="3", dtype="float32",
                    date="2026-01-01", batch=2, threads=1, seed=0)  # fmt: skip
    facts = TraceFacts(
        tensors=tensors, timing=Timing(0.1, 0.2, 0.05, ready_s), steps=(0,), num_workers=1, losses=((1.0,),),
        origin=origin,
    )  # fmt: skip
    write_trace(tmp_path / "times.trace", facts, [torch.zeros(one.shape) for one in tensors])
    return tmp_path


def test_seconds_of_a_pass_are_those_of_a_trace(times: Path) -> None:
    optimizer = "{optimizer: {kind: sgd, batch: 4}, max_epochs: 0.5}"
    one = point(times, workload=LIVE % (GPT, ", timing: times.trace, speed: 2"), train=optimizer)
    assert [one.name for one in network(one).tensors] == [one.name for one in network(point()).tensors[::-1]]
    result = simulate(one)
    assert result.runs["compute_s"][0] == pytest.approx(2 * 0.3 / 2)  # twice the batch, twice the speed
    assert result.runs["optimizer_s"][0] == pytest.approx(0.025)
    assert result.runs["compute_device"][0] == "a device"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"train": train("central_vr_sync")}, "for linear models"),
        ({"workload": "{kind: live, task: gpt-stdlibb}"}, "unknown task"),
        ({"job": "{steps: 3}"}, "goes on until its target"),
        ({"train": train("sgd", ", schedule: {begin: 0.1}")}, "does not rise"),
        ({"train": train("sgd", ", schedule: {factor: 0.5}")}, "does not fall"),
        (
            {"train": train("asgd", ", schedule: {every: 1}"), "sync": "parameter_server"},
            "train.schedule.every: has no effect with optimizers for linear models, or asynchronous ones",
        ),
        ({"conditions": FAILURE, "sync": "{kind: parameter_server, servers: 1}"}, "anew at every turn"),
        (
            {"job": "{checkpoint: {every: 2, write: 1 ms}}", "sync": "[ring, parameter_server]"},
            "job.checkpoint: no checkpoints of a training over a parameter server",
        ),
        ({"sync": "{kind: parameter_server}", "train": train("asgd"), "schemes": "[topk]"}, "no effect with optimizer"),
    ],
)
def test_what_a_network_cannot_do_is_refused(changes: dict[str, str], problem: str) -> None:
    with pytest.raises(ScenarioErrors) as caught:
        points(**changes)
    assert any(problem in str(one) for one in caught.value.problems), caught.value.problems


def test_a_trace_of_another_model_is_refused(times: Path) -> None:
    one = point(times, workload=LIVE % (LSTM, ", timing: times.trace"), train="{optimizer: {kind: sgd}}")
    with pytest.raises(Exception, match="other tensors"):
        simulate(one)


def test_a_faster_step_that_trains_slower_is_warned_of() -> None:
    goal = train("{kind: momentum, lr: 0.3, batch: 2}", ", target_of: loss, target: 5.3")
    runs = sweep(points(train=goal, schemes=f"[none, {TOPK}]"))
    runs["speedup_to_target_x"] = [1.0, 0.5]
    (line,) = disagreements(runs)
    assert "has faster steps and trains slower" in line
    assert "Warning" in training_summary(runs)
    missed = runs.assign(speedup_to_target_x=[1.0, np.nan], status=["target", "max_epochs"])
    assert "misses the target" in disagreements(missed)[0]
    assert not disagreements(runs.assign(speedup_to_target_x=[1.0, 1.5], status="target"))


def test_a_missed_target_is_warned_of_where_its_own_baseline_reaches_it() -> None:
    """Of two rates with and without top-k, the smaller reaches nothing anyhow; the baseline need not be listed."""
    rates = "[{kind: momentum, lr: 0.3, batch: 2}, {kind: momentum, lr: 1.0e-6, batch: 2}]"
    given = {"train": train("momentum", ", target_of: loss, target: 4.1"), "sweep": f"{{train.optimizer: {rates}}}"}
    runs = sweep(points(**given, schemes="[none, {kind: topk, ratio: 0.001}]"))
    assert runs["status"].tolist() == ["target", "max_epochs", "max_epochs", "max_epochs"]
    for listed in (runs, runs[runs["scheme"] != "none"]):
        (line,) = disagreements(listed)
        assert "lr=0.3" in line
        assert "misses the target that `none` reaches (" in line
        assert line.endswith("x a step)")
    other = runs.assign(status="target", speedup_x=0.5, time_to_target_s=1.0, baseline_time_to_target_s=np.nan)
    assert "reaches the target that `none` misses" in disagreements(other.iloc[1:2])[0]
    assert not disagreements(other.assign(status="until"))


def test_rivals_of_compression_are_named_and_held_against_the_first() -> None:
    """One training with each: half the exchanges, and as many local steps, of two passes."""
    sgd, more = "{kind: sgd, lr: 0.5, batch: 2}", "{kind: local_sgd, lr: 0.5, batch: 2, steps: 2}"
    optimizers, passes = f"train.optimizer: [{sgd}, {sgd}, {more}]", "job.grad_accumulation: [1, 2, 1]"
    goal = train(sgd, ", target_of: loss, target: 5.5")
    runs = sweep(points(train=goal, sweep=f"{{zip: {{{optimizers}, {passes}}}}}"))
    assert runs["status"].tolist() == ["target"] * 3
    first = "sgd(lr=0.5, batch=2)"
    labels = [first, f"{first}+grad_accumulation(2)", "local_sgd(lr=0.5, batch=2, steps=2)"]
    assert runs["optimizer"].tolist() == labels
    text = training_summary(runs, 200)
    # What has one value tells none apart.
    for name, row in zip(["sgd", "sgd+grad_accumulation(2)", "local_sgd"], runs.itertuples(), strict=True):
        (line,) = [one for one in text.splitlines() if one.strip().startswith(f"{name} ")]
        assert f"{runs['time_to_target_s'][0] / row.time_to_target_s:.2f}x" in line
    assert "the first: sgd;" in text


def test_a_table_leaves_out_columns_before_it_cuts_names() -> None:
    runs = sweep(points(train=train("{kind: pactrain, batch: 2}"), schemes="[none, {kind: pactrain, pruned: 0}]"))
    assert runs["optimizer"].str.contains("pruned=0.8").all()
    wide, narrow = (training_summary(runs, width).splitlines() for width in (200, 100))
    assert "simulated" in "".join(wide)
    assert "simulated" not in "".join(narrow)
    assert any(line.startswith("  pactrain(pruned=0)  ") for line in narrow)


def test_points_that_differ_in_time_alone_share_their_training() -> None:
    from netsim.engine.simulate import measurement_key

    one = point()
    slower = replace(one, train=replace(one.train, gradient_time=2e-3, speed_spread=2.0))
    assert measurement_key(one) == measurement_key(slower)
    assert simulate(slower).runs["total_s"][0] > simulate(one).runs["total_s"][0]


def test_a_target_that_is_met_at_the_start_takes_no_time() -> None:
    row = simulate(point(train=train("{kind: sgd, batch: 2}", ", target_of: loss, target: 50"))).runs.iloc[0]
    assert (row["status"], row["time_to_target_s"], row["steps_to_target"], row["total_s"]) == ("target", 0, 0, 0)


@pytest.mark.parametrize("kept", ["", "every: 3, write: 100 ms"], ids=["waits", "goes back"])
def test_a_failure_costs_a_training_what_it_undoes(kept: str) -> None:
    """A worker is down from 1.0 to 2.0 s; all else is as without it. Turns take as long as each other."""
    usual = simulate(point(job=f"{{checkpoint: {{{kept}}}}}"))
    restart = f"{kept}, restart: 200 ms" if kept else ""
    failed = simulate(point(job=f"{{checkpoint: {{{restart}}}}}", conditions=FAILURE))
    turn_s, total_s = usual.steps["step_time_s"].iloc[0], usual.runs["total_s"][0]
    assert failed.curves["loss"].tolist() == usual.curves["loss"].tolist()
    if not kept:
        assert failed.runs["total_s"][0] == pytest.approx(total_s + 1.0, abs=turn_s)
    else:
        back_s = 3 * turn_s + 0.1  # to the last checkpoint at most
        assert total_s + 1.2 <= failed.runs["total_s"][0] <= total_s + 1.2 + back_s
        assert usual.steps["lost_s"].sum() == pytest.approx(2 * 0.1)
    assert failed.steps["lost_s"].sum() > usual.steps["lost_s"].sum()
    assert failed.steps["end_s"].iloc[-1] == pytest.approx(failed.steps["step_time_s"].sum())


def test_turns_on_one_clock_take_what_they_take_one_by_one() -> None:
    never = "[{kind: link_profile, links: [worker0], at: [1000 s], bandwidth: [1 kbit/s]}]"
    given = {"schemes": f"[{TOPK}]", "job": "{straggler: {distribution: uniform, spread: 0.5}}"}
    one_by_one, together = simulate(point(**given)), simulate(point(**given, conditions=never))
    for column in ("step_time_s", "comm_s", "wire_bytes_per_worker"):
        assert together.steps[column].tolist() == pytest.approx(one_by_one.steps[column].tolist(), rel=1e-9)
    assert together.links["bytes_per_step"].tolist() == pytest.approx(one_by_one.links["bytes_per_step"].tolist())


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({}, 1.0),
        ({"job": "{scheduling: priority}"}, 1.0),
        ({"job": "{straggler: {distribution: uniform, spread: 0.5}}"}, 1.0),
        ({"job": "{checkpoint: {every: 3, write: 10 ms}}"}, 1.0),
        ({"conditions": "[{kind: link_profile, links: ['*'], at: [0 s], bandwidth: [250 kbit/s]}]"}, 0.25),
    ],
    ids=["order", "priority", "stragglers", "one clock", "slower links"],
)
def test_links_of_a_training_carry_what_workers_send(changes: dict[str, str], share: float) -> None:
    """Around a ring every link carries what its worker sends, and is used for as much of what it had in that time."""
    result = simulate(point(**changes))
    sent, total_s = result.steps["wire_bytes_per_worker"].mean(), result.steps["step_time_s"].mean()
    assert result.links["bytes_per_step"].to_numpy() == pytest.approx(sent, rel=1e-9)
    assert result.links["utilisation"].to_numpy() == pytest.approx(sent / (share * 125e3 * total_s), rel=1e-9)


class Interrupted(Exception):
    """What ends a training in the middle."""


@pytest.mark.parametrize(
    ("optimizer", "scheme", "sync"),
    [
        ("{kind: adam, batch: 2}", "[error_feedback, {kind: topk, ratio: 0.1}]", "ring"),
        ("{kind: momentum, batch: 2}, schedule: {begin: 0.1, rise: 0.7}", "{kind: powersgd, rank: 1}", "ring"),
        ("{kind: momentum, batch: 2}", "dgc", "ring"),
        ("{kind: pactrain, batch: 2}", "{kind: pactrain, pruned: 0, ternary: true}", "ring"),
        ("{kind: onebit_lamb, batch: 2, warm_up: 3}", "fp16", "all_to_all"),
        ("{kind: zero_one_adam, batch: 2, freeze: 2, renewals: 1, local_steps: 1}", "none", "all_to_all"),
        ("{kind: local_sgd, batch: 2, steps: 2}", "[error_feedback, two_way, rms_sign]", "all_to_all"),
        ("{kind: signum, batch: 2}", "none", "all_to_all"),
        ("{kind: local_sgd, batch: 2}, policy: adaptive_steps", "fp16", "ring"),
        ("{kind: momentum, batch: 2}, policy: adaptive_ratio", "{kind: topk, ratio: 0.1}", "ring"),
    ],
    ids=[
        "topk",
        "powersgd",
        "dgc",
        "pactrain",
        "onebit_lamb",
        "zero_one_adam",
        "local_sgd",
        "signum",
        "steps",
        "ratio",
    ],
)
def test_a_checkpoint_in_the_middle_and_a_resume_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, scheme: str, sync: str
) -> None:
    one = point(train=train(optimizer), schemes=f"[{scheme}]", sync=sync)
    file = tmp_path / "training"
    whole, turn = learn(one, one.train), Learner.turn

    def until_the_middle(self: Learner) -> None:
        if len(self.turns) == len(whole.turns) // 2:
            raise Interrupted
        turn(self)

    monkeypatch.setattr(Learner, "turn", until_the_middle)
    with pytest.raises(Interrupted):
        learn(one, one.train, file, every_s=0)
    monkeypatch.setattr(Learner, "turn", turn)
    resumed = learn(one, one.train, file)
    assert resumed.curve == whole.curve
    results = [simulate(one, learned, learned) for learned in (whole, resumed)]
    for table in ("runs", "steps", "curves", "links"):
        a, b = (getattr(result, table).to_csv() for result in results)
        assert a == b
    # What is finished is read, not trained again.
    monkeypatch.setattr(Learner, "turn", until_the_middle)
    assert learn(one, one.train, file).curve == whole.curve


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "training").write_bytes(content)
    with pytest.raises(InputError, match="is no checkpoint"):
        learn(point(), point().train, tmp_path / "training")


def test_a_checkpoint_names_no_class_but_plain_records(tmp_path: Path) -> None:
    save(tmp_path / "kept", {"state": [1, None, "two", np.float64(0.1), (True, np.arange(3)), torch.ones(2)]})
    assert load(tmp_path / "kept")["state"][:4] == [1, None, "two", 0.1]
    with zipfile.ZipFile(tmp_path / "bad", "w") as archive:
        tree = {"class": ["subprocess", "Popen"], "values": ["true"]}
        archive.writestr("tree.json", json.dumps({"format": FORMAT, "tree": tree}))
    with pytest.raises(InputError, match="names subprocess"):
        load(tmp_path / "bad")


def test_a_baseline_that_gets_nowhere_is_left_out_of_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure comes more often than a tree needs for a turn, and than a ring that sends everything."""
    monkeypatch.setattr("netsim.engine.restart._MOST_IN_VAIN", 3)
    given = {"train": "{optimizer: {kind: sgd, batch: 8}, max_epochs: 1, gradient_time: 1 ms}"}
    turn_s = {one: simulate(point(**given, sync=one)).steps["step_time_s"].iloc[0] for one in ("ring", "tree")}

    def failing(every_s: float, scheme: str) -> Result:
        failure = f"{{kind: node_failure, nodes: [worker1], at: {every_s} s, duration: 1 ms, every: {every_s} s}}"
        kept = {"schemes": f"[{scheme}]", "job": "{checkpoint: {every: 1}}", "conditions": f"[{failure}]"}
        return simulate(point(**given, **kept))

    found = failing((turn_s["ring"] + turn_s["tree"]) / 2, "none")
    assert {"parameter_server", "tree"} <= set(found.provenance["not_compared"])
    assert not {"ring", "ideal"} & set(found.provenance["not_compared"])
    assert found.runs["speedup_x"][0] == 1.0
    assert found.runs["headroom_x"][0] > 1.0
    found = failing(turn_s["ring"] / 2, TOPK)
    assert "ring" in found.provenance["not_compared"]
    assert found.runs[["speedup_x", "speedup_to_target_x", "headroom_x"]].isna().all(axis=None)
