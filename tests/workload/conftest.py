from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from netsim.workload.base import Timing
from netsim.workload.tasks import GptStdlib, LstmStdlib, Resnet20Digits
from netsim.workload.trace import write_trace
from tests.traces import small_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from netsim.workload.trace import TraceFacts

from netsim.workload import capture as capturing

SHAPES = (("fc.bias", (3,)), ("fc.weight", (3, 5)), ("scale", ()), ("nothing", (0, 4)))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Compute with one thread: small models are slower with two, much slower beside other test processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capturing, "THREADS", 1)
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def facts() -> TraceFacts:
    timing = Timing(forward_s=0.5, backward_s=1.0, optimizer_s=0.25, ready_s=(0.0, 0.5, 0.5, 0.75))
    return small_facts(SHAPES, timing, steps=(2, 7, 30), losses=((1.5, 1.25), (0.5, None), (0.25, 0.125)))


@pytest.fixture
def gradients(facts: TraceFacts) -> list[torch.Tensor]:
    """Every gradient of the trace, in the order of its entries, bit patterns of all kinds among them."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(tensor.shape, generator=generator) for _, tensor in facts.entries()]
    made[1].view(-1)[:4] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    return made


@pytest.fixture
def trace(tmp_path: Path, facts: TraceFacts, gradients: list[torch.Tensor]) -> Path:
    path = tmp_path / "small.trace"
    write_trace(path, facts, gradients)
    return path


@pytest.fixture
def rewrite(trace: Path) -> Callable[[Callable[[dict[str, Any]], object]], Path]:
    """Return a function that edits a trace's header (metadata values decoded) and keeps the rest of the file."""

    def edit(change: Callable[[dict[str, Any]], object]) -> Path:
        data = trace.read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:end])
        metadata = header["__metadata__"]
        header["__metadata__"] = {
            key: value if key == "format" else json.loads(value) for key, value in metadata.items()
        }
        change(header)
        if isinstance(header.get("__metadata__"), dict):
            header["__metadata__"] = {
                key: value if key == "format" else json.dumps(value) for key, value in header["__metadata__"].items()
            }
        text = json.dumps(header).encode()
        trace.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])
        return trace

    return edit


@pytest.fixture(scope="session", params=["resnet20-digits", "gpt-stdlib", "lstm-stdlib"])
def small_task(request: pytest.FixtureRequest) -> Any:
    """Every built-in task, small."""
    return {
        "resnet20-digits": Resnet20Digits(width=4, blocks_per_stage=1),
        "gpt-stdlib": GptStdlib(layers=1, width=16, heads=2, context=16),
        "lstm-stdlib": LstmStdlib(embedding=4, hidden=8, layers=1, length=8),
    }[request.param]
