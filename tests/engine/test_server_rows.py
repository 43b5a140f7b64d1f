"""Workers as rows of arrays against workers as processes: the same jobs, told the same to rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netsim.engine.measure import measure
from netsim.engine.server_rows import ServerRows, keeps_to
from netsim.engine.simulate import open_workload
from netsim.engine.worker_processes import WorkerProcesses
from netsim.errors import Deadlock
from tests.engine.same import assert_as_processes
from tests.engine.test_stuck import Losing

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.scenario.schema import Scenario

UNEQUAL = "straggler: {distribution: lognormal, spread: 0.5}"
MACHINES = "{kind: gpu_cluster, machines: 2, gpus_per_machine: 3, bandwidth: 10 Mbit/s, hop_bandwidth: 1 GB/s}"
CASES = {
    "one server": {},
    "unequal workers": {"job": f"{{first_bucket: 3 kB, {UNEQUAL}}}"},
    "tensor by tensor": {"job": f"{{overlap: per_tensor, {UNEQUAL}}}", "sync": ", servers: 2"},
    "pieces": {"sync": ", servers: 3, sharding: hash, partition: 1 kB", "job": f"{{first_bucket: 3 kB, {UNEQUAL}}}"},
    "co-located": {"sync": ", servers: 3, placement: colocated", "job": f"{{overlap: per_tensor, {UNEQUAL}}}"},
    "several messages": {"schemes": "[{kind: powersgd, rank: 1}]", "job": f"{{overlap: per_tensor, {UNEQUAL}}}"},
    "messages of unequal size": {"schemes": "[[error_feedback, {kind: adaptive_threshold}]]"},
    "encoded anew": {"schemes": "[[two_way, rms_sign]]", "sync": ", servers: 2, sharding: even"},
    "calls and overheads": {"network": "{kind: flow, transport: gloo}", "job": "{overlap: per_tensor}"},
    "machines": {"topology": MACHINES, "job": f"{{overlap: per_tensor, {UNEQUAL}}}"},
    "bounds": {"network": "{kind: analytic, transport: tcp}", "job": f"{{overlap: per_tensor, {UNEQUAL}}}"},
    "workers that fail": {
        "conditions": "[{kind: node_failure, nodes: ['worker*'], mean_time_between: 1 s, duration: 50 ms}]"
    },
    "links that vary": {
        "conditions": "[{kind: link_profile, links: [worker1], at: [0 s, 0.2 s], bandwidth: [10 Mbit/s, 3 Mbit/s]}]"
    },
}


def test_the_latency_of_an_exchange_is_that_of_its_time(scenario: Callable[..., Scenario]) -> None:
    """Each way's first half is 0.5 ms until worker 1's becomes 20 ms, which counts from the next step on."""
    profile = "[{kind: link_profile, links: [worker1->switch], at: [0.2 s], latency: [20 ms]}]"
    point = scenario(sync="{kind: parameter_server}", conditions=profile, job=f"{{overlap: per_tensor, {UNEQUAL}}}")
    assert_as_processes(ServerRows, point)
    job = ServerRows(point, point.sync, measure(point), open_workload(point.workload).timing)
    last = job.run().steps[-1]
    assert last["comm_latency_s"] >= (3 * 2e-3 + 21.5e-3) / 4 - 1e-12


@pytest.mark.parametrize("case", CASES)
def test_rows_are_what_processes_are(scenario: Callable[..., Scenario], case: str) -> None:
    given = dict(CASES[case])
    point = scenario(sync=f"{{kind: parameter_server{given.pop('sync', '')}}}", **given)
    assert keeps_to(point.sync, point.job)
    assert_as_processes(ServerRows, point)


@pytest.mark.parametrize("scheduling", ["order", "priority"])
def test_a_stuck_job_lists_who_waits(scenario: Callable[..., Scenario], scheduling: str) -> None:
    from dataclasses import replace

    point = replace(scenario(sync="parameter_server", job=f"{{scheduling: {scheduling}}}"), network=Losing())
    kind = ServerRows if keeps_to(point.sync, point.job) else WorkerProcesses
    job = kind(point, point.sync, measure(point), open_workload(point.workload).timing)
    with pytest.raises(Deadlock) as error:
        job.run()
    assert all(f"worker {worker} waits for bucket 0" in str(error.value) for worker in range(4))
