"""Every scenario key changes some output: a key that could be turned without effect would be a lie.

The table must name every field of every registered member, so a new field without a case fails here.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from netsim.compress.base import schemes
from netsim.engine.simulate import simulate
from netsim.network.base import fidelities
from netsim.network.transport import transports
from netsim.scenario.schema import Job, Scenario, Straggler
from netsim.sync.base import syncs
from netsim.topology.base import topologies
from netsim.workload.base import workloads
from netsim.workload.cost import costs
from netsim.workload.trace import open_trace, read_header, write_trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STAR = "{kind: star, workers: 4, bandwidth: 10 Mbit/s, latency: 1 ms%s}"
CLUSTER = "{kind: gpu_cluster, bandwidth: 10 Mbit/s, hop_bandwidth: 40 Mbit/s%s}"
PS = "{kind: parameter_server, servers: 2%s}"
QSGD = "[{kind: qsgd%s}]"

Case = tuple[dict[str, str], dict[str, str]]
"""Sections of a scenario, and the sections of another that differs in the one key."""

CASES: dict[str, Case] = {
    "seed": ({"schemes": "[qsgd]", "seed": "1"}, {"seed": "2"}),
    "job.overlap": ({}, {"job": "{overlap: per_tensor}"}),
    "job.bucket": ({"job": "{first_bucket: 1 kB}"}, {"job": "{first_bucket: 1 kB, bucket: 10 kB}"}),
    "job.first_bucket": ({}, {"job": "{first_bucket: 1 kB}"}),
    "job.steps": ({"schemes": "[topk]"}, {"job": "{steps: 1}"}),
    "job.grad_accumulation": ({}, {"job": "{grad_accumulation: 2}"}),
    "job.coding_unit": ({"schemes": "[topk]"}, {"job": "{coding_unit: bucket}"}),
    "job.straggler.distribution": (
        {"job": "{straggler: {distribution: uniform, spread: 0.5}}"},
        {"job": "{straggler: {distribution: lognormal, spread: 0.5}}"},
    ),
    "job.straggler.spread": (
        {"job": "{straggler: {distribution: uniform, spread: 0.5}}"},
        {"job": "{straggler: {distribution: uniform, spread: 0.6}}"},
    ),
    "topology.star.workers": ({}, {"topology": "{kind: star, workers: 3, bandwidth: 10 Mbit/s, latency: 1 ms}"}),
    "topology.star.bandwidth": ({}, {"topology": "{kind: star, workers: 4, bandwidth: 20 Mbit/s, latency: 1 ms}"}),
    "topology.star.latency": ({}, {"topology": "{kind: star, workers: 4, bandwidth: 10 Mbit/s, latency: 2 ms}"}),
    "topology.star.server_bandwidth": (
        {"sync": PS % "", "topology": STAR % ""},
        {"topology": STAR % ", server_bandwidth: 20 Mbit/s"},
    ),
    "topology.gpu_cluster.machines": ({"topology": CLUSTER % ""}, {"topology": CLUSTER % ", machines: 3"}),
    "topology.gpu_cluster.gpus_per_machine": (
        {"topology": CLUSTER % ""},
        {"topology": CLUSTER % ", gpus_per_machine: 3"},
    ),
    "topology.gpu_cluster.bandwidth": (
        {"topology": CLUSTER % ""},
        {"topology": "{kind: gpu_cluster, bandwidth: 20 Mbit/s, hop_bandwidth: 40 Mbit/s}"},
    ),
    "topology.gpu_cluster.latency": ({"topology": CLUSTER % ""}, {"topology": CLUSTER % ", latency: 1 ms"}),
    "topology.gpu_cluster.cards_per_machine": (
        {"topology": CLUSTER % "", "sync": "all_to_all"},
        {"topology": CLUSTER % ", cards_per_machine: 2"},
    ),
    "topology.gpu_cluster.hop_bandwidth": (
        {"topology": CLUSTER % "", "sync": "all_to_all"},
        {"topology": "{kind: gpu_cluster, bandwidth: 10 Mbit/s, hop_bandwidth: 5 Mbit/s}"},
    ),
    "topology.gpu_cluster.hop_latency": ({"topology": CLUSTER % ""}, {"topology": CLUSTER % ", hop_latency: 1 ms"}),
    "topology.file.path": (
        {"topology": "{kind: file, path: slow.json}"},
        {"topology": "{kind: file, path: fast.json}"},
    ),
    "transport.tcp.efficiency": (
        {"network": "{kind: flow, transport: tcp}"},
        {"network": "{kind: flow, transport: {kind: tcp, efficiency: 0.5}}"},
    ),
    "transport.tcp.overhead": (
        {"network": "{kind: flow, transport: tcp}"},
        {"network": "{kind: flow, transport: {kind: tcp, overhead: 1 ms}}"},
    ),
    "workload.recorded.trace": ({}, {"workload": "{kind: recorded, trace: other}"}),
    "workload.recorded.speed": ({}, {"workload": "{kind: recorded, trace: small, speed: 2}"}),
    "workload.published.model": (
        {"workload": "{kind: published, model: resnet50, gradients: small}", "job": "{steps: 1}"},
        {"workload": "{kind: published, model: resnet101, gradients: small}"},
    ),
    "workload.published.gradients": (
        {
            "workload": "{kind: published, model: resnet50, gradients: small}",
            "schemes": "[{kind: topk, ratio: 0.1}]",
            "job": "{steps: 1}",
        },
        {"workload": "{kind: published, model: resnet50, gradients: other}"},
    ),
    "workload.published.speed": (
        {"workload": "{kind: published, model: resnet50, gradients: small}", "job": "{steps: 1}"},
        {"workload": "{kind: published, model: resnet50, gradients: small, speed: 2}"},
    ),
    "scheme.topk.ratio": ({"schemes": "[topk]"}, {"schemes": "[{kind: topk, ratio: 0.1}]"}),
    "scheme.randomk.ratio": ({"schemes": "[randomk]"}, {"schemes": "[{kind: randomk, ratio: 0.1}]"}),
    "scheme.randomk.rescale": ({"schemes": "[randomk]"}, {"schemes": "[{kind: randomk, rescale: true}]"}),
    "scheme.qsgd.levels": ({"schemes": QSGD % ""}, {"schemes": QSGD % ", levels: 3"}),
    "scheme.qsgd.bucket": ({"schemes": QSGD % ""}, {"schemes": QSGD % ", bucket: 64"}),
    "scheme.qsgd.norm": ({"schemes": QSGD % ""}, {"schemes": QSGD % ", norm: l2"}),
    "scheme.powersgd.rank": ({"schemes": "[powersgd]"}, {"schemes": "[{kind: powersgd, rank: 1}]"}),
    "scheme.error_feedback.inner": ({"schemes": "[[error_feedback, topk]]"}, {"schemes": "[[error_feedback, qsgd]]"}),
    "scheme.two_way.inner": (
        {"schemes": "[[two_way, onebit]]", "sync": "all_to_all"},
        {"schemes": "[[two_way, scaled_sign]]"},
    ),
    "scheme.warm_up.inner": (
        {"schemes": "[[{kind: warm_up, steps: 1}, fp16]]"},
        {"schemes": "[[{kind: warm_up, steps: 1}, topk]]"},
    ),
    "scheme.warm_up.steps": (
        {"schemes": "[[{kind: warm_up, steps: 1}, fp16]]"},
        {"schemes": "[[{kind: warm_up, steps: 2}, fp16]]"},
    ),
    "sync.parameter_server.servers": ({"sync": PS % ""}, {"sync": "{kind: parameter_server, servers: 3}"}),
    "sync.parameter_server.placement": ({"sync": PS % ""}, {"sync": PS % ", placement: colocated"}),
    "sync.parameter_server.sharding": ({"sync": PS % ""}, {"sync": PS % ", sharding: even"}),
    "cost.measured.table": (
        {"schemes": "[topk]", "cost": "{kind: measured}"},
        {"cost": "{kind: measured, table: slow_costs}"},
    ),
}

KINDS: dict[str, tuple[Any, dict[str, str]]] = {
    "network": (fidelities, {"sync": PS % ", sharding: even, placement: colocated"}),
    "sync": (syncs, {}),
    "scheme": (schemes, {}),
    "cost": (costs, {}),
}


def rows(result: Any) -> dict[str, Any]:
    """Return what a user reads off a run, without the words that merely repeat the scenario."""
    said = {"scenario", "point", "swept", "scheme", "sync", "topology", "network", "transport", "workload", "seed"}
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
    table = json.loads(next(SHIPPED.glob("*.json")).read_text())
    table["schemes"]["topk"]["encode"]["floor_s"] = 0.5
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
            if dataclasses.fields(schemes.get(one)) == ()
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
    wanted = {f"job.{one.name}" for one in dataclasses.fields(Job)} - {"job.straggler"}
    wanted |= {f"job.straggler.{one.name}" for one in dataclasses.fields(Straggler)}
    registries = {
        "topology": topologies,
        "network": fidelities,
        "transport": transports,
        "workload": workloads,
        "scheme": schemes,
        "sync": syncs,
        "cost": costs,
    }
    for section, registry in registries.items():
        for name in registry:
            fields = dataclasses.fields(registry.get(name))
            wanted |= {f"{section}.{name}.{one.name}" for one in fields if one.init}
    sections = {one.name for one in dataclasses.fields(Scenario)} - set(registries) - {"job"}
    wanted |= sections - {"name", "about", "swept"}
    assert wanted == set(CASES)


def test_numbers_are_finite(scenario: Callable[..., Scenario]) -> None:
    row = simulate(scenario(schemes="[topk]")).runs.iloc[0]
    numbers = [value for value in row if isinstance(value, float | np.floating)]
    assert np.isfinite(numbers).all()
