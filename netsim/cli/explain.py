"""How much each input matters: one point simulated again with one thing changed at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from netsim.engine.job import run_job
from netsim.engine.measure import measure
from netsim.engine.simulate import open_workload, simulate
from netsim.errors import InputError
from netsim.network.transport import transports
from netsim.topology.base import TopologyKind
from netsim.workload.cost import costs
from netsim.workload.recorded import faster

if TYPE_CHECKING:
    from netsim.scenario.schema import Scenario
    from netsim.topology.graph import Topology
    from netsim.workload.base import Timing


_LINKS = 4
_LINK = ("link", "utilisation", "bytes_per_step", "transfers")


class Change(NamedTuple):
    """One changed input: what was changed, the step time it gives, and its change against the point as it is."""

    what: str
    step_time_s: float
    change: float


@dataclass(frozen=True)
class Explanation:
    """One point: its row of `runs`, its busiest links, and what each change of an input does to the step.

    The busiest link and the most telling change come first.
    """

    run: dict[str, Any]
    links: tuple[dict[str, Any], ...]
    changes: tuple[Change, ...]


def explain(scenario: Scenario) -> Explanation:
    """Return where a step's time goes at one point, and what it would be with better inputs.

    Raises:
        InputError: a point that trains.
    """
    if scenario.train is not None:
        raise InputError("a training has no step to explain", "explain a scenario with a recorded workload", "train")
    measured = measure(scenario)
    timing = open_workload(scenario.workload).timing
    result = simulate(scenario, measured)
    run = {str(key): value for key, value in result.runs.iloc[0].items()}
    busiest = result.links.sort_values("utilisation", ascending=False, kind="stable").head(_LINKS)
    now_s = float(run["step_time_s"])
    changes = []
    for what, changed, its_timing in _variants(scenario, timing, str(busiest.iloc[0]["link"])):
        steps = run_job(changed, measured, its_timing).steps
        step_time_s = sum(step["step_time_s"] for step in steps) / len(steps)
        changes.append(Change(what, step_time_s, step_time_s / now_s - 1 if now_s else 0.0))
    known = busiest[list(_LINK)].astype(object).where(busiest[list(_LINK)].notna(), None)
    links = tuple({str(key): value for key, value in one.items()} for one in known.to_dict("records"))
    return Explanation(run, links, tuple(sorted(changes, key=lambda change: change.change)))


def _variants(scenario: Scenario, timing: Timing, busiest: str) -> list[tuple[str, Scenario, Timing]]:
    """Return (what was changed, scenario, timing) with one input better than it is."""
    transport: Any = scenario.transport
    limited = transport.cap is not None or transport.window is not None
    doubled = [replace(scenario, transport=replace(transport, sockets=2 * transport.sockets))] if limited else []
    return [
        ("bandwidth x2", replace(scenario, topology=_Scaled(inner=scenario.topology, bandwidth=2.0)), timing),
        (f"{busiest} x2", replace(scenario, topology=_Scaled(inner=scenario.topology, link=busiest)), timing),
        ("latency /2", replace(scenario, topology=_Scaled(inner=scenario.topology, latency=0.5)), timing),
        ("compute x2 faster", scenario, faster(timing, 2.0)),
        ("free coding", replace(scenario, cost=costs.get("free")()), timing),
        *(("sockets x2", one, timing) for one in doubled),
        ("ideal transport", replace(scenario, transport=transports.get("ideal")()), timing),
    ]


@dataclass(frozen=True, kw_only=True)
class _Scaled(TopologyKind):
    """A topology whose links have other bandwidths and latencies, or one of them twice the bandwidth."""

    kind: ClassVar[str] = "scaled"
    paper: ClassVar[str] = ""
    inner: TopologyKind
    bandwidth: float = 1.0
    latency: float = 1.0
    link: str = ""

    @property
    def num_workers(self) -> int:
        return self.inner.num_workers

    @property
    def access(self) -> tuple[float, float]:
        bandwidth, latency_s = self.inner.access
        return bandwidth * self.bandwidth, latency_s * self.latency

    def build(self, servers: int = 0) -> Topology:
        built = self.inner.build(servers)
        one = np.array([2.0 if name == self.link else 1.0 for name in built.link_names])
        return replace(
            built,
            capacity_bytes_per_s=built.capacity_bytes_per_s * self.bandwidth * one,
            latency_s=built.latency_s * self.latency,
        )
