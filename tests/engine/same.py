"""Two ways to run a job tell the same: rows of arrays, and a process a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netsim.engine.measure import measure
from netsim.engine.simulate import open_workload
from netsim.engine.worker_processes import WorkerProcesses

if TYPE_CHECKING:
    from netsim.engine.measure import Measurement
    from netsim.engine.worker_job import WorkerJob
    from netsim.scenario.schema import Scenario


def assert_as_processes(job: type[WorkerJob], point: Scenario, measured: Measurement | None = None) -> None:
    """Run a point in both ways, and hold steps, bytes, times and spans against each other."""
    measured, timing = measured or measure(point), open_workload(point.workload).timing
    rows, processes = (kind(point, point.sync, measured, timing).run() for kind in (job, WorkerProcesses))
    assert len(rows.steps) == len(processes.steps) == point.job.steps
    for one, other in zip(rows.steps, processes.steps, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
    assert rows.total_s == pytest.approx(processes.total_s, rel=1e-9)
    assert rows.link_bytes == pytest.approx(processes.link_bytes, rel=1e-9)
    assert rows.link_steps == processes.link_steps
    spans = [sorted(one.spans, key=lambda span: (span[:3], round(span.start_s, 9))) for one in (rows, processes)]
    assert [one[:3] for one in spans[0]] == [one[:3] for one in spans[1]]
    for end in (3, 4):
        assert [one[end] for one in spans[0]] == pytest.approx([one[end] for one in spans[1]], rel=1e-9, abs=1e-12)
