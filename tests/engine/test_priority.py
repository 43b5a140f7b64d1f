"""Collectives by priority against closed forms, against steps in order, and against what must not change."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.engine.job import run_job
from netsim.engine.measure import dense, measure
from netsim.engine.simulate import measure_point, needs, open_workload, simulate
from netsim.engine.worker_processes import WorkerProcesses
from netsim.errors import NetsimError
from netsim.network import Analytic, Flow, Ideal
from netsim.network.transport import Ideal as IdealTransport
from netsim.network.transport import Rdma
from netsim.record.result import PARTS
from netsim.scenario.load import parse_text
from netsim.sync import Ring, Tree, syncs
from netsim.topology import Star
from netsim.workload.base import Tensor, Timing
from netsim.workload.cost import Affine, Coding
from tests.engine.live import point as live_point

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from netsim.scenario.schema import Scenario

    Make = Callable[..., Scenario]

EXACT = {"rel": 1e-9}
COLLECTIVES = [name for name in syncs if name != "parameter_server"]
COMPUTE_S, OPTIMIZER_S, WORKERS = 0.14, 0.01, 4
"""Of the small trace: a step's forward and backward pass, and its update."""


def rows_of(point: Scenario, tensors: tuple[Tensor, ...], timing: Timing) -> list[dict[str, float]]:
    gradients = SimpleNamespace(tensors=tensors, num_workers=1, num_steps=1)
    return run_job(point, dense(point, gradients), timing).steps


def steps_of(point: Scenario) -> list[dict[str, float]]:
    return run_job(point, measure(point), open_workload(point.workload).timing).steps


class TestTwoLayers:
    """Four workers in a ring at 1 MB/s: the last layer takes 0.6 s, the first, ready in the middle of it, 0.0225 s."""

    LAYERS = (Tensor("last", (100_000,)), Tensor("first", (3_750,)))
    BACKWARD_S, FORWARD_S, UPDATE_S = (0.1, 0.055), (0.03, 0.0165), 0.01
    LAST_S, FIRST_S, PIECE_S = 0.6, 0.0225, 0.06

    def step_s(self, scenario: Make, network: str, job: str, partition: str = "", latency: str = "0 s") -> float:
        point = scenario(
            topology=f"{{kind: star, workers: 4, bandwidth: 1 MB/s, latency: {latency}}}",
            network=f"{{kind: {network}, transport: ideal}}",
            sync=f"{{kind: ring{partition}}}",
            job=f"{{overlap: per_tensor, steps: 3, {job}}}",
        )
        ready_s = tuple(np.cumsum(self.BACKWARD_S))
        rows = rows_of(point, self.LAYERS, Timing(sum(self.FORWARD_S), sum(self.BACKWARD_S), self.UPDATE_S, ready_s))
        times = {row["step_time_s"] for row in rows}
        assert max(times) == pytest.approx(min(times), **EXACT), "the steady state begins with the first step told"
        return rows[0]["step_time_s"]

    @property
    def updates_s(self) -> list[float]:
        elements = np.array([one.numel for one in self.LAYERS])
        return (self.UPDATE_S * elements / elements.sum()).tolist()

    @pytest.mark.parametrize("partition", ["", ", partition: 40 kB"])
    @pytest.mark.parametrize("network", ["flow", "analytic"])
    def test_in_order_everything_waits_for_both(self, scenario: Make, network: str, partition: str) -> None:
        arrives_s = self.BACKWARD_S[0] + self.LAST_S + self.FIRST_S
        expected_s = arrives_s + self.UPDATE_S + sum(self.FORWARD_S)
        assert self.step_s(scenario, network, "scheduling: order", partition) == pytest.approx(expected_s, **EXACT)

    @pytest.mark.parametrize("network", ["flow", "analytic"])
    def test_a_whole_bucket_under_way_is_not_interrupted(self, scenario: Make, network: str) -> None:
        """The first layer still comes last; only the update of the last one is hidden behind its exchange."""
        arrives_s = self.BACKWARD_S[0] + self.LAST_S + self.FIRST_S
        expected_s = arrives_s + self.updates_s[1] + sum(self.FORWARD_S)
        assert self.step_s(scenario, network, "scheduling: priority") == pytest.approx(expected_s, **EXACT)

    @pytest.mark.parametrize("network", ["flow", "analytic"])
    def test_the_first_layer_overtakes_after_the_piece_under_way(self, scenario: Make, network: str) -> None:
        """Ready 0.055 s after the last layer, within its first piece of ten: its forward pass is then hidden."""
        first_s = self.BACKWARD_S[0] + self.PIECE_S + self.FIRST_S
        last_s = self.BACKWARD_S[0] + self.LAST_S + self.FIRST_S
        assert first_s + self.updates_s[1] + self.FORWARD_S[1] < last_s
        expected_s = last_s + self.updates_s[0] + self.FORWARD_S[0]
        found_s = self.step_s(scenario, network, "scheduling: priority", ", partition: 40 kB")
        assert found_s == pytest.approx(expected_s, **EXACT)

    @pytest.mark.parametrize("scheduling", ["order", "priority"])
    def test_every_piece_pays_its_latency(self, scenario: Make, scheduling: str) -> None:
        """A ring of 4 has 6 rounds; ten pieces have 54 more of them than one."""
        job = f"scheduling: {scheduling}"
        without_s, with_s = (self.step_s(scenario, "flow", job, ", partition: 40 kB", one) for one in ("0 s", "1 ms"))
        assert with_s - without_s == pytest.approx(11 * 6 * 1e-3, **EXACT)

    def test_nothing_is_won_where_nothing_can_overlap(self, scenario: Make) -> None:
        """Without overlap the last layer, of the largest gradient, goes last, and only its forward pass is left."""
        in_order_s, found_s = (
            self.step_s(scenario, "flow", f"grad_accumulation: 2, {job}", ", partition: 40 kB")
            for job in ("scheduling: order", "scheduling: priority")
        )
        hidden_s = self.FORWARD_S[1] + self.updates_s[1]
        assert in_order_s - found_s == pytest.approx(hidden_s, **EXACT)
        assert found_s > 2 * (sum(self.FORWARD_S) + sum(self.BACKWARD_S))


@pytest.mark.parametrize("scheduling", ["order", "priority"])
def test_what_sends_nothing_is_updated_all_the_same(scenario: Make, scheduling: str) -> None:
    """An optimizer's local turn has no buckets, but its computation and its update."""
    point = scenario(job=f"{{steps: 2, scheduling: {scheduling}}}")
    for row in rows_of(point, (), Timing(0.04, 0.1, OPTIMIZER_S, ())):
        assert row["optimizer_s"] == pytest.approx(OPTIMIZER_S, **EXACT)
        assert row["step_time_s"] == pytest.approx(COMPUTE_S + OPTIMIZER_S, **EXACT)


BUCKETS = st.lists(st.tuples(st.integers(1, 50_000), st.sampled_from([0.0, 1e-3, 0.02, 0.1])), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def base(small_trace: Path) -> Scenario:
    text = (
        f"topology: {{kind: star, workers: 4, bandwidth: 1 MB/s}}\nworkload: {{kind: recorded, trace: {small_trace}}}\n"
    )
    return parse_text(text, small_trace.parent)[-1]


@settings(max_examples=25, deadline=None)
@given(
    layers=BUCKETS,
    forward_s=st.sampled_from([0.0, 1e-3, 0.05, 0.2]),
    optimizer_s=st.sampled_from([0.0, 1e-3, 0.05]),
    workers=st.integers(1, 5),
    sync=st.sampled_from([Ring(), Ring(partition=4e4), Tree(), Tree(partition=4e4)]),
    overhead_s=st.sampled_from([0.0, 1e-3]),
    network=st.sampled_from([Flow(), Analytic()]),
)
def test_bounds_of_any_layers(base, layers, forward_s, optimizer_s, workers, sync, overhead_s, network):
    """No step is shorter than what is done in it, nor longer than its work over no network.

    One bucket goes by priority as in order; over a tree, where workers finish one after another, those that finish
    early need not wait for the others to begin. What is ready together is no slower by priority.
    """
    tensors = tuple(Tensor(str(place), (elements,)) for place, (elements, _) in enumerate(layers))
    ready_s = tuple(np.cumsum([seconds for _, seconds in layers]).tolist())
    timing = Timing(forward_s, ready_s[-1], optimizer_s, ready_s)
    topology = Star(workers=workers, bandwidth=1e6, latency=1e-4)
    point = replace(
        base, topology=topology, transport=Rdma(overhead=0.0, call_overhead=overhead_s), network=network, sync=sync
    )

    def step(overlap, scheduling, one=point):
        job = replace(base.job, overlap=overlap, scheduling=scheduling, steps=1)
        return rows_of(replace(one, job=job), tensors, timing)[0]

    def step_s(*what):
        return step(*what)["step_time_s"]

    compute_s = forward_s + ready_s[-1]
    work_s, row = compute_s + optimizer_s, step("per_tensor", "priority")
    assert row["compute_s"] == pytest.approx(compute_s, rel=1e-9)
    # An update that ends after the backward pass is the next step's.
    assert row["step_time_s"] >= (compute_s + row["optimizer_s"]) * (1 - 1e-9)
    by_priority_s, in_order_s = step_s("ddp", "priority"), step_s("ddp", "order")
    assert by_priority_s <= in_order_s * (1 + 1e-9)
    if isinstance(sync, Ring):
        assert by_priority_s == pytest.approx(in_order_s, rel=1e-9, abs=1e-12)
        assert step_s("none", "priority") <= step_s("none", "order") * (1 + 1e-9)
    free = replace(point, network=Ideal(), transport=IdealTransport())
    assert step_s("per_tensor", "priority", free) == pytest.approx(work_s, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", COLLECTIVES)
def test_bytes_are_those_of_whole_buckets_in_order(scenario: Make, name: str) -> None:
    told = []
    for partition, keys in (("", ""), (", partition: 10 kB", ", scheduling: priority")):
        point = scenario(sync=f"{{kind: {name}{partition}}}", job=f"{{overlap: per_tensor, steps: 2{keys}}}")
        gradients = open_workload(point.workload)
        record = run_job(point, dense(point, gradients), gradients.timing)
        steps = record.link_steps or len(record.steps)
        told.append([[row["wire_bytes_per_worker"] for row in record.steps], (record.link_bytes / steps).tolist()])
    assert told[1][0] == pytest.approx(told[0][0], **EXACT)
    assert told[1][1] == pytest.approx(told[0][1], **EXACT)
    assert told[0][0][0] > 0


@pytest.mark.parametrize("name", COLLECTIVES)
@pytest.mark.parametrize(("scheme", "workers"), [("fp16", 6), ("{kind: powersgd, rank: 2}", 4)])
def test_served_in_order_they_are_the_exchanges_of_a_step(scenario: Make, name: str, scheme: str, workers: int) -> None:
    """The same workers served in bucket order finish each exchange when the arrays of `step.py` say.

    Of six, some finish before others and go on. Of two collectives of a bucket, the second waits until all call it.
    """
    job = f"{{overlap: {'per_tensor' if workers == 6 else 'ddp'}, steps: 1}}"
    topology = f"{{kind: star, workers: {workers}, bandwidth: 10 Mbit/s, latency: 1 ms}}"
    sync = f"{{kind: {name}, partition: 1 kB}}"
    point = scenario(schemes=f"[{scheme}]", sync=sync, job=job, topology=topology)
    measured, timing = measure(point), open_workload(point.workload).timing
    rows, processes = run_job(point, measured, timing), WorkerProcesses(point, point.sync, measured, timing).run()
    ends = [
        {one[:3]: one.end_s for one in record.spans if one.what in {"communicate", "decode"}}
        for record in (rows, processes)
    ]
    assert len(ends[0]) == 2 * workers * len(measured.buckets)
    assert ends[0] == pytest.approx(ends[1], **EXACT)
    for column in ("comm_latency_s", "wire_bytes_per_worker"):
        assert processes.steps[0][column] == pytest.approx(rows.steps[0][column], **EXACT)


@pytest.mark.parametrize("keys", ["{kind: ring, partition: 1 kB}", "tree", "all_to_all", "hierarchical"])
def test_the_parts_of_every_step_add_up(scenario: Make, keys: str) -> None:
    job = "{overlap: per_tensor, scheduling: priority, straggler: {distribution: uniform, spread: 0.3}}"
    for scheme in ("[error_feedback, topk]", "{kind: powersgd, rank: 1}", "qsgd"):
        for row in steps_of(scenario(schemes=f"[{scheme}]", sync=keys, job=job)):
            assert sum(row[part] for part in PARTS) == pytest.approx(row["step_time_s"], **EXACT)
            assert min(row[part] for part in PARTS) >= 0
            assert row["exposed_comm_s"] > 0


def test_coding_costs_a_step_its_sum(scenario: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network of no time, five tensors of two collectives are encoded and decoded once each, 1 and 2 ms."""
    flat = Coding(Affine(1e-3, 0.0, 0.0), Affine(2e-3, 0.0, 0.0))
    point = scenario(
        schemes="[{kind: powersgd, rank: 1}]",
        network="{kind: ideal}",
        job="{overlap: per_tensor, scheduling: priority}",
        sync="{kind: ring, partition: 100 B}",
    )
    monkeypatch.setattr(type(point.cost), "coding", lambda self, kind: flat)
    row = steps_of(point)[0]
    assert (row["encode_s"], row["decode_s"]) == pytest.approx((5e-3, 10e-3), **EXACT)
    assert row["step_time_s"] == pytest.approx(COMPUTE_S + OPTIMIZER_S + 15e-3, **EXACT)


def test_an_exchange_begins_when_the_slowest_has_called_it(scenario: Make) -> None:
    """One bucket, one worker twice as slow: no share is sent before, and the fast ones wait in every step."""
    job = "{overlap: none, scheduling: priority, straggler: {factors: [1, 1, 1, 2]}}"
    exchange_s = 6 * (1e-3 + 4 * 5002 / 4 / 1.25e6)
    for row in steps_of(scenario(job=job)):
        assert row["step_time_s"] == pytest.approx(2 * COMPUTE_S + OPTIMIZER_S + exchange_s, **EXACT)
        assert row["compute_s"] == pytest.approx(1.25 * COMPUTE_S, **EXACT)


def test_conditions_befall_steps_that_overlap(scenario: Make) -> None:
    job = "{overlap: per_tensor, scheduling: priority}"
    half = "[{kind: link_profile, links: ['*'], at: [0 s], bandwidth: [5 Mbit/s]}]"
    slow = scenario(job=job, topology="{kind: star, workers: 4, bandwidth: 5 Mbit/s, latency: 1 ms}")
    for one, other in zip(steps_of(scenario(job=job, conditions=half)), steps_of(slow), strict=True):
        assert one["step_time_s"] == pytest.approx(other["step_time_s"], **EXACT)
    failing = "[{kind: node_failure, nodes: [worker1], at: 400 ms, duration: 50 ms}]"
    rows = steps_of(scenario(job=job, conditions=failing))
    assert sum(row["lost_s"] for row in rows) == pytest.approx(0.05 / WORKERS, **EXACT)
    for row in rows:
        assert sum(row[part] for part in PARTS) == pytest.approx(row["step_time_s"], **EXACT)


HEAD = "topology: {kind: star, workers: 4, bandwidth: 1 Gbit/s}\n"
REPLAY = HEAD + "workload: {kind: recorded, trace: %s}\njob: {scheduling: priority%s}\n"
TRAIN = HEAD + "workload: {kind: %s}\ntrain: {optimizer: %s}\n"
MISTAKES = {
    "checkpoints": (
        REPLAY % ("tiny", ", checkpoint: {every: 10}"),
        ("job.scheduling: keeps no checkpoints", "scheduling: order"),
    ),
    "vectors": (
        TRAIN % ("ridge", "central_vr_sync") + "sync: {kind: ring, partition: 1 kB}\n",
        ("`partition` has no effect", "remove it"),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_remedy(small_trace: Path, name: str) -> None:
    text, words = MISTAKES[name]
    with pytest.raises(NetsimError) as caught:
        parse_text(text.replace("tiny", str(small_trace)), small_trace.parent)
    for word in words:
        assert word in str(caught.value)


def test_turns_by_priority_know_no_conditions() -> None:
    failure = "[{kind: link_failure, links: [worker0], at: 1 s, duration: 2 s}]"
    with pytest.raises(NetsimError, match=r"job.scheduling: .*turns by priority are timed one by one"):
        live_point(job="{scheduling: priority}", conditions=failure)


def test_turns_of_a_training_are_shorter_by_priority() -> None:
    """One measurement serves both: what is learned does not depend on who goes first."""
    one, other = (
        live_point(job=f"{{overlap: per_tensor, scheduling: {scheduling}}}") for scheduling in ("order", "priority")
    )
    measured = [measure_point(point) for point in needs(one)]
    in_order_s, by_priority_s = (simulate(point, *measured).runs.step_time_s.iloc[0] for point in (one, other))
    assert by_priority_s < in_order_s * (1 - 1e-3)


def test_spans_tell_of_one_step_and_of_one_exchange_at_a_time(scenario: Make) -> None:
    """By priority, spans are what workers do from one backward pass's end to the next."""
    point = scenario(sync="{kind: ring, partition: 1 kB}", job="{overlap: per_tensor, scheduling: priority, steps: 1}")
    record = run_job(point, measure(point), open_workload(point.workload).timing)
    row = record.steps[0]
    for worker in range(WORKERS):
        mine = sorted((one for one in record.spans if one.worker == worker), key=lambda one: one.start_s)
        assert {one.what for one in mine} == {"forward", "backward", "communicate", "optimizer"}
        worked = union_s([one[3:] for one in mine if one.what != "communicate"])
        assert worked == pytest.approx(COMPUTE_S + OPTIMIZER_S, **EXACT)
        assert row["exposed_comm_s"] == pytest.approx(row["step_time_s"] - worked, **EXACT)
        sent = [one[3:] for one in mine if one.what == "communicate"]
        assert union_s(sent) == pytest.approx(sum(end_s - start_s for start_s, end_s in sent), **EXACT)
        layers = [one.bucket for one in mine if one.what == "forward"]
        assert layers == sorted(layers, reverse=True)
        assert max(one.end_s for one in mine) == pytest.approx(row["step_time_s"], **EXACT)


def union_s(intervals: list[tuple[float, float]]) -> float:
    """Return the seconds that lie in any of the intervals, which are in order of their begin."""
    covered_s, until_s = 0.0, 0.0
    for start_s, end_s in intervals:
        covered_s += max(end_s - max(start_s, until_s), 0.0)
        until_s = max(until_s, end_s)
    return covered_s
