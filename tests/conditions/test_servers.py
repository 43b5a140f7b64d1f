"""Parameter servers that keep checkpoints: what a failure of a worker or of a server costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from netsim.engine.job import run_job
from netsim.engine.measure import dense
from netsim.engine.simulate import open_workload
from netsim.errors import NetsimError, ScenarioErrors
from netsim.record.result import PARTS

SERVERS = {
    "rows": ("{kind: parameter_server, servers: 2, sharding: even}", ""),
    "processes": ("{kind: parameter_server, servers: 2, sharding: even}", ", credit: 1 MB"),
    "machines": ("{kind: parameter_server, servers: 2, sharding: even, local_aggregation: true}", ""),
    "colocated": ("{kind: parameter_server, servers: 4, placement: colocated, sharding: even}", ""),
}
CLUSTER = "{kind: gpu_cluster, machines: 2, gpus_per_machine: 2, bandwidth: 10 Mbit/s, hop_bandwidth: 40 Mbit/s}"
FAST = "{kind: star, workers: 4, bandwidth: 1000 Tbit/s, latency: 0 s}"
FAILS = "[{kind: node_failure, nodes: [%s], at: %s s, duration: 2 s}]"


def record(point):
    gradients = open_workload(point.workload)
    return run_job(point, dense(point, gradients), gradients.timing)


def steps(point):
    """Return the rows of a job; its parts are the whole, and its steps are its time."""
    done = record(point)
    table = pd.DataFrame(done.steps)
    np.testing.assert_allclose(table[list(PARTS)].sum(axis=1), table["step_time_s"], rtol=1e-9)
    return table, done


def job(kind, **fields):
    sync, more = SERVERS[kind]
    given = {"topology": CLUSTER} if kind == "machines" else {}
    return given | {"sync": sync, "job": f"{{{', '.join(f'{key}: {value}' for key, value in fields.items())}{more}}}"}


@pytest.mark.parametrize("node", ["worker1", "server1"])
@pytest.mark.parametrize("kind", SERVERS)
def test_the_last_checkpoint_is_where_a_synchronous_job_goes_on(scenario, kind, node):
    """As with a collective: the third step is done and messages of the fourth are under way when a node fails."""
    if kind == "colocated" and node == "server1":
        node = "worker3"
    step_s = steps(scenario(**job(kind, steps=1)))[0]["step_time_s"][0]
    crash_s = 2 * step_s + 0.03 + step_s + 0.15
    table, done = steps(
        scenario(
            conditions=FAILS % (node, crash_s),
            **job(kind, steps=4, checkpoint="{every: 2, write: 30 ms, restart: 500 ms}"),
        )
    )
    lost_s = step_s + 0.15 + 2 + 0.5
    np.testing.assert_allclose(table["step_time_s"], [step_s, step_s + 0.03, step_s + lost_s, step_s + 0.03], rtol=1e-9)
    np.testing.assert_allclose(table["lost_s"], [0, 0.03, lost_s, 0.03], rtol=1e-9, atol=1e-12)
    assert table["step"].tolist() == [0, 1, 2, 3]
    assert done.total_s == pytest.approx(table["step_time_s"].sum())
    assert {one.bucket for one in done.spans if one.what == "communicate"} == {0}


@pytest.mark.parametrize("kind", ["rows", "processes"])
@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_same_failures_cost_the_same_as_with_a_collective_of_the_same_step_time(scenario, kind, seed):
    """Where messages take no time, step for step."""
    given = {
        "topology": FAST,
        "seed": seed,
        "conditions": "[{kind: node_failure, nodes: ['worker*'], mean_time_between: 2 s, duration: 40 ms}]",
    }
    fields = {"steps": 12, "checkpoint": "{every: 3, write: 10 ms, restart: 20 ms}"}
    ring, _ = steps(scenario(**given, **(job(kind, **fields) | {"sync": "ring", "job": job("rows", **fields)["job"]})))
    server, _ = steps(scenario(**given, cost="{kind: free}", **job(kind, **fields)))
    assert ring["lost_s"].sum() > 0.5
    for key in ("step_time_s", "lost_s", "compute_s"):
        np.testing.assert_allclose(server[key], ring[key], rtol=1e-6)


def test_who_waits_at_a_checkpoint_for_slower_workers_is_accounted_for(scenario):
    """Steps of a server job need no barrier, a checkpoint does: its rows are the time of the job all the same."""
    slow = "[{kind: link_profile, links: [worker0], at: [0 s], bandwidth: [1 Mbit/s]}]"
    given = {"steps": 6, "straggler": "{distribution: uniform, spread: 0.5}"}
    free, _ = steps(scenario(conditions=slow, **job("rows", **given)))
    checkpoint = "{every: 2, write: 10 ms}"
    table, done = steps(scenario(conditions=slow, **job("rows", **given, checkpoint=checkpoint)))
    assert done.total_s == pytest.approx(table["step_time_s"].sum(), rel=1e-9)
    assert table["lost_s"].tolist() == pytest.approx([0, 0.01] * 3)
    assert table["step_time_s"].sum() > free["step_time_s"].sum() + 0.03


def test_a_server_job_that_gets_nowhere_says_so(scenario):
    failures = "[{kind: node_failure, nodes: [server0], at: 50 ms, every: 100 ms, duration: 1 ms}]"
    with pytest.raises(NetsimError, match="gets nowhere"):
        record(scenario(conditions=failures, **job("rows", steps=1, checkpoint="{every: 1}")))


@pytest.mark.slow
def test_random_failures_cost_what_daly_says(scenario):
    """A saved stretch of S seconds takes (1/rate + D)(exp(rate S) - 1) in the mean (Daly 2006, FGCS 22, eq. 13)."""
    rate, down_s, every, stretches = 1.0, 0.5, 2, 700
    failures = f"[{{kind: node_failure, nodes: [server1], mean_time_between: {1 / rate} s, duration: {down_s} s}}]"
    step_s = steps(scenario(**job("rows", steps=1)))[0]["step_time_s"][0]
    checkpoint = f"{{every: {every}, write: 100 ms}}"
    total_s = record(
        scenario(conditions=failures, **job("rows", steps=every * stretches, checkpoint=checkpoint))
    ).total_s
    expected_s = stretches * (1 / rate + down_s) * (np.exp(rate * (every * step_s + 0.1)) - 1)
    assert total_s == pytest.approx(expected_s, rel=0.07)


def test_steps_that_overlap_keep_no_checkpoints(scenario):
    with pytest.raises(ScenarioErrors, match="keeps no checkpoints"):
        scenario(**job("rows", steps=2, scheduling="priority", checkpoint="{every: 1}"))
