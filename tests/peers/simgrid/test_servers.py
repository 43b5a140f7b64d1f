"""Jobs over a parameter server against SimGrid, in which workers and the server's ports are actors of our own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from netsim.engine.job import run_job
from netsim.engine.measure import dense
from netsim.engine.simulate import open_workload
from netsim.engine.worker_processes import WorkerProcesses
from netsim.scenario.load import parse_text
from tests.peers.simgrid.program import built

SCENARIOS = Path(__file__).parents[3] / "scenarios"
RATE, LATENCY_S = 1.25e8, 25e-6

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Return a function that asks SimGrid; skip where it is not installed."""
    program = built(tmp_path_factory.mktemp("peer"), "traffic")

    def simulated_s(*arguments):
        words = [str(program), *map(str, arguments), "--log=root.threshold:error"]
        return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    return simulated_s


def job_of(workers, staleness, steps):
    """Return a job of one bucket, and the bytes and seconds of its step."""
    text = (
        f"topology: {{kind: star, workers: {workers}, bandwidth: 1 Gbit/s, latency: 25 us}}\n"
        "network: {kind: flow, transport: ideal}\nworkload: {kind: recorded, trace: resnet20-digits}\n"
        f"cost: {{kind: free}}\nsync: {{kind: parameter_server, staleness: {staleness}}}\n"
        f"job: {{overlap: none, first_bucket: 1 GB, steps: {steps}}}\n"
    )
    point = parse_text(text, SCENARIOS)[-1]
    gradients = open_workload(point.workload)
    measured = dense(point, gradients)
    return point, measured, gradients.timing, measured.stages[0][0][0].up_bytes[0]


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_a_synchronous_step(ask, workers):
    point, measured, timing, nbytes = job_of(workers, 0, 1)
    (row,) = run_job(point, measured, timing).steps
    expected_s = ask("server", workers, nbytes, RATE, LATENCY_S)
    assert row["exposed_comm_s"] == pytest.approx(expected_s, rel=1e-4)


@pytest.mark.parametrize(("workers", "steps"), [(5, 3), (8, 2), (32, 2)])
def test_asynchronous_workers_of_unequal_speed(ask, monkeypatch, workers, steps):
    """Few steps: who meets whom at the server multiplies differences, in 20 steps by more than the peer's clock has."""
    factors = 1 + np.arange(workers) / workers
    monkeypatch.setattr("netsim.engine.job.slowness", lambda straggler, count, rng: factors)
    point, measured, timing, nbytes = job_of(workers, "unbounded", steps)
    job = WorkerProcesses(point, point.sync, measured, timing)
    job.run()
    end_s = max(worker.rows[2 * steps - 1]["end_s"] for worker in job.workers)
    compute_s = timing.forward_s + timing.backward_s
    expected_s = ask("laps", workers, 2 * steps, nbytes, RATE, LATENCY_S, compute_s, timing.optimizer_s)
    assert end_s == pytest.approx(expected_s, rel=1e-4)
    alone_s = compute_s * factors.max() + timing.optimizer_s + 2 * (LATENCY_S + nbytes / RATE)
    assert expected_s > 1.005 * 2 * steps * alone_s, "nobody meets anybody: the comparison would say little"
