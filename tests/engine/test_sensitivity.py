"""Every scenario key changes some output: a key that could be turned without effect would be a lie.

The files in `cases/` must name every field of every registered member: a new field without a case fails here.
"""

from __future__ import annotations

import dataclasses
import json
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from netsim.compress.base import schemes
from netsim.conditions import conditions
from netsim.engine.simulate import simulate
from netsim.network.base import fidelities
from netsim.network.transport import transports
from netsim.optim import optimizers
from netsim.policy import policies
from netsim.scenario.refusals import impossible
from netsim.scenario.schema import Checkpoint, Job, Scenario, Schedule, Straggler, Train
from netsim.sync import Ring, syncs
from netsim.topology.base import topologies
from netsim.workload.base import Timing, workloads
from netsim.workload.cost import costs
from netsim.workload.trace import open_trace, read_header, write_trace
from tests.engine.live import point as scenario_of_network

if TYPE_CHECKING:
    from collections.abc import Callable

PS = "{kind: parameter_server, servers: 2%s}"


def _cases() -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Return for every key the sections of a scenario, and those of another that differs in this key."""
    cases: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    for file in sorted((Path(__file__).parent / "cases").glob("*.py")):
        cases |= runpy.run_path(str(file))["CASES"]
    return cases


CASES = _cases()

KINDS: dict[str, tuple[Any, dict[str, str]]] = {
    "network": (fidelities, {"sync": PS % ", sharding: even, placement: colocated"}),
    "sync": (syncs, {}),
    "scheme": (schemes, {}),
    "cost": (costs, {}),
}


def rows(result: Any) -> dict[str, Any]:
    """Return what a user reads off a run, without the words that merely repeat the scenario."""
    said = {"scenario", "point", "swept", "scheme", "sync", "topology", "network", "transport", "workload", "seed"}
    said |= {"optimizer", "target"}
    return {key: value for key, value in result.runs.iloc[0].items() if key not in said}


@pytest.fixture
def beside(small_trace: Path) -> None:
    """Put the files that some cases name beside the trace."""
    folder, header = small_trace.parent, read_header(small_trace)
    if (folder / "other.trace").exists():
        return
    trace = open_trace(small_trace)
    gradients = [
        one.abs() * (one > 0.5)
        for step in range(3)
        for worker in range(4)
        for one in trace.read(step, worker, 0, len(trace.tensors))
    ]
    facts = {field.name: getattr(header, field.name) for field in dataclasses.fields(header) if field.name in FACTS}
    write_trace(folder / "other.trace", type(header).__mro__[1](**facts), gradients)
    for name, bandwidth in (("slow", "10 Mbit/s"), ("fast", "20 Mbit/s")):
        nodes = [{"id": i, "kind": "worker"} for i in range(3)] + [{"id": 3, "kind": "switch"}]
        links = [{"source": i, "target": 3, "bandwidth": bandwidth} for i in range(3)]
        (folder / f"{name}.json").write_text(json.dumps({"nodes": nodes, "edges": links, "directed": False}))
    samples = np.random.default_rng(0).normal(size=(40, 3)).round(3)
    for name, power in (("samples", 1), ("others", 3)):
        lines = [f"{int(index % 3 > 0)}," + ",".join(map(str, row**power)) for index, row in enumerate(samples)]
        (folder / f"{name}.csv").write_text("\n".join(lines))
    for name, rates in (("falling", (2e6, 1e6)), ("rising", (1e6, 2e6))):
        lines = [f"{at_s},{rate},0.001" for at_s, rate in zip((0.0, 0.2), rates, strict=True)]
        (folder / f"{name}.csv").write_text("\n".join(["time_s,bandwidth_bit_per_s,latency_s", *lines]))
    live = scenario_of_network().workload.problem(1, 0)
    times = Timing(forward_s=0.1, backward_s=0.2, optimizer_s=0.0, ready_s=(0.1,) * len(live.tensors))
    one_step = {"tensors": live.tensors, "timing": times, "steps": (0,), "num_workers": 1, "losses": ((1.0,),)}
    zeros = [torch.zeros(one.shape) for one in live.tensors]
    write_trace(folder / "network.trace", type(header).__mro__[1](**facts | one_step), zeros)
    table = json.loads(next(SHIPPED.glob("*.json")).read_text())
    table["schemes"]["topk"][0]["encode"]["seconds"][0] = 0.5
    (folder / "slow_costs.json").write_text(json.dumps(table))


FACTS = {"tensors", "timing", "steps", "num_workers", "losses", "origin"}


def _shipped() -> Path:
    from netsim.workload import cost

    return cost.SHIPPED_TABLE.parent


SHIPPED = _shipped()


def differs(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return any(not (value == other[key] or (value != value and other[key] != other[key])) for key, value in one.items())


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("key", CASES)
def test_the_key_changes_the_result(scenario: Callable[..., Scenario], key: str) -> None:
    base, change = CASES[key]
    one, other = scenario(**base), scenario(**(base | change))
    assert one != other
    assert differs(rows(simulate(one)), rows(simulate(other)))


@pytest.mark.parametrize("section", KINDS)
def test_the_kind_of_a_section_changes_the_result(scenario: Callable[..., Scenario], section: str) -> None:
    """Any two members of a registry that can stand in the same scenario give different numbers."""
    values = {
        "network": [{"network": f"{{kind: {one}}}", "sync": "tree"} for one in ("ideal", "analytic", "flow")],
        "sync": [{"sync": one} for one in syncs],
        "scheme": [
            {"schemes": f"[{one}]", "job": "{steps: 1}"}
            for one in schemes
            if dataclasses.fields(schemes.get(one)) == () and impossible(schemes.get(one)(), Ring()) is None
        ]
        + [{"schemes": f"[{one}]", "job": "{steps: 1}"} for one in ("topk", "randomk", "qsgd", "powersgd")],
        "cost": [{"cost": f"{{kind: {one}}}", "schemes": "[qsgd]"} for one in costs],
    }[section]
    found = [rows(simulate(scenario(**value))) for value in values]
    for place, one in enumerate(found):
        for other in found[place + 1 :]:
            assert differs(one, other), (section, values[place])


def test_straggler_and_transport_kinds(scenario: Callable[..., Scenario]) -> None:
    ideal, tcp = (simulate(scenario(network=f"{{kind: flow, transport: {one}}}")) for one in ("ideal", "tcp"))
    assert differs(rows(ideal), rows(tcp))


def test_every_field_has_a_case() -> None:
    wanted = {f"job.{one.name}" for one in dataclasses.fields(Job)} - {"job.straggler", "job.checkpoint"}
    wanted |= {f"job.straggler.{one.name}" for one in dataclasses.fields(Straggler)}
    wanted |= {f"job.checkpoint.{one.name}" for one in dataclasses.fields(Checkpoint)}
    registries = {
        "topology": topologies,
        "network": fidelities,
        "transport": transports,
        "workload": workloads,
        "scheme": schemes,
        "sync": syncs,
        "cost": costs,
        "optimizer": optimizers,
        "policy": policies,
        "condition": conditions,
    }
    wanted |= {f"train.{one.name}" for one in dataclasses.fields(Train)} - {"train.optimizer", "train.schedule"}
    wanted |= {f"train.schedule.{one.name}" for one in dataclasses.fields(Schedule)}
    for section, registry in registries.items():
        for name in registry:
            fields = dataclasses.fields(registry.get(name))
            wanted |= {f"{section}.{name}.{one.name}" for one in fields if one.init}
    sections = {one.name for one in dataclasses.fields(Scenario)} - set(registries) - {"job", "train"}
    wanted |= sections - {"name", "about", "swept"}
    assert wanted == set(CASES)


def test_numbers_are_finite(scenario: Callable[..., Scenario]) -> None:
    row = simulate(scenario(schemes="[topk]")).runs.iloc[0]
    numbers = [value for value in row if isinstance(value, float | np.floating)]
    assert np.isfinite(numbers).all()
