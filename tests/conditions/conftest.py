from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netsim.scenario.load import parse_text
from tests.engine.conftest import scenario, small_trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.scenario.schema import Scenario

__all__ = ["scenario", "small_trace"]


@pytest.fixture
def training() -> Callable[..., Scenario]:
    """Return a function from YAML sections to a scenario that trains ridge regression."""

    def make(**sections: str) -> Scenario:
        given = {
            "topology": "{kind: star, workers: 4, bandwidth: 100 Mbit/s, latency: 100 us}",
            "network": "{kind: flow, transport: ideal}",
            "workload": "{kind: ridge, samples: 200, features: 20}",
        } | sections
        return parse_text("\n".join(f"{key}: {value}" for key, value in given.items()))[-1]

    return make
