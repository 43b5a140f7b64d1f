"""A folder with a small valid trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from netsim.workload.base import Tensor, Timing
from netsim.workload.trace import write_trace
from netsim.workload.trace_header import Origin, TraceFacts

if TYPE_CHECKING:
    from pathlib import Path


def make_folder(home: Path) -> Path:
    """Return a scenario's folder; `traces/tiny.trace` is valid, `traces/cut.trace` was cut short."""
    (home / "traces").mkdir()
    origin = Origin(
        task="tiny", device="cpu", driver="", torch="2", netsim="0", python="3", dtype="float32", date="2026-01-01",
        batch=1, threads=1,
    )  # fmt: skip
    facts = TraceFacts(
        tensors=(Tensor("b", (4,)), Tensor("a", (3, 4))),
        timing=Timing(forward_s=0.001, backward_s=0.002, optimizer_s=0.0005, ready_s=(0.001, 0.002)),
        steps=(0,),
        num_workers=2,
        losses=((1.0, 1.0),),
        origin=origin,
    )
    generator = torch.Generator().manual_seed(0)
    write_trace(
        home / "traces" / "tiny.trace",
        facts,
        (torch.randn(tensor.shape, generator=generator) for _, tensor in facts.entries()),
    )
    whole = (home / "traces" / "tiny.trace").read_bytes()
    (home / "traces" / "cut.trace").write_bytes(whole[: len(whole) - 40])
    return home
