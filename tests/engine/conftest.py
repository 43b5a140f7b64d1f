from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from netsim.scenario.load import parse_text
from netsim.workload.base import Timing
from netsim.workload.trace import write_trace
from tests.traces import small_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.scenario.schema import Scenario

SHAPES = (
    ("head.bias", (10,)),
    ("head.weight", (10, 64)),
    ("norm", (64,)),
    ("body.weight", (64, 64)),
    ("stem", (64, 3)),
)
READY_S = (0.01, 0.02, 0.05, 0.08, 0.1)


@pytest.fixture(scope="session")
def small_trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a trace of 5 tensors (5,002 elements), 4 workers that agree in part, 3 steps."""
    timing = Timing(forward_s=0.04, backward_s=0.1, optimizer_s=0.01, ready_s=READY_S)
    facts = small_facts(SHAPES, timing, steps=(0, 5, 10), losses=((1.0,) * 4,) * 3)
    generator = torch.Generator().manual_seed(1)
    common = {tensor: torch.randn(tensor.shape, generator=generator) for tensor in facts.tensors}
    gradients = [common[tensor] + torch.randn(tensor.shape, generator=generator) for _, tensor in facts.entries()]
    path = tmp_path_factory.mktemp("traces") / "small.trace"
    write_trace(path, facts, gradients)
    return path


@pytest.fixture
def scenario(small_trace: Path) -> Callable[..., Scenario]:
    """Return a function from YAML sections to the last point of a scenario on the small trace."""

    def make(**sections: str) -> Scenario:
        given = {
            "topology": "{kind: star, workers: 4, bandwidth: 10 Mbit/s, latency: 1 ms}",
            "network": "{kind: flow, transport: ideal}",
            "workload": f"{{kind: recorded, trace: {small_trace}}}",
        } | sections
        text = "\n".join(f"{key}: {value}" for key, value in given.items())
        return parse_text(text, small_trace.parent)[-1]

    return make
