"""What a device is told to have done: one thing at a time, and each kind as long as its account says."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from netsim.conditions import NodeFailure
from netsim.engine.job import run_job
from netsim.engine.measure import measure
from netsim.engine.simulate import open_workload
from netsim.engine.spans import READY, Span, as_done
from netsim.report.trace_events import trace_events
from netsim.scenario.schema import Straggler
from netsim.workload.cost import Affine, Coding, CostModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.scenario.schema import Scenario

SERVERS = "{kind: parameter_server, servers: 2, sharding: even%s}"
JOBS = {
    "collectives": ("ring", "{overlap: per_tensor, steps: 1}"),
    "collectives by priority": ("ring", "{overlap: per_tensor, scheduling: priority, steps: 1}"),
    "servers": (SERVERS % "", "{overlap: per_tensor, steps: 1}"),
    "servers under a credit": (SERVERS % "", "{overlap: per_tensor, steps: 1, credit: 4 kB}"),
    "servers by priority": (SERVERS % "", "{overlap: per_tensor, scheduling: priority, steps: 1}"),
    "servers that wait for nobody": (SERVERS % ", staleness: unbounded", "{overlap: per_tensor, steps: 1}"),
}  # fmt: skip


KINDS = {"forward": "compute", "backward": "compute", "down": "lost"}
EXACT = {"rel": 1e-9, "abs": 1e-12}


class Flat(CostModel):
    """The same seconds for every call."""

    def __init__(self, encode_s: float, decode_s: float) -> None:
        self._coding = Coding(Affine(encode_s, 0.0, 0.0), Affine(decode_s, 0.0, 0.0))

    def coding(self, _: object) -> Coding:
        return self._coding

    def aggregate(self) -> Affine:
        return Affine(0.0, 0.0, 0.0)

    def source(self) -> str:
        return "flat"


def test_what_comes_in_between_splits_what_it_interrupts() -> None:
    """Encoding of 4 s that ends at 9 s, decoding from 3 to 5 s, down from 6 to 7 s: 2 to 3, 5 to 6, 7 to 9 s."""
    noted = [
        Span(0, READY, 1, 5.0, 9.0), Span(0, "decode", 0, 3.0, 5.0), Span(0, "backward", -1, 1.0, 10.0),
        Span(0, "down", -1, 6.0, 7.0), Span(0, "communicate", 2, 0.0, 10.0), Span(1, "backward", -1, 1.0, 10.0),
    ]  # fmt: skip
    done = as_done(noted)
    assert [one[3:] for one in done if one.what == "encode"] == [(2.0, 3.0), (5.0, 6.0), (7.0, 9.0)]
    assert [one[3:] for one in done if one[:2] == (0, "backward")] == [(1.0, 2.0), (9.0, 10.0)]
    assert {one.bucket for one in done if one.what == "encode"} == {1}
    untouched = {Span(0, "decode", 0, 3.0, 5.0), *noted[3:]}
    assert untouched < set(done)


def perfetto(spans: list[Span]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = trace_events(pd.DataFrame(spans), [], [], "")["traceEvents"]
    return events


@pytest.mark.parametrize("job", list(JOBS))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    encode_s=st.floats(1e-3, 0.02),
    decode_s=st.floats(1e-4, 0.01),
    bandwidth=st.floats(1e5, 1e8),
    slow=st.floats(1, 2),
    scheme=st.sampled_from(["topk", "powersgd"]),
    down_s=st.floats(0, 0.2),
)
@example(encode_s=0.02, decode_s=0.01, bandwidth=1e8, slow=1.0, scheme="topk", down_s=0.0)
def test_a_device_does_one_thing_at_a_time_and_its_spans_add_up(
    scenario: Callable[..., Scenario],
    job: str,
    encode_s: float,
    decode_s: float,
    bandwidth: float,
    slow: float,
    scheme: str,
    down_s: float,
) -> None:
    sync, doing = JOBS[job]
    scheme = "topk" if "staleness" in sync else scheme  # whose workers need not agree on anything
    point = scenario(schemes=f"[{scheme}]", sync=sync, job=doing)
    failure = NodeFailure(nodes=("worker1",), at=0.09, duration=down_s)
    point = replace(
        point,
        cost=Flat(encode_s, decode_s),
        topology=replace(point.topology, bandwidth=bandwidth),
        job=replace(point.job, straggler=Straggler(factors=(1.0, slow))),
        conditions=(failure,) if down_s > 1e-3 else (),
    )
    record = run_job(point, measure(point), open_workload(point.workload).timing)
    told: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for worker in range(4):
        mine = [one for one in record.spans if one.worker == worker and one.what != "communicate"]
        for before, after in pairwise(sorted(mine, key=lambda one: one.start_s)):
            assert after.start_s >= before.end_s, (before, after)
        for one in mine:
            told[worker][KINDS.get(one.what, one.what)] += one.end_s - one.start_s
    names = [one["args"]["name"] for one in perfetto(record.spans) if one["name"] == "thread_name"]
    assert {one for one in names if one[-1].isdigit()} <= {one for one in names if "network" in one}
    kinds = ("compute", "encode", "decode", "optimizer", "lost")
    if "worker" not in record.steps[0]:
        row = {kind: record.steps[0][f"{kind}_s"] for kind in kinds}
        assert {kind: sum(one[kind] for one in told.values()) / 4 for kind in kinds} == pytest.approx(row, **EXACT)
        return
    rows = {one["worker"]: one for one in record.steps if one["step"] == 1}
    assert rows
    for worker, one in rows.items():
        row = {kind: one[f"{kind}_s"] for kind in kinds}
        assert {kind: told[worker][kind] for kind in kinds} == pytest.approx(row, **EXACT)
