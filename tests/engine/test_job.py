"""A step's time against closed forms worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from netsim.engine.measure import dense, replay
from netsim.engine.simulate import open_workload, simulate
from netsim.errors import ScenarioErrors
from netsim.record.result import PARTS
from netsim.scenario.schema import Job
from netsim.sync.base import syncs
from netsim.workload.cost import Affine, Coding

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.record.result import Result
    from netsim.scenario.schema import Scenario

FORWARD_S, BACKWARD_S, OPTIMIZER_S = 0.04, 0.1, 0.01
DENSE_BYTES = 4 * (10 + 640 + 64 + 4096 + 192)
BANDWIDTH, LATENCY_S, WORKERS = 10e6 / 8, 1e-3, 4


def step_time_s(result: Result) -> float:
    return float(result.runs.step_time_s.iloc[0])


def ring_s(nbytes: float, workers: int = WORKERS) -> float:
    return 2 * (workers - 1) * (LATENCY_S + nbytes / workers / BANDWIDTH)


def test_without_overlap_a_step_is_compute_then_ring_then_update(scenario: Callable[..., Scenario]) -> None:
    result = simulate(scenario(job="{overlap: none}"))
    want_s = FORWARD_S + BACKWARD_S + ring_s(DENSE_BYTES) + OPTIMIZER_S
    assert step_time_s(result) == pytest.approx(want_s, rel=1e-9)


def test_one_bucket_is_ready_with_its_last_gradient(scenario: Callable[..., Scenario]) -> None:
    """All 20 kB fit DDP's first bucket, which is ready when backward ends: overlap hides nothing."""
    result = simulate(scenario())
    assert step_time_s(result) == pytest.approx(FORWARD_S + BACKWARD_S + ring_s(DENSE_BYTES) + OPTIMIZER_S, rel=1e-9)


def test_per_tensor_exchanges_follow_one_another(scenario: Callable[..., Scenario]) -> None:
    sizes, ready_s = (10, 640, 64, 4096, 192), (0.01, 0.02, 0.05, 0.08, 0.1)
    free_s = 0.0
    for elements, ready in zip(sizes, ready_s, strict=True):
        free_s = max(free_s, FORWARD_S + ready) + ring_s(4 * elements)
    result = simulate(scenario(job="{overlap: per_tensor}"))
    assert step_time_s(result) == pytest.approx(max(free_s, FORWARD_S + BACKWARD_S) + OPTIMIZER_S, rel=1e-9)


def test_buckets_cut_as_ddp_does(scenario: Callable[..., Scenario]) -> None:
    """First bucket closes at 1 kB: 10 + 640 elements; the next at 10 kB: 64 + 4096; the last tensor stays alone."""
    result = simulate(scenario(job="{first_bucket: 1 kB, bucket: 10 kB}"))
    free_s = 0.0
    for elements, ready in ((650, 0.02), (4160, 0.08), (192, 0.1)):
        free_s = max(free_s, FORWARD_S + ready) + ring_s(4 * elements)
    assert step_time_s(result) == pytest.approx(free_s + OPTIMIZER_S, rel=1e-9)


def test_micro_batches_share_one_exchange(scenario: Callable[..., Scenario]) -> None:
    one, four = simulate(scenario()), simulate(scenario(job="{grad_accumulation: 4}"))
    assert step_time_s(four) - step_time_s(one) == pytest.approx(3 * (FORWARD_S + BACKWARD_S), rel=1e-9)


def test_one_server_is_the_incast_bound(scenario: Callable[..., Scenario]) -> None:
    result = simulate(scenario(sync="parameter_server"))
    exchange_s = 2 * (LATENCY_S + WORKERS * DENSE_BYTES / BANDWIDTH)
    add_s = WORKERS * aggregate_s(scenario(sync="parameter_server"))
    want_s = FORWARD_S + BACKWARD_S + exchange_s + add_s + OPTIMIZER_S
    assert step_time_s(result) == pytest.approx(want_s, rel=1e-9)


def aggregate_s(point: Scenario) -> float:
    return sum(point.cost.aggregate()(elements) for elements in (10, 640, 64, 4096, 192))


def test_the_slowest_worker_holds_everyone_up(scenario: Callable[..., Scenario]) -> None:
    point = scenario(job="{straggler: {distribution: lognormal, spread: 0.5}, steps: 2}")
    result = simulate(point)
    for step, row in result.steps.iterrows():
        factor = np.exp(np.random.default_rng((point.seed, step)).normal(0.0, 0.5, WORKERS))
        slowest_s = factor.max() * (FORWARD_S + BACKWARD_S)
        exchange_s = row.step_time_s - slowest_s - OPTIMIZER_S
        # The others' shares may already be on their way, but nobody finishes before the slowest has joined.
        assert LATENCY_S < exchange_s <= ring_s(DENSE_BYTES) * (1 + 1e-9)
        assert row.compute_s == pytest.approx(factor.mean() * (FORWARD_S + BACKWARD_S), rel=1e-9)


class TestCodingCosts:
    """Encode 1 ms and decode 2 ms a call, whatever the size: 5 tensors are 5 calls."""

    @pytest.fixture(autouse=True)
    def _cost(self, monkeypatch: pytest.MonkeyPatch, scenario: Callable[..., Scenario]) -> None:
        flat = Coding(Affine(1e-3, 0.0, 0.0), Affine(2e-3, 0.0, 0.0))
        point = scenario(schemes="[topk]")
        monkeypatch.setattr(type(point.cost), "coding", lambda self, kind: flat)
        monkeypatch.setattr(type(point.cost), "aggregate", lambda self: Affine(3e-3, 0.0, 0.0))

    def test_every_gathered_message_is_decoded(self, scenario: Callable[..., Scenario]) -> None:
        row = simulate(scenario(schemes="[topk]")).runs.iloc[0]
        assert row.encode_s == pytest.approx(5e-3, rel=1e-9)
        assert row.decode_s == pytest.approx(WORKERS * 5 * 2e-3, rel=1e-9)

    def test_a_sum_is_decoded_once(self, scenario: Callable[..., Scenario]) -> None:
        row = simulate(scenario(schemes="[fp16]")).runs.iloc[0]
        assert (row.encode_s, row.decode_s) == pytest.approx((5e-3, 10e-3), rel=1e-9)

    def test_a_flat_bucket_is_one_call(self, scenario: Callable[..., Scenario]) -> None:
        row = simulate(scenario(schemes="[topk]", job="{coding_unit: bucket}")).runs.iloc[0]
        assert (row.encode_s, row.decode_s) == pytest.approx((1e-3, WORKERS * 2e-3), rel=1e-9)

    def test_a_wrapper_costs_on_top(self, scenario: Callable[..., Scenario]) -> None:
        row = simulate(scenario(schemes="[[error_feedback, fp16]]")).runs.iloc[0]
        assert (row.encode_s, row.decode_s) == pytest.approx((10e-3, 20e-3), rel=1e-9)

    def test_warm_up_steps_cost_nothing(self, scenario: Callable[..., Scenario]) -> None:
        steps = simulate(scenario(schemes="[[{kind: warm_up, steps: 2}, fp16]]")).steps
        assert list(steps.encode_s[:2]) == [0.0, 0.0]
        assert steps.encode_s[2] > 0

    def test_a_server_decodes_adds_and_workers_decode_the_aggregate(self, scenario: Callable[..., Scenario]) -> None:
        point = scenario(schemes="[topk]", sync="parameter_server", network="{kind: ideal}", job="{overlap: none}")
        row = simulate(point).runs.iloc[0]
        server_s = WORKERS * 5 * (2e-3 + 3e-3)
        assert row.exposed_comm_s == pytest.approx(server_s, rel=1e-9)
        assert row.decode_s == pytest.approx(5 * 2e-3, rel=1e-9)

    def test_encoding_delays_the_gradients_that_are_still_to_come(self, scenario: Callable[..., Scenario]) -> None:
        """Per tensor, on a network of no time: five encodes and five decodes stretch the step by just their sum."""
        point = scenario(schemes="[fp16]", network="{kind: ideal}", job="{overlap: per_tensor}")
        want_s = FORWARD_S + BACKWARD_S + 5 * 1e-3 + 5 * 2e-3 + OPTIMIZER_S
        assert step_time_s(simulate(point)) == pytest.approx(want_s, rel=1e-9)

    def test_powersgd_encodes_before_each_of_its_two_sums(self, scenario: Callable[..., Scenario]) -> None:
        row = simulate(scenario(schemes="[{kind: powersgd, rank: 1}]")).runs.iloc[0]
        assert (row.encode_s, row.decode_s) == pytest.approx((5e-3, 10e-3), rel=1e-9)


SCHEMES = "[none, fp16, topk, [error_feedback, topk], randomk, qsgd, {kind: powersgd, rank: 2}, scaled_sign]"


@pytest.mark.parametrize("sync", list(syncs))
@pytest.mark.parametrize("overlap", ["ddp", "none", "per_tensor"])
def test_the_parts_of_every_step_add_up(
    scenario: Callable[..., Scenario], small_trace: object, sync: str, overlap: str
) -> None:
    for scheme in SCHEMES.strip("[]").split(", "):
        chosen = {"[error_feedback": "[error_feedback, topk]", "topk]": "topk", "{kind: powersgd": "powersgd"}
        if scheme == "rank: 2}":
            continue
        result = simulate(
            scenario(
                schemes=f"[{chosen.get(scheme, scheme)}]",
                sync=sync,
                job=f"{{overlap: {overlap}, straggler: {{distribution: uniform, spread: 0.3}}}}",
            )
        )
        for table in (result.runs, result.steps):
            assert table[list(PARTS)].sum(axis=1).to_numpy() == pytest.approx(table.step_time_s.to_numpy(), rel=1e-9)
        row = result.runs.iloc[0]
        assert (result.steps[list(PARTS)] >= 0).all().all()
        assert row.speedup_x <= row.headroom_x * (1 + 1e-9)
        assert row.step_time_s >= max(row.compute_s, 0.0)
        if row.scheme == "none":
            assert row.speedup_x == 1.0


def test_dense_sizes_are_those_that_none_really_sends(scenario: Callable[..., Scenario]) -> None:
    point = scenario()
    gradients = open_workload(point.workload)
    real, assumed = replay(point, gradients), dense(point, gradients)
    assert real.buckets == assumed.buckets
    assert max(real.rel_error) < 1e-6
    for of_real, of_assumed in zip(real.stages, assumed.stages, strict=True):
        for one, other in zip(of_real, of_assumed, strict=True):
            assert [stage.op for stage in one] == [stage.op for stage in other]
            assert [stage.up_bytes.tolist() for stage in one] == [stage.up_bytes.tolist() for stage in other]


def test_ring_sends_its_closed_form_of_bytes(scenario: Callable[..., Scenario]) -> None:
    row = simulate(scenario()).runs.iloc[0]
    assert row.wire_bytes_per_worker == pytest.approx(2 * DENSE_BYTES * (WORKERS - 1) / WORKERS, rel=1e-12)
    assert row.dense_bytes == DENSE_BYTES
    assert row.compression_x == 1.0


def test_more_workers_than_captured_is_marked(scenario: Callable[..., Scenario]) -> None:
    few, many = (scenario(topology=f"{{kind: star, workers: {n}, bandwidth: 1 Gbit/s}}") for n in (4, 5))
    assert not simulate(few).runs.extrapolated.iloc[0]
    assert simulate(many).runs.extrapolated.iloc[0]


def test_one_worker_sends_nothing(scenario: Callable[..., Scenario]) -> None:
    row = simulate(scenario(topology="{kind: star, workers: 1, bandwidth: 1 Gbit/s}")).runs.iloc[0]
    assert row.wire_bytes_per_worker == 0
    assert row.step_time_s == pytest.approx(FORWARD_S + BACKWARD_S + OPTIMIZER_S, rel=1e-9)


def test_the_job_is_a_default_of_ddp() -> None:
    assert replace(Job(), steps=3) == Job()
    assert (Job().bucket, Job().first_bucket) == (25 * 2**20, 2**20)


def test_links_and_spans_tell_of_the_same_step(scenario: Callable[..., Scenario]) -> None:
    result = simulate(scenario(schemes="[fp16]"))
    per_worker = result.links[result.links.link.str.startswith("worker")].bytes_per_step
    assert per_worker.to_numpy() == pytest.approx(result.runs.wire_bytes_per_worker.iloc[0])
    assert ((result.links.utilisation >= 0) & (result.links.utilisation <= 1)).all()
    spans = result.spans
    assert (spans.end_s >= spans.start_s).all()
    assert spans.end_s.max() == pytest.approx(result.steps.step_time_s[0])
    assert set(spans.what) == {"forward", "backward", "encode", "communicate", "decode", "optimizer"}


def test_large_exchanges_are_no_baselines(scenario: Callable[..., Scenario], monkeypatch: pytest.MonkeyPatch) -> None:
    """An all-to-all of 4 has 12 transfers in each of two rounds; a ring has none that are solved one by one."""
    point = scenario(sync="parameter_server")
    monkeypatch.setattr("netsim.engine.simulate.MANY_WORKERS", 2)
    for most, left_out in ((23, {"all_to_all", "double_binary_tree"}), (1000, set[str]())):
        monkeypatch.setattr("netsim.engine.simulate.MOST_TRANSFERS", most)
        result = simulate(point)
        assert set(result.provenance["not_compared"]) == left_out
        steps_s = [step_time_s(simulate(scenario(sync=name))) for name in syncs if name not in left_out]
        assert result.runs.vs_best_dense_x.iloc[0] == pytest.approx(min(steps_s) / step_time_s(result), rel=1e-9)


def test_more_workers_than_memory_holds_in_an_all_to_all_are_refused(scenario: Callable[..., Scenario]) -> None:
    with pytest.raises(ScenarioErrors, match="8,192 workers send each other 67,100,672 messages"):
        scenario(topology="{kind: star, workers: 8192, bandwidth: 1 Gbit/s}", sync="all_to_all")
