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


ASYNC = "{kind: parameter_server, servers: 2, sharding: even, staleness: %s}"
STEP_S = 0.15


def asynchronous(scenario, conditions, staleness="unbounded", count=6, **fields):
    """Return the rows of an asynchronous job whose messages take no time: steps of STEP_S."""
    checkpoint = fields.pop("checkpoint", "{every: 2, restart: 500 ms}")
    more = "".join(f", {key}: {value}" for key, value in fields.items())
    return steps(
        scenario(
            topology=FAST,
            cost="{kind: free}",
            sync=ASYNC % staleness,
            conditions=conditions,
            job=f"{{steps: {count}, checkpoint: {checkpoint}{more}}}",
        )
    )


class TestAsynchronous:
    @pytest.mark.parametrize("more", [{}, {"credit": "1 MB"}])
    def test_a_worker_that_fails_loses_its_step_and_others_go_on(self, scenario, more):
        """It is in the middle of step 8: half a step, 2 s and 0.5 s are lost, then it begins the step anew."""
        table, _ = asynchronous(scenario, FAILS % ("worker1", 8.5 * STEP_S), **more)
        own, others = table[table["worker"] == 1], table[table["worker"] != 1]
        np.testing.assert_allclose(others["step_time_s"], STEP_S, rtol=1e-6)
        assert (others["lost_s"] == 0).all()
        lost_s = 0.5 * STEP_S + 2.5
        np.testing.assert_allclose(own["lost_s"], [0, 0, lost_s, 0, 0, 0], rtol=1e-6)
        np.testing.assert_allclose(own["step_time_s"] - own["lost_s"], STEP_S, rtol=1e-6)
        assert own["step"].tolist() == list(range(6, 12))
        # Others did their six, and what fits into what it has lost, but for a step that ends at that instant.
        assert len(others) == pytest.approx(3 * (6 + lost_s / STEP_S), abs=3)

    def test_it_comes_back_with_the_model_of_the_moment(self, scenario):
        """It gets 4 bytes a weight, 20 kB at 10 Mbit/s, and of a server's link its share."""
        slow = scenario(
            sync=ASYNC % "unbounded",
            conditions=FAILS % ("worker1", 3.0),
            job="{steps: 8, checkpoint: {every: 2}}",
        )
        table, _ = steps(slow)
        own = table[(table["worker"] == 1) & (table["lost_s"] > 0)]
        begin_s = float(own["begin_s"].iloc[0])
        fetch_s = own["lost_s"].iloc[0] - (3.0 - begin_s) - 2.0
        nbytes = 4 * 5002
        assert nbytes / 1.25e6 + 1e-3 <= fetch_s < 4 * (nbytes / 1.25e6 + 2e-3)

    def test_throughput_falls_by_the_failed_workers_share(self, scenario):
        """Down for 40 % of the time, one of four: a tenth of all steps, and what its failures undo."""
        outage = "[{kind: node_failure, nodes: [worker1], at: 1.5 s, every: 3 s, duration: 1.2 s}]"
        table, _ = asynchronous(scenario, outage, checkpoint="{every: 2}", count=36)
        horizon_s = table["end_s"].max() - table["begin_s"].min()
        rate = len(table) / horizon_s
        own_s = table[table["worker"] == 1]["lost_s"].sum()
        assert rate == pytest.approx((4 - own_s / horizon_s) / STEP_S, rel=0.02)
        failures = (table["lost_s"] > 0).sum()
        assert failures > 2
        assert failures * 1.2 < own_s < failures * (1.2 + STEP_S) + 1e-6

    def test_others_wait_for_it_at_their_bound(self, scenario):
        table, _ = asynchronous(scenario, FAILS % ("worker1", 8.5 * STEP_S), staleness="2")
        others = table[table["worker"] == 0]
        # Two steps ahead of its eighth, the ninth to eleventh are done before the next is answered.
        assert others["exposed_comm_s"].max() == pytest.approx(
            0.5 * STEP_S + 2.5 - 2 * STEP_S + 0.5 * STEP_S, abs=STEP_S
        )
        assert (others["step_time_s"] > 2 * STEP_S).sum() == 1

    def test_a_server_that_fails_takes_all_back(self, scenario):
        """Saved after the eighth step, it fails in the middle of the tenth: all lose a step and a half."""
        table, done = asynchronous(scenario, FAILS % ("server1", 9.5 * STEP_S))
        lost_s = 1.5 * STEP_S + 2.5
        for worker in range(4):
            own = table[table["worker"] == worker]
            np.testing.assert_allclose(own["lost_s"], [0, 0, lost_s, 0, 0, 0], rtol=1e-6, atol=1e-12)
            np.testing.assert_allclose(own["step_time_s"] - own["lost_s"], STEP_S, rtol=1e-6)
        assert done.total_s == pytest.approx(12 * STEP_S + lost_s, rel=1e-6)

    def test_what_comes_while_servers_save_waits(self, scenario):
        """For 1 s after every second step of all: the third step's messages come 0.14 s later."""
        table, _ = asynchronous(scenario, "[]", checkpoint="{every: 2, write: 1 s}")
        own = table[table["worker"] == 0]["step_time_s"].to_numpy()
        assert sorted(own) == pytest.approx(3 * [STEP_S] + 3 * [1.0 + 0.01], rel=1e-3)

    def test_a_checkpoint_that_is_being_saved_is_none(self, scenario):
        """The server fails while it saves what all have done in eight steps: back to the sixth."""
        at_s = 8 * STEP_S + 0.05
        table, _ = asynchronous(scenario, FAILS % ("server0", at_s), checkpoint="{every: 2, write: 100 ms}")
        lost = table[table["lost_s"] > 0]
        assert lost["step"].tolist() == 4 * [6]
        np.testing.assert_allclose(lost["lost_s"], 2 * STEP_S + 0.05 + 2.0, rtol=1e-6)

    def test_a_worker_that_fails_again_before_it_is_back(self, scenario):
        twice = "[{kind: node_failure, nodes: [worker1], at: 100 ms, every: 60 ms, duration: 50 ms}]"
        with pytest.raises(NetsimError, match="worker 1's failures in a row"):
            asynchronous(scenario, twice)

    @pytest.mark.parametrize(("after_s", "lasts_s"), [(0.0, 0.1), (0.5, 0.1)])
    def test_a_shorter_failure_within_another_changes_nothing(self, scenario, after_s, lasts_s):
        """Whichever comes first at an instant: the worker is back when it is up, and no sooner."""
        at_s = 8.5 * STEP_S
        one = FAILS.strip("[]") % ("worker1", at_s)
        other = f"{{kind: node_failure, nodes: [worker1], at: {at_s + after_s} s, duration: {lasts_s} s}}"
        alone, *both = (asynchronous(scenario, f"[{', '.join(some)}]") for some in ([one], [one, other], [other, one]))
        for table, done in both:
            pd.testing.assert_frame_equal(table, alone[0])
            assert done.total_s == alone[1].total_s

    def test_a_machine_that_adds_up_cannot_go_on_without_its_worker(self, scenario):
        with pytest.raises(ScenarioErrors, match="cannot go on without it"):
            scenario(
                topology=CLUSTER,
                sync="{kind: parameter_server, servers: 2, local_aggregation: true, staleness: 1}",
                job="{checkpoint: {every: 1}}",
            )
