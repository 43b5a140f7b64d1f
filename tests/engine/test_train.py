"""Training in simulated time: shapes of the CentralVR paper, exact asynchrony, divergence, files and tables."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import netsim
from netsim.cli import main
from netsim.engine.simulate import simulate
from netsim.errors import ScenarioErrors
from netsim.network.flow_network import FlowNetwork
from netsim.report.training import training_summary
from netsim.scenario.dump import dump_yaml
from netsim.scenario.load import parse_text

TEXT = """
topology: {{kind: star, workers: {workers}, bandwidth: 1 Gbit/s, latency: 100 us}}
network: {{kind: {network}, transport: ideal}}
workload: {{kind: {problem}, samples: 400, features: 6, conditioning: 3}}
sync: {{kind: parameter_server, sharding: even}}
cost: {{kind: {cost}}}
train: {{optimizer: {optimizer}, target: {target}, max_epochs: {epochs}, gradient_time: 10 us, speed_spread: {spread}}}
"""


def scenario(optimizer: str, **changes):
    given = {
        "workers": 4,
        "network": "flow",
        "problem": "ridge",
        "cost": "documented",
        "target": 1e-4,
        "epochs": 80,
        "spread": 1,
    }
    (one,) = parse_text(TEXT.format(optimizer=optimizer, **(given | changes)))
    return one


def run(optimizer: str, **changes):
    result = simulate(scenario(optimizer, **changes))
    return result, result.runs.iloc[0]


SYNC, ASYNC = "{kind: central_vr_sync, lr: 0.03}", "{kind: central_vr_async, lr: 0.03}"


@pytest.mark.parametrize("problem", ["ridge", "logistic"])
def test_time_to_target_stays_flat_where_data_grows_with_the_workers(problem: str) -> None:
    for optimizer in (SYNC, ASYNC):
        few, many = (run(optimizer, workers=workers, problem=problem, target=1e-3)[1] for workers in (4, 24))
        assert few["status"] == many["status"] == "target"
        assert many["time_to_target_s"] <= 1.25 * few["time_to_target_s"]


def slowed(optimizer: str, slow_workers: int | None) -> float:
    """Return how much longer 24 workers take to the target where one is, or all are up to, 5 times slower."""
    equal = scenario(optimizer, workers=24)
    assert equal.train is not None
    unequal = replace(equal, train=replace(equal.train, speed_spread=5, slow_workers=slow_workers))
    times = [simulate(one).runs.iloc[0]["time_to_target_s"] for one in (equal, unequal)]
    return times[1] / times[0]


def test_what_leaves_at_an_instant_is_one_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal workers stay in step: a plan for all their pushes of a turn, and one for all their pulls."""
    plans, begin = [], FlowNetwork.begin

    def counted(self, rounds, *rest, **more):
        plans.append(sum(len(one.src) for one in rounds))
        return begin(self, rounds, *rest, **more)

    monkeypatch.setattr(FlowNetwork, "begin", counted)
    updates = len(run("{kind: easgd, steps: 100}", workers=6, epochs=3)[0].steps)
    assert updates == 6 * 12
    assert plans == [6] * (2 * 12 - 1)  # the first pull is known to all


def test_unequal_nodes_hurt_sync_by_the_slowest_and_async_less() -> None:
    """Nobody else has a slow worker's samples, so that its part of the error, a W-th, shrinks at its own pace."""
    assert slowed(SYNC, 1) == pytest.approx(5, rel=0.1)
    assert slowed(SYNC, None) == pytest.approx(5, rel=0.1)
    one, every = slowed(ASYNC, 1), slowed(ASYNC, None)
    assert 1 < one < every < 0.7 * 5


def test_pushing_every_step_is_slowest_per_second() -> None:
    """What CentralVR needs to the target leaves SVRG on a parameter server far from it, for its many messages."""
    sync = run(SYNC, workers=8)[1]
    stepwise = scenario("{kind: ps_svrg, lr: 0.2}", workers=8)
    assert stepwise.train is not None
    row = simulate(replace(stepwise, train=replace(stepwise.train, until=3 * sync["time_to_target_s"]))).runs.iloc[0]
    assert row["status"] == "until"
    assert row["best"] > 10 * sync["best"]


def test_central_vr_needs_about_half_the_evaluations_of_svrg_and_saga() -> None:
    needed = {
        kind: run(f"{{kind: {kind}, lr: 0.3}}", workers=1, target=1e-5, epochs=200)[1]["epochs_to_target"]
        for kind in ("central_vr", "svrg", "saga")
    }
    assert needed["central_vr"] < 0.7 * needed["saga"]
    assert needed["central_vr"] < 0.7 * needed["svrg"]


def test_sgd_with_elastic_averaging_hits_a_floor() -> None:
    _, row = run("{kind: easgd, lr: 0.1, steps: 100}", epochs=40)
    assert row["status"] == "max_epochs"
    assert row["best"] > 1e-3
    assert np.isnan(row["time_to_target_s"])


def test_a_synchronous_round_takes_what_its_parts_take() -> None:
    """A round: the slowest epoch, then push and pull of 2 d floats by all workers through the server's link."""
    result, _ = run(SYNC, network="analytic", cost="free", spread=2, epochs=3, target=1e-9)
    rounds = result.steps["end_s"] - result.steps["begin_s"]
    link_s = (2 * 6 * 4) / 125e6  # of one message; the slowest worker pushes alone
    assert rounds.to_numpy() == pytest.approx(400 * 20e-6 + 2 * 100e-6 + link_s + 4 * link_s, rel=1e-6)


PARTS = ["compute_s", "encode_s", "exposed_comm_s", "decode_s", "optimizer_s", "lost_s"]


def test_the_parts_of_a_synchronous_turn_are_means_over_workers() -> None:
    """Epochs last from once to twice as long, in equal ratios; who is first waits for the slowest."""
    result, row = run(SYNC, network="analytic", cost="free", spread=2, epochs=3, target=1e-9)
    turns = result.steps["end_s"] - result.steps["begin_s"]
    computing_s = 400 * 10e-6 * np.mean([2 ** (worker / 3) for worker in range(4)])
    assert row["compute_s"] == pytest.approx(computing_s, rel=1e-9)
    assert row["exposed_comm_s"] == pytest.approx(turns.mean() - computing_s, rel=1e-9)
    assert row[PARTS].sum() == pytest.approx(row["step_time_s"], rel=1e-12)
    assert row["lost_s"] == row["staleness_mean"] == 0.0
    assert row["step_time_s"] * len(turns) == pytest.approx(row["total_s"], rel=1e-9)
    assert row["bottleneck"] == "compute"


def test_the_parts_of_an_asynchronous_turn_are_a_workers_own() -> None:
    """Alone a worker pulls and pushes 2 d floats through two links each, and never waits."""
    result, row = run("{kind: asgd, lr: 0.01, batch: 10}", workers=1, cost="free", epochs=3, target=1e-9)
    turns, way_s = len(result.steps), 6 * 4 / 125e6 + 100e-6
    assert row["compute_s"] == pytest.approx(10 * 10e-6, rel=1e-9)
    assert row["comm_s"] == row["exposed_comm_s"] == pytest.approx((2 * turns - 1) / turns * way_s, rel=1e-6)
    assert row["step_time_s"] * turns == pytest.approx(row["total_s"], rel=1e-9)
    assert row["bottleneck"] == "latency"


@pytest.mark.parametrize(
    ("optimizer", "features", "gradient_time", "spread", "held_up"),
    [
        ("asgd", 6, "1 us", 1, "latency"),
        ("asgd", 6, "10 ms", 1, "compute"),
        ("asgd", 30000, "1 us", 1, "link switch->server0"),  # all 4 pushes, of 1 ms each, share it
        ("asgd, bound: 0", 6, "1 ms", 100, "stragglers"),  # the slowest computes for 100 ms, the others 1, 5 and 22
    ],
)
def test_what_holds_up_workers_that_meet_at_a_server(
    optimizer: str, features: int, gradient_time: str, spread: float, held_up: str
) -> None:
    text = f"""
topology: {{kind: star, workers: 4, bandwidth: 1 Gbit/s, latency: 100 us}}
network: {{kind: flow, transport: ideal}}
workload: {{kind: ridge, samples: 4, features: {features}}}
sync: parameter_server
cost: free
train:
  optimizer: {{kind: {optimizer}, lr: 1.0e-6}}
  max_epochs: 10
  gradient_time: {gradient_time}
  speed_spread: {spread}
"""
    (one,) = parse_text(text)
    row = simulate(one).runs.iloc[0]
    assert row["bottleneck"] == held_up
    assert row[PARTS].sum() == pytest.approx(row["step_time_s"], rel=1e-12)


@pytest.mark.parametrize(("optimizer", "share"), [("central_vr_sync, lr: 0.001", 4), ("asgd, lr: 0.001, batch: 10", 1)])
def test_what_a_device_that_is_down_costs_is_told(optimizer: str, share: int) -> None:
    """20 ms of one worker: of a turn of all four it is a fourth, else of its own turn."""
    text = TEXT.format(
        workers=4,
        network="flow",
        problem="ridge",
        cost="documented",
        target=1e-9,
        spread=1,
        optimizer=f"{{kind: {optimizer}}}",
        epochs=10,
    )
    (one,) = parse_text(text + "conditions: [{kind: node_failure, nodes: [worker1], at: 10 ms, duration: 20 ms}]\n")
    result = simulate(one)
    row = result.runs.iloc[0]
    assert row["lost_s"] * len(result.steps) == pytest.approx(20e-3 / share, rel=1e-6)
    assert row[PARTS].sum() == pytest.approx(row["step_time_s"], rel=1e-12)


TIMES = """
topology: {{kind: star, workers: {workers}, bandwidth: {gbits} Gbit/s, latency: {latency} us}}
network: {{kind: flow, transport: {{kind: tcp, overhead: {overhead} us}}}}
workload: {{kind: ridge, samples: 4, features: {features}}}
sync: {sync}
train: {{optimizer: {{kind: {optimizer}, lr: 1.0e-7}}, max_epochs: 5, gradient_time: {gradient} us}}
"""


@pytest.mark.parametrize("features", [6, 20000])
@pytest.mark.parametrize("gradient", [0.1, 1000])
@pytest.mark.parametrize("overhead", [1, 200])
@pytest.mark.parametrize(
    ("optimizer", "sync"), [("asgd", "parameter_server"), ("central_vr_sync", "ring"), ("ps_svrg", "parameter_server")]
)
def test_without_what_holds_it_up_a_training_is_shorter_than_without_anything_else(
    features: int, gradient: float, overhead: float, optimizer: str, sync: str
) -> None:
    given = {
        "workers": 12,
        "gbits": 1,
        "latency": 50,
        "features": features,
        "gradient": gradient,
        "overhead": overhead,
        "optimizer": optimizer,
        "sync": sync,
    }

    def row(**changes: float) -> Any:
        (one,) = parse_text(TIMES.format(**(given | changes)))
        return simulate(one).runs.iloc[0]

    named = row()["bottleneck"].split()[0]
    without = {
        "link": row(gbits=1e6)["total_s"],
        "latency": row(latency=1e-6)["total_s"],
        "overhead": row(overhead=1e-6)["total_s"],
    }
    least = min(without, key=lambda one: without[one])
    computed_s = row(gradient=1e-6)["total_s"]
    assert named == ("compute" if computed_s < without[least] else least)


MACHINES = """
topology: {{kind: gpu_cluster, machines: 2, gpus_per_machine: 4, cards_per_machine: 2, bandwidth: 1 Gbit/s}}
network: {{kind: flow, transport: ideal}}
workload: {{kind: ridge, features: 20000, samples: 5}}
sync: {sync}
train: {{optimizer: central_vr_sync, max_epochs: 1, gradient_time: 10 us}}
"""


@pytest.mark.parametrize(
    ("sync", "of_cards"),
    [
        ("ring", [0, 14 / 8]),
        ("{kind: ring, rings: 4}", [7 / 8, 7 / 8]),
        ("hierarchical", [1 / 2, 1 / 2]),
        ("parameter_server", [2, 2]),
        ("{kind: parameter_server, local_aggregation: true}", [1 / 2, 1 / 2]),
    ],
)
def test_architectures_know_the_machines_of_a_linear_training(sync: str, of_cards: list[float]) -> None:
    """What leaves a machine of 4 in vectors, by card: its last worker alone closes a ring, each one of four rings.

    Owners of a quarter send 2 (m - 1) / m of it to the other machine, or all that the machine has added up to a server.
    """
    (one,) = parse_text(MACHINES.format(sync=sync))
    links = simulate(one).links.set_index("link")["bytes_per_step"]
    sent = [links[f"machine0.hub{card}->switch"] / (2 * 20000 * 4) for card in range(2)]
    assert sent == pytest.approx(of_cards, rel=1e-9)


def test_a_hierarchical_round_takes_what_its_parts_take() -> None:
    """5 gradients; inside a machine a hop carries 4 quarters each way, twice; a card 2 eighths, twice."""
    (one,) = parse_text(MACHINES.format(sync="hierarchical"))
    steps, sent = simulate(one).steps, 2 * 20000 * 4
    inside_s, across_s = sent / 12e9 + 3e-6, sent / 4 / 125e6 + 2 * 12.5e-6 + 2e-6
    assert (steps["end_s"] - steps["begin_s"])[0] == pytest.approx(50e-6 + 2 * inside_s + 2 * across_s, rel=1e-9)


def test_one_asynchronous_worker_is_the_synchronous_one_in_time_and_value() -> None:
    (one, _), (other, _) = (run(which, workers=1, network="flow", epochs=8) for which in (SYNC, ASYNC))
    assert one.curves["loss"].to_numpy() == pytest.approx(other.curves["loss"].to_numpy(), rel=1e-12)
    # The asynchronous server's state is seen on arrival; a synchronous round ends once its result is back.
    assert (other.curves["time_s"] <= one.curves["time_s"] + 1e-12).all()


def test_staleness_is_what_the_event_log_says() -> None:
    """Between a worker's pull, answered the instant its last push arrived, and its next push: the others' pushes.

    After the first epoch all wait for the slowest, whose push is the fourth.
    """
    result, _ = run(ASYNC, spread=4, epochs=10, target=1e-9)
    log = result.steps
    seen: dict[int, int] = {}
    for row in log.itertuples():
        assert row.staleness == row.step - 1 - seen.get(row.worker, 0)
        seen[row.worker] = max(row.step, 4)
    assert (log["end_s"].diff().dropna() >= 0).all()
    assert log["staleness"].max() > 3


def test_bounded_staleness_bounds_how_far_workers_are_apart() -> None:
    far, near = (
        run(f"{{kind: asgd, lr: 0.5, batch: 40{bound}}}", spread=5, epochs=6, target=1e-9)[0].steps
        for bound in ("", ", bound: 1")
    )

    def apart(log) -> int:
        clocks = np.zeros(4, dtype=int)
        most = 0
        for worker in log["worker"]:
            clocks[worker] += 1
            most = max(most, int(clocks.max() - clocks.min()))
        return most

    assert apart(near) == 2  # one step ahead may begin another
    assert apart(far) > 2


@pytest.mark.parametrize("optimizer", ["{kind: central_vr_sync, lr: 50}", "{kind: central_vr_async, lr: 50}"])
def test_divergence_ends_the_point_with_a_row_that_says_so(optimizer: str) -> None:
    result, row = run(optimizer)
    assert row["status"] == "diverged"
    assert np.isnan(row["time_to_target_s"])
    assert row["best"] == 1.0
    assert len(result.curves) < 10


def test_the_simulated_time_limit_ends_a_training() -> None:
    one = scenario(SYNC)
    assert one.train is not None
    row = simulate(replace(one, train=replace(one.train, until=0.02))).runs.iloc[0]
    assert row["status"] == "until"
    assert row["total_s"] == pytest.approx(0.02)


def test_a_sweep_goes_on_after_a_divergence(tmp_path) -> None:
    sweep = (
        "sweep: {train.optimizer: [{kind: central_vr_async, lr: 50}, {kind: d_saga, lr: 50}, {kind: d_svrg, lr: 0.3}]}"
    )
    (tmp_path / "small.yaml").write_text(dump_yaml([scenario(SYNC)]) + sweep)
    table = netsim.sweep(netsim.load(tmp_path / "small.yaml"))
    assert list(table["status"]) == ["diverged", "diverged", "target"]


def test_curves_are_the_same_in_another_process() -> None:
    text = dump_yaml([scenario(ASYNC, spread=3, epochs=5)])
    text += "sweep: {train.optimizer: [central_vr_async, {kind: ps_svrg, batch: 20}, d_saga, easgd, d_svrg]}"
    code = (
        "import sys; from netsim.scenario.load import parse_text; from netsim.engine.simulate import simulate; "
        "[print(simulate(one).curves.drop(columns='scenario').to_csv()) for one in parse_text(sys.stdin.read())]"
    )
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, text=True, check=True)
    here = [simulate(one).curves.drop(columns="scenario").to_csv() + "\n" for one in parse_text(text)]
    assert done.stdout == "".join(here)


def test_wire_bytes_are_two_vectors_an_epoch() -> None:
    for optimizer in (SYNC, ASYNC):
        result, _ = run(optimizer, epochs=5, target=1e-9)
        last = result.curves.iloc[-1]
        assert last["wire_bytes_per_worker"] == pytest.approx(last["epoch"] * 2 * 6 * 4)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("central_vr_sync, lr: 0.03", "central_vr", "runs on one worker"),
        ("central_vr_sync, lr: 0.03", "central_vr_asink", "unknown optimizer"),
        ("central_vr_sync, lr: 0.03", "central_vr_sync, rate: 1", "rate"),
        ("gradient_time: 10 us", "gradient_time: 10", "needs a unit"),
        ("train:", "schemes: [topk]\ntrain:", "has no effect with optimizer 'central_vr_sync'"),
        ("train:", "job: {steps: 4}\ntrain:", "has no effect on training"),
        ("train:", "# train:", "is live"),
    ],
)
def test_what_cannot_be_trained_is_refused(old: str, new: str, problem: str) -> None:
    text = TEXT.format(
        optimizer=SYNC, workers=4, network="flow", problem="ridge", cost="documented", target=1e-4, epochs=8, spread=1
    )
    with pytest.raises(ScenarioErrors) as caught:
        parse_text(text.replace(old, new))
    assert any(problem in str(one) for one in caught.value.problems), caught.value.problems


def test_asynchronous_needs_a_server() -> None:
    text = TEXT.format(
        optimizer=ASYNC, workers=4, network="flow", problem="ridge", cost="documented", target=1e-4, epochs=8, spread=1
    )
    with pytest.raises(ScenarioErrors, match="has no server"):
        parse_text(text.replace("sync: {kind: parameter_server, sharding: even}", "sync: ring"))


def test_a_run_writes_curves_table_and_figures(tmp_path, capsys) -> None:
    (tmp_path / "small.yaml").write_text(
        TEXT.format(
            optimizer=SYNC, workers=2, network="flow", problem="ridge", cost="free", target=0.1, epochs=9, spread=1
        )
    )
    out = tmp_path / "out"
    assert main(["run", str(tmp_path / "small.yaml"), "--out", str(out), "--jobs", "1"]) == 0
    assert "time to" in capsys.readouterr().out
    assert {file.name for file in (out / "plots").iterdir()} == {"curves.png", "time_to_target.png"}
    curve = pd.read_parquet(out / "curves.parquet")
    assert curve["relative_gradient_norm"].iloc[-1] <= 0.1 < curve["relative_gradient_norm"].iloc[0]


def test_the_table_says_who_is_first_and_what_holds_everyone_up() -> None:
    """A first one that misses the target is nothing to be held against."""
    rows = [run(one, epochs=20, target=1e-3)[0].runs for one in (SYNC, ASYNC, "{kind: easgd, lr: 0.1, steps: 100}")]
    told = training_summary(pd.concat(rows, ignore_index=True))
    lines = {line.split()[0].split("(")[0]: line for line in told.splitlines()}
    first_s, second_s = (one["time_to_target_s"].iloc[0] for one in rows[:2])
    assert f" {first_s / second_s:.2f}x " in lines["central_vr_async"]
    assert " 1.00x " in lines["central_vr_sync"]
    assert all(lines[kind].endswith("  compute") for kind in ("central_vr_sync", "central_vr_async", "easgd"))
    assert told.endswith("the first: central_vr_sync")
    told = training_summary(pd.concat(rows[::-1], ignore_index=True))
    assert "the first" not in told


def test_a_training_that_makes_no_step_has_no_times() -> None:
    row = run(SYNC, target=10)[1]
    assert (row["status"], row["bottleneck"], row["total_s"]) == ("target", "", 0.0)
