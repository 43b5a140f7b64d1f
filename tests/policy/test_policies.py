"""Policies: their closed forms, what they make of a simulated training, and that they follow a link that changes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsim.compress import Peer, schemes
from netsim.compress.drive import exchange
from netsim.engine.learn import learn
from netsim.engine.pace import pace
from netsim.engine.simulate import simulate
from netsim.errors import ScenarioErrors
from netsim.optim import optimizers
from netsim.policy import AdaptiveRatio, AdaptiveSteps, Measured, policies
from netsim.scenario.load import parse_text
from tests.engine.live import point, points

KEEPING = [one for one in schemes if "ratio" in {field.name for field in dataclasses.fields(schemes.get(one))}]
TOPK = "[error_feedback, {kind: topk, ratio: 0.01}]"
STAR = "{kind: star, workers: 4, bandwidth: %s, latency: 1 ms}"


def local(policy: str, epochs: int = 1, steps: int = 1) -> str:
    optimizer = f"{{kind: local_sgd, lr: 0.1, batch: 2, steps: {steps}}}"
    return f"{{optimizer: {optimizer}, max_epochs: {epochs}, every: {epochs}, gradient_time: 10 ms, policy: {policy}}}"


def sparse(policy: str, epochs: int = 2) -> str:
    optimizer = "{kind: momentum, lr: 0.1, batch: 2}"
    return f"{{optimizer: {optimizer}, max_epochs: {epochs}, every: {epochs}, gradient_time: 100 ms, policy: {policy}}}"


seconds = st.floats(0, 1e3)


@pytest.mark.parametrize("name", list(policies))
@given(times=st.lists(st.tuples(seconds, seconds, seconds, st.floats(1e-3, 64)), min_size=1, max_size=4))
def test_a_policy_answers_any_times_with_a_setting_in_its_bounds(name: str, times: list[tuple[float, ...]]) -> None:
    policy = policies.get(name)()
    seen = [
        Measured(setting, compute_s + exposed_s + coding_s, compute_s, exposed_s, exposed_s, 1.0)
        for compute_s, exposed_s, coding_s, setting in times
    ]
    found = policy.next(seen)
    assert found == policy.next(list(seen))
    assert getattr(policy, "least", 1) <= found <= policy.most
    assert policy.sets == "ratio" or found == int(found)


@given(
    compute_s=st.floats(1e-3, 1), exposed_s=st.floats(1e-3, 10), coding_s=st.floats(0, 1), share=st.floats(0.01, 0.9)
)
def test_local_steps_are_the_fewest_that_keep_the_share(
    compute_s: float, exposed_s: float, coding_s: float, share: float
) -> None:
    seen = Measured(3.0, 3 * compute_s + exposed_s + coding_s, 3 * compute_s, exposed_s, exposed_s, 1.0)
    steps = AdaptiveSteps(share=share, most=10**9).next([seen])

    def of_round(steps: float) -> float:
        return exposed_s / (steps * compute_s + exposed_s + coding_s)

    assert of_round(steps) <= share * (1 + 1e-5)
    assert steps == 1 or of_round(steps - 1) > share * (1 - 1e-5)


def test_the_ratio_comes_to_rest_where_an_affine_exchange_takes_the_share() -> None:
    """With latency a and s seconds a unit: share p = a + r s at r = (share p - a) / s; at `least` with a above that."""
    policy = AdaptiveRatio(share=0.5, rounds=1, most=1.0)

    def at_rest(latency_s: float) -> float:
        ratio = 0.01
        for _ in range(60):
            comm_s = latency_s + 2.0 * ratio
            ratio = policy.next([Measured(ratio, 0.4 + comm_s, 0.4, comm_s, comm_s, 1.0)])
        return ratio

    assert at_rest(0.05) == pytest.approx((0.2 - 0.05) / 2.0, rel=1e-6)
    assert at_rest(0.3) == policy.least


@pytest.mark.parametrize(("bandwidth", "expected"), [("1 Mbit/s", 23), ("10 Mbit/s", 4)])
def test_simulated_local_steps_keep_the_share(bandwidth: str, expected: int) -> None:
    """A ring of 4: 6 rounds of a quarter of the bytes, and of a latency; 20 ms a step."""
    result = simulate(point(train=local("{kind: adaptive_steps, share: 0.25}", 2), topology=STAR % bandwidth))
    row, last = result.runs.iloc[0], result.steps.iloc[-1]
    comm_s = 6 * (row["dense_bytes"] / 4 / (float(bandwidth.split()[0]) * 125e3) + 1e-3)
    steps = int(np.ceil(comm_s * (1 - 0.25) / 0.25 / 20e-3))
    assert last["setting"] == steps == expected
    assert last["exposed_comm_s"] / last["step_time_s"] <= 0.25
    assert last["compute_s"] == pytest.approx(steps * 20e-3)
    assert "adaptive_steps" in row["optimizer"]
    # What it is held against knows no policy.
    assert row["speedup_x"] == pytest.approx((20e-3 + comm_s) / (row["step_time_s"] * 20e-3 / row["compute_s"]))


@pytest.mark.parametrize("bandwidth", ["100 kbit/s", "300 kbit/s"])
def test_a_simulated_exchange_takes_the_share_of_the_computation(bandwidth: str) -> None:
    """A tensor sends a whole number of elements, so that seconds come in steps: 10 %."""
    train = sparse("{kind: adaptive_ratio, share: 0.6, most: 1}")
    rows = simulate(point(train=train, schemes=f"[{TOPK}]", topology=STAR % bandwidth)).steps
    assert rows["setting"].iloc[0] == 0.01
    assert rows["comm_s"].iloc[-1] / rows["compute_s"].iloc[-1] == pytest.approx(0.6, rel=0.1)


def settings_and_last_turn(bandwidth: str, slow: str, sync: str, share: float) -> tuple[list[float], dict[str, float]]:
    train = sparse(f"{{kind: adaptive_ratio, share: {share}, most: 0.25}}", 1)
    job = f"{{straggler: {{factors: {slow}}}}}"
    one = point(train=train, schemes=f"[{TOPK}]", topology=STAR % bandwidth, job=job, sync=sync)
    learned = learn(one, one.train)
    return list(learned.settings), pace(one, one.train, learned).turns[-1]


@pytest.mark.parametrize("sync", ["ring", "parameter_server"])
def test_a_straggler_on_a_fast_network_does_not_change_the_ratio(sync: str) -> None:
    """Three of four wait for 0.6 s, which no ratio shortens; the exchange itself takes a hundredth of its share."""
    alike, _ = settings_and_last_turn("10 Gbit/s", "[1]", sync, 3.0)
    slowed, turn = settings_and_last_turn("10 Gbit/s", "[1, 1, 1, 4]", sync, 3.0)
    assert slowed == alike == [0.01] + [0.25] * (len(alike) - 1)
    assert turn["comm_s"] > turn["comm_wait_s"] == pytest.approx(0.75 * 3 * 0.2, rel=1e-6)


def test_a_straggler_on_a_slow_ring_changes_the_ratio_by_what_is_computed() -> None:
    """All rounds of a ring come after its last worker has begun: share p / q, with the mean p of longer computation."""
    alike, _ = settings_and_last_turn("100 kbit/s", "[1]", "ring", 0.5)
    slowed, turn = settings_and_last_turn("100 kbit/s", "[1, 1, 1, 4]", "ring", 0.5)
    assert slowed[1] / alike[1] == pytest.approx((3 + 4) / 4, rel=1e-9)
    assert (turn["comm_s"] - turn["comm_wait_s"]) / turn["compute_s"] == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(("early", "late"), [(100, 30), (30, 100)], ids=["slower", "faster"])
def test_a_policy_follows_links_that_change_in_the_middle(early: int, late: int) -> None:
    """What it sets before is what it sets without the change, and what it sets at last what it sets with it alone."""
    profile = "[{kind: link_profile, links: [worker*], at: [%s], bandwidth: [%s kbit/s]}]"
    given = {
        "schemes": f"[{TOPK}]",
        "train": sparse("{kind: adaptive_ratio, rounds: 1}"),
        "topology": STAR % "1 Mbit/s",
    }

    def trained(at: str, kbit_per_s: object) -> tuple[np.ndarray, np.ndarray]:
        """Return the settings, and when each turn was over."""
        one = point(**given, conditions=profile % (at, kbit_per_s))
        learned = learn(one, one.train)
        return np.array(learned.settings), pace(one, one.train, learned).end_s

    before, (changed, end_s), after = (
        trained("0 s", early), trained("0 s, 2 s", f"{early} kbit/s, {late}"), trained("0 s", late)
    )  # fmt: skip
    unchanged = int((end_s < 2).sum())
    assert unchanged > 3
    assert changed[:unchanged] == pytest.approx(before[0][:unchanged], rel=1e-9)
    assert end_s[:unchanged] == pytest.approx(before[1][:unchanged], rel=1e-9)
    assert changed[-1] == pytest.approx(after[0][-1], rel=0.15)
    assert changed[-1] != pytest.approx(before[0][-1], rel=0.5)


@pytest.mark.parametrize("name", KEEPING)
def test_a_scheme_goes_on_with_another_ratio(name: str) -> None:
    often = {"period": 1} if name == "oktopk" else {}  # which holds on to its thresholds in between
    scheme = schemes.get(name)(ratio=0.02, **often)
    scheme = scheme if scheme.feeds_back else schemes.get("error_feedback")(scheme)
    peers = [Peer(rank, 2, 2, 0) for rank in range(2)]
    grads = [torch.randn(1000, generator=torch.Generator().manual_seed(rank)) for rank in range(2)]
    states = exchange(scheme, grads, [scheme.init(grads[0].shape, one) for one in peers]).states
    few = exchange(scheme, grads, states)
    more = exchange(scheme.keeping(0.2), grads, states)
    sent = [sum(message.nbits for of_worker in one.messages for message in of_worker) for one in (few, more)]
    assert sent[1] > 4 * sent[0]
    assert float((more.own[0] != 0).sum()) > 4 * float((few.own[0] != 0).sum())


def test_schemes_without_a_ratio_say_so() -> None:
    for name in schemes:
        assert name in KEEPING or schemes.get(name).example().keeping(0.5) is None, name
    assert schemes.get("warm_up")(schemes.get("topk")(), steps=2).keeping(0.5).inner.ratio == 0.5


@pytest.mark.parametrize("name", [one for one in optimizers if getattr(optimizers.get(one), "adjustable", False)])
def test_who_is_adjustable_does_as_many_local_steps_as_it_is_told(name: str) -> None:
    kind = optimizers.get(name)
    one = point(train=local("null", 4))
    problem, optimizer = one.workload.problem(4, 0), kind(batch=2)
    running = optimizer.turn(problem, optimizer.lasting(optimizer.init(problem, 0), 3))
    sent = next(running)
    assert (sent.passes, sent.updates, sent.evaluations) == (3, 3, 6)


def test_without_an_active_policy_nothing_depends_on_time() -> None:
    none, topk = points(train=sparse("adaptive_ratio"), schemes=f"[none, {TOPK}]")
    assert not learn(none, none.train).settings
    assert "adaptive" not in simulate(none).runs["optimizer"][0]
    assert len(learn(topk, topk.train).settings) == 16


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"train": sparse("adaptive_steps")}, "nothing here does local steps"),
        ({"train": local("adaptive_ratio"), "schemes": "[none, fp16]"}, "no scheme here has a ratio"),
        ({"train": sparse("adaptive_step")}, "unknown policy"),
        ({"train": local("{kind: adaptive_ratio, least: 0.5, most: 0.1}"), "schemes": "[topk]"}, "more than most"),
    ],
)
def test_a_policy_that_sets_nothing_is_refused(changes: dict[str, str], problem: str) -> None:
    with pytest.raises(ScenarioErrors) as caught:
        points(**changes)
    assert any(problem in str(one) for one in caught.value.problems), caught.value.problems


def test_an_optimizer_for_linear_models_knows_no_policy() -> None:
    text = "topology: {kind: star, workers: 2, bandwidth: 1 Gbit/s}\nworkload: {kind: ridge, samples: 9, features: 3}\n"
    with pytest.raises(ScenarioErrors, match="nothing here does local steps"):
        parse_text(text + "train: {optimizer: central_vr_sync, policy: adaptive_steps}")
