"""Facts of small traces, whose origin no test asks about but by what it writes into it itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsim.workload.base import Tensor, Timing
from netsim.workload.trace import Origin, TraceFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

ORIGIN = Origin(
    task="test",
    device="a device",
    driver="a driver",
    torch="2",
    netsim="0",
    python="3",
    dtype="float32",
    date="2026-01-01",
    batch=4,
    threads=2,
    seed=0,
)


def small_facts(
    shapes: Sequence[tuple[str, tuple[int, ...]]],
    timing: Timing,
    steps: tuple[int, ...],
    losses: tuple[tuple[float | None, ...], ...],
) -> TraceFacts:
    """Return the facts of a trace of tensors of these names and shapes, with losses [steps][workers]."""
    return TraceFacts(
        tensors=tuple(Tensor(name, shape) for name, shape in shapes),
        timing=timing,
        steps=steps,
        num_workers=len(losses[0]),
        losses=losses,
        origin=ORIGIN,
    )
