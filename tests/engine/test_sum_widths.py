"""Sums are as wide as the simulated workers need, not those whose gradients were captured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netsim.engine.measure import measure

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.scenario.schema import Scenario

ELEMENTS = 10 + 640 + 64 + 4096 + 192
ROTATED = 16 + 1024 + 64 + 4096 + 256
"""Elements of the tensors, each rounded up to a power of two."""


@pytest.mark.parametrize(
    ("scheme", "workers", "nbits"),
    [
        # Digits -1, 0, 1 of n workers add up to one of 2 n + 1 numbers.
        ("{kind: terngrad, scale: shared}", 4, 4 * ELEMENTS),
        ("{kind: terngrad, scale: shared}", 64, 8 * ELEMENTS),
        ("{kind: terngrad, scale: shared}", 600, 11 * ELEMENTS),
        # 8-bit integers hold the signs of 127 workers.
        ("{kind: pactrain, pruned: 0.0, ternary: true}", 127, 8 * ELEMENTS),
        ("{kind: pactrain, pruned: 0.0, ternary: true}", 128, 16 * ELEMENTS),
    ],
)
def test_messages_that_are_summed(scenario: Callable[..., Scenario], scheme: str, workers: int, nbits: int) -> None:
    point = scenario(
        topology=f"{{kind: star, workers: {workers}, bandwidth: 1 Gbit/s}}", schemes=f"[{scheme}]", job="{steps: 2}"
    )
    bucket = measure(point).stages[1][0]
    assert bucket[-1].up_bytes.max() == pytest.approx(nbits / 8, abs=5)


@pytest.mark.parametrize(("workers", "nbits"), [(4, 8), (64, 11), (1000, 15)])
def test_sums_of_table_values_that_owners_hand_out(scenario: Callable[..., Scenario], workers: int, nbits: int) -> None:
    """A worker's table value is at most 30."""
    point = scenario(
        topology=f"{{kind: star, workers: {workers}, bandwidth: 1 Gbit/s}}",
        schemes="[thc]",
        sync="[all_to_all]",
        job="{steps: 1}",
    )
    owner = measure(point).stages[0][0][-1]
    assert owner.op == "owner"
    assert owner.down_bytes == pytest.approx(nbits * ROTATED / 8, abs=5 * workers)
