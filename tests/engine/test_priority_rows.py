"""Workers by priority as rows of arrays against workers as processes: the same jobs, told the same to rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from netsim.engine.measure import measure
from netsim.engine.priority_rows import PriorityRows
from netsim.engine.simulate import open_workload
from netsim.errors import Deadlock
from tests.engine.same import assert_as_processes
from tests.engine.test_stuck import Losing

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.scenario.schema import Scenario

UNEQUAL = "straggler: {distribution: lognormal, spread: 0.5}"
MACHINES = "{kind: gpu_cluster, machines: 2, gpus_per_machine: 3, bandwidth: 10 Mbit/s, hop_bandwidth: 1 GB/s}"
BY = "scheduling: priority, overlap: per_tensor"
CASES: dict[str, dict[str, str]] = {
    "equal workers": {},
    "unequal workers": {"job": f"{{{BY}, {UNEQUAL}}}"},
    "one bucket": {"job": f"{{scheduling: priority, {UNEQUAL}}}"},
    "several batches": {"job": f"{{{BY}, grad_accumulation: 3, {UNEQUAL}}}"},
    "pieces": {"sync": "{kind: ring, partition: 1 kB}", "job": f"{{{BY}, {UNEQUAL}}}"},
    "a tree": {"sync": "tree", "job": f"{{{BY}, {UNEQUAL}}}"},
    "all to all": {"sync": "all_to_all", "job": f"{{{BY}}}"},
    "several messages": {"schemes": "[{kind: powersgd, rank: 1}]", "job": f"{{{BY}, {UNEQUAL}}}"},
    "coding": {"schemes": "[[error_feedback, {kind: topk, ratio: 0.1}]]", "job": f"{{{BY}, {UNEQUAL}}}"},
    "encoded anew": {"schemes": "[[two_way, rms_sign]]", "sync": "all_to_all", "job": f"{{{BY}, {UNEQUAL}}}"},
    "calls and overheads": {"network": "{kind: flow, transport: gloo}", "job": f"{{{BY}, {UNEQUAL}}}"},
    "machines": {"topology": MACHINES, "job": f"{{{BY}, {UNEQUAL}}}", "sync": "hierarchical"},
    "bounds": {"network": "{kind: analytic, transport: tcp}", "job": f"{{{BY}, {UNEQUAL}}}"},
    "no time": {"network": "{kind: ideal}", "job": f"{{{BY}, {UNEQUAL}}}"},
    "workers that fail": {
        "conditions": "[{kind: node_failure, nodes: ['worker*'], mean_time_between: 300 ms, duration: 50 ms}]",
        "job": f"{{{BY}, {UNEQUAL}}}",
    },
    "links that vary": {
        "conditions": "[{kind: link_profile, links: [worker1], at: [0 s, 0.2 s], bandwidth: [10 Mbit/s, 3 Mbit/s]}]",
        "job": f"{{{BY}, {UNEQUAL}}}",
    },
}


@pytest.mark.parametrize("case", CASES)
def test_rows_tell_what_processes_tell(scenario: Callable[..., Scenario], case: str) -> None:
    point = scenario(**({"job": f"{{{BY}}}"} | CASES[case]))
    assert_as_processes(PriorityRows, point)


@pytest.mark.parametrize("silent", [(0, 2), (0, 1, 2, 3, 4), None])
def test_rows_and_processes_update_what_is_not_sent(
    scenario: Callable[..., Scenario], silent: tuple[int, ...] | None
) -> None:
    """Buckets of which nothing is sent are updated beside the others, and at the end where there are none."""
    point = scenario(job=f"{{{BY}, {UNEQUAL}}}")
    measured, timing = measure(point), open_workload(point.workload).timing
    if silent is None:
        measured = replace(measured, buckets=(), sizes=(), units=(), stages=((),) * point.job.steps)
    else:
        kept = [tuple(() if at in silent else one for at, one in enumerate(step)) for step in measured.stages]
        measured = replace(measured, stages=tuple(kept))
    assert_as_processes(PriorityRows, point, measured)
    if silent != (0, 2):
        steps = PriorityRows(point, point.sync, measured, timing).run().steps
        assert [one["optimizer_s"] for one in steps] == pytest.approx([timing.optimizer_s] * len(steps), rel=1e-9)


def test_a_job_that_cannot_go_on_lists_who_waits_for_what(scenario: Callable[..., Scenario]) -> None:
    point = replace(scenario(job=f"{{{BY}}}"), network=Losing())
    with pytest.raises(Deadlock, match="worker 3 waits for bucket 4"):
        PriorityRows(point, point.sync, measure(point), open_workload(point.workload).timing).run()
