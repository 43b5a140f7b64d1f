"""What lies on a server is what is sent to it: clustered non-zeros and unlike messages make servers unequal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from netsim.engine.coding import Coding
from netsim.engine.job import run_job
from netsim.engine.measure import measure
from netsim.network.run import plan_times
from netsim.workload.base import Timing
from netsim.workload.trace import write_trace
from tests.traces import small_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.scenario.schema import Scenario

    Make = Callable[..., Scenario]

WORKERS, BANDWIDTH, LATENCY_S = 4, 1e6 / 8, 1e-3
SHAPES = (("head", (40, 64)), ("body", (64, 64)), ("stem", (320,)))
TENSORS = [2560, 4096, 320]
SPARSE = ["sparcml", "{kind: omnireduce, block: 4}", "{kind: oktopk, ratio: 0.05}", "zen"]
EXACT = {"rel": 1e-9}


@pytest.fixture
def clustered(tmp_path: Path) -> Path:
    """Return a trace whose non-zeros, half of those that could be, lie in the first eighth of each tensor."""
    facts = small_facts(SHAPES, Timing(0.0, 0.3, 0.0, (0.1, 0.2, 0.3)), steps=(0,), losses=((1.0,) * WORKERS,))
    draw = torch.Generator().manual_seed(1)
    grads = []
    for _, one in facts.entries():
        first = torch.arange(one.numel).reshape(one.shape) < one.numel / 8
        grads.append(torch.randn(one.shape, generator=draw) * first * (torch.rand(one.shape, generator=draw) < 0.5))
    path = tmp_path / "clustered.trace"
    write_trace(path, facts, grads)
    return path


def over(make: Make, trace: Path, scheme: str, sharding: str, **sections: str) -> Scenario:
    given = {
        "topology": f"{{kind: star, workers: {WORKERS}, bandwidth: 1 Mbit/s, latency: 1 ms}}",
        "workload": f"{{kind: recorded, trace: {trace}}}",
        "sync": f"{{kind: parameter_server, servers: 2, sharding: {sharding}}}",
        "schemes": f"[[{scheme}]]",
        "job": "{overlap: none, steps: 1}",
        "cost": "{kind: free}",
    }
    return make(**(given | sections))


def exchange_s(point: Scenario) -> float:
    gradients = point.workload.open()
    return run_job(point, measure(point), gradients.timing).steps[0]["comm_s"]


def plan_s(point: Scenario) -> float:
    """Return the seconds of the collectives of the one bucket as plans, one after another."""
    topology = point.topology.build(point.sync.dedicated_servers)
    nodes = np.concatenate([topology.workers, topology.servers])
    stages = Coding(point, measure(point)).exchanges(0, 0)
    rounds = [point.sync.rounds(one.payload, topology.workers, topology.servers) for one in stages]
    return sum(plan_times(point.network, topology, point.transport, one, nodes)[:WORKERS].max() for one in rounds)


@pytest.mark.parametrize("coding", ["tensor", "bucket"])
@pytest.mark.parametrize("scheme", SPARSE[:2])
def test_the_server_of_the_clustered_range_bounds_the_exchange(
    scenario: Make, clustered: Path, scheme: str, coding: str
) -> None:
    """All lies in the first half: server 0 gets every byte of all workers, and hands every byte to each of them."""
    point = over(scenario, clustered, scheme, "even", job=f"{{overlap: none, steps: 1, coding_unit: {coding}}}")
    (stage,) = measure(point).stages[0][0]
    if coding == "tensor":
        np.testing.assert_array_equal(stage.up_shares, [[1, 0]] * WORKERS)
    bytes_in, bytes_out = (stage.up_bytes * stage.up_shares[:, 0]).sum(), stage.down_bytes * stage.down_shares[0]
    expected_s = (bytes_in + WORKERS * bytes_out) / BANDWIDTH + 2 * LATENCY_S
    assert exchange_s(point) == pytest.approx(expected_s, **EXACT)
    even_s = (stage.up_bytes.sum() + WORKERS * stage.down_bytes) / 2 / BANDWIDTH + 2 * LATENCY_S
    assert expected_s > (1.8 if coding == "tensor" else 1.2) * even_s


@pytest.mark.parametrize("scheme", SPARSE)
@pytest.mark.parametrize("sharding", ["even", "tensor", "even, partition: 1 kB"])
def test_rows_processes_and_plans_send_the_same(scenario: Make, clustered: Path, scheme: str, sharding: str) -> None:
    """With a credit workers are processes: they push and pull the bytes of rows, which are those of the messages."""
    by_rows = over(scenario, clustered, scheme, sharding)
    by_processes = replace(by_rows, job=replace(by_rows.job, credit=1e9))
    measured, gradients = measure(by_rows), by_rows.workload.open()
    rows, processes = (run_job(one, measured, gradients.timing) for one in (by_rows, by_processes))
    stages = measured.stages[0][0]
    assert rows.steps[0]["wire_bytes_per_worker"] == pytest.approx(sum(one.up_bytes.mean() for one in stages), **EXACT)
    down = sum(one.down_bytes if one.op == "owner" else one.up_bytes.max() for one in stages)
    out_of = [place for place, name in enumerate(rows.link_names) if name.startswith("server")]
    assert rows.link_bytes[out_of].sum() == pytest.approx(WORKERS * down, **EXACT)
    np.testing.assert_allclose(processes.link_bytes, rows.link_bytes, rtol=1e-9)
    if "partition" not in sharding:
        assert rows.steps[0]["comm_s"] == pytest.approx(plan_s(by_rows), **EXACT)
        assert processes.steps[0]["comm_s"] == pytest.approx(plan_s(by_rows), **EXACT)


@pytest.mark.parametrize("scheme", [*SPARSE, "{kind: topk, ratio: 0.01}", "{kind: powersgd, rank: 1}", "qsgd"])
def test_by_tensor_servers_get_the_messages_of_their_tensors(scenario: Make, clustered: Path, scheme: str) -> None:
    """Tensors 0 and 2 on server 0, 1 on server 1: bytes by brute force, each tensor measured in a bucket of its own."""
    whole = over(scenario, clustered, scheme, "tensor")
    alone = over(scenario, clustered, scheme, "tensor", job="{overlap: per_tensor, steps: 1}")
    expected = np.zeros((WORKERS, 2))
    for bucket, stages in zip(measure(alone).buckets, measure(alone).stages[0], strict=True):
        expected[:, bucket.first % 2] += sum(stage.up_bytes for stage in stages)
    pushed = np.zeros((WORKERS, 2))
    coding = Coding(whole, measure(whole))
    for one in coding.exchanges(0, 0):
        for piece in coding.pieces(0):
            pushed[:, piece.server] += one.payload.pushed(piece, np.arange(WORKERS))
    np.testing.assert_allclose(pushed, expected, rtol=1e-9)


def test_whole_messages_of_a_bucket_have_no_tensors(scenario: Make, clustered: Path) -> None:
    """Coded as one, and partitioned by the bytes of the gradient: shares are those of elements."""
    for sharding, unit in (("tensor", "bucket"), ("'partition', partition: 8 kB", "tensor"), ("'hash'", "bucket")):
        point = over(scenario, clustered, "sparcml", sharding, job=f"{{overlap: none, coding_unit: {unit}}}")
        coding = Coding(point, measure(point))
        (one,) = coding.exchanges(0, 0)
        for piece in coding.pieces(0):
            np.testing.assert_allclose(one.payload.pushed(piece, np.arange(4)), one.payload.up_bytes * piece.share)
            assert one.payload.pulled(piece) == pytest.approx(one.payload.down_bytes * piece.share)
