"""A simulation that cannot go on says who waits for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from netsim.engine.job import run_job
from netsim.engine.measure import measure
from netsim.engine.simulate import open_workload
from netsim.errors import Deadlock
from netsim.network import Flow
from netsim.network.base import Execution, Network
from netsim.network.links import Links
from netsim.scenario.schema import Scenario


class _Lost(Network, Execution):
    """Takes plans and never ends one."""

    def __init__(self, links: Links) -> None:
        self.links = links

    def begin(self, *_: Any, **__: Any) -> Execution:
        return self

    def join(self, nodes: Any) -> None:
        pass

    def abandon(self) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Losing(Flow):
    """A network that loses all."""

    def build(self, env: Any, topology: Any, transport: Any) -> Network:
        return _Lost(Links(topology, transport))


def test_a_job_that_cannot_go_on_lists_who_waits_for_what(scenario: Callable[..., Scenario]) -> None:
    stuck = replace(scenario(), network=Losing())
    with pytest.raises(Deadlock) as error:
        run_job(stuck, measure(stuck), open_workload(stuck.workload).timing)
    assert all(f"worker {worker} waits for bucket 0" in str(error.value) for worker in range(4))
