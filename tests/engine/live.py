"""Networks that train in milliseconds, and scenarios that train them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsim.scenario.load import parse_text

if TYPE_CHECKING:
    from pathlib import Path

    from netsim.scenario.schema import Scenario

GPT = "{kind: gpt-stdlib, layers: 1, width: 8, heads: 2, context: 8}"
LSTM = "{kind: lstm-stdlib, vocabulary: 40, embedding: 4, hidden: 6, layers: 1, length: 6}"
RESNET = "{kind: resnet20-digits, width: 2, blocks_per_stage: 1}"

SECTIONS = {
    "topology": "{kind: star, workers: 4, bandwidth: 1 Mbit/s, latency: 1 ms}",
    "network": "{kind: flow, transport: ideal}",
    "workload": f"{{kind: live, task: {GPT}, samples: 64, held_out: 16}}",
    "train": "{optimizer: {kind: momentum, lr: 0.1, batch: 2}, max_epochs: 1, every: 0.25, gradient_time: 1 ms}",
}


def points(folder: Path | None = None, **changes: str) -> list[Scenario]:
    """Return the points of a scenario with some sections changed."""
    return parse_text("\n".join(f"{key}: {value}" for key, value in (SECTIONS | changes).items()), folder)


def point(folder: Path | None = None, **changes: str) -> Scenario:
    """Return the last point."""
    return points(folder, **changes)[-1]
