from __future__ import annotations

import pytest
import torch
from netsim.workload.base import Tensor, Timing
from netsim.workload.trace import write_trace
from netsim.workload.trace_header import Origin, TraceFacts

SCENARIO = """\
about: a small model on four workers
topology: {kind: star, workers: 4, bandwidth: 1 Gbit/s}
workload: {kind: recorded, trace: small}
schemes: [none, fp16, [error_feedback, {kind: topk, ratio: 0.1}]]
sync: [ring, parameter_server]
job: {steps: 2}
cost: free
sweep: {topology.bandwidth: [100 Mbit/s, 10 Gbit/s]}
"""


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder with a scenario and its trace."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "traces").mkdir()
    tensors = (Tensor("head.weight", (64, 100)), Tensor("body.weight", (300, 100)), Tensor("body.bias", (100,)))
    origin = Origin(
        task="small", device="made up", driver="", torch="0", netsim="0", python="3", dtype="float32",
        date="2026-01-01", batch=8, threads=1, seed=0,
    )  # fmt: skip
    timing = Timing(2e-3, 4e-3, 1e-4, (1e-3, 3e-3, 4e-3))
    facts = TraceFacts(
        tensors=tensors, timing=timing, steps=(0, 5), num_workers=4, losses=((1.0,) * 4, (0.5,) * 4), origin=origin
    )
    generator = torch.Generator().manual_seed(0)
    gradients = (torch.randn(tensor.shape, generator=generator) for _, tensor in facts.entries())
    write_trace(folder / "traces" / "small.trace", facts, gradients)
    (folder / "small.yaml").write_text(SCENARIO)
    return folder


@pytest.fixture
def at_home(home, monkeypatch):
    monkeypatch.chdir(home)
    return home
