"""What must hold between a point and a point that differs in a known way, for points drawn from the whole space."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from netsim.conditions import LinkFailure, LinkProfile
from netsim.engine.job import run_job
from netsim.engine.measure import measure
from netsim.engine.simulate import open_workload
from netsim.errors import NetsimError
from netsim.record.result import PARTS
from netsim.topology.base import TopologyKind
from netsim.topology.graph import Topology
from netsim.workload.cost import Affine, Coding, CostModel
from netsim.workload.recorded import faster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netsim.engine.job import JobRecord
    from netsim.registry import Variant
    from netsim.scenario.schema import Scenario
    from netsim.workload.base import Timing

SECTIONS = {
    "topology": (
        "{kind: star, workers: 5, bandwidth: 10 Mbit/s, latency: 1 ms}",
        "{kind: star, workers: 4, bandwidth: 3 Mbit/s, latency: 0 s}",
        "{kind: leaf_spine, leaves: 2, hosts_per_leaf: 3, bandwidth: 10 Mbit/s, latency: 100 us, oversubscription: 2}",
        "{kind: torus, shape: [3, 2], bandwidth: 10 Mbit/s, latency: 1 ms}",
        "{kind: dragonfly, routers_per_group: 2, hosts_per_router: 1, global_links_per_router: 1, bandwidth: 3 Mbit/s}",
        "{kind: gpu_cluster, machines: 2, gpus_per_machine: 3, bandwidth: 10 Mbit/s, hop_bandwidth: 100 Mbit/s}",
        "{kind: gpu_cluster, machines: 3, gpus_per_machine: 2, cards_per_machine: 2, bandwidth: 3 Mbit/s,"
        " rail_optimised: true, hop_bandwidth: 10 Mbit/s}",
        "{kind: wan, round_trips: [10 ms, 1 ms, 50 ms], workers_per_site: 2, wan_bandwidth: 3 Mbit/s,"
        " bandwidth: 10 Mbit/s}",
    ),
    "transport": (
        "ideal",
        "ideal",
        "rdma",
        "{kind: tcp, window: 16 KiB}",
        "nccl",
        "gloo",
        "{kind: mpi, cap: 2 Mbit/s}",
    ),
    "sync": (
        "{kind: ring, rings: 2}",
        "{kind: ring, slices: 3, partition: 1 kB}",
        "{kind: tree, children: at_once}",
        "double_binary_tree",
        "halving_doubling",
        "hierarchical",
        "torus_2d",
        "all_gather",
        "all_to_all",
        "{kind: parameter_server, servers: 2}",
        "{kind: parameter_server, servers: 3, placement: colocated, sharding: hash, partition: 1 kB}",
        "{kind: parameter_server, local_aggregation: true}",
    ),
    "schemes": ("[none]", "[fp16]", "[topk]", "[{kind: powersgd, rank: 1}]", "[[two_way, rms_sign]]", "[zen]"),
    "job": (
        "{overlap: none, steps: 2}",
        "{first_bucket: 1 kB, bucket: 5 kB, steps: 2, straggler: {distribution: lognormal, spread: 0.5}}",
        "{overlap: per_tensor, steps: 2, straggler: {factors: [1, 1.5]}}",
        "{overlap: per_tensor, scheduling: priority, steps: 2}",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Other(TopologyKind):
    """A topology with links as much faster, or each of them in two halves with a node in between."""

    kind: ClassVar[str] = "other"
    inner: TopologyKind
    faster: float = 1.0
    halves: bool = False

    @property
    def num_workers(self) -> int:
        return self.inner.num_workers

    @property
    def access(self) -> tuple[float, float]:
        return self.inner.access

    def build(self, servers: int = 0) -> Topology:
        one = self.inner.build(servers)
        capacity, latency_s = one.capacity_bytes_per_s * self.faster, one.latency_s / self.faster
        if not self.halves:
            return replace(one, capacity_bytes_per_s=capacity, latency_s=latency_s, _predecessors={}, _distances={})
        between = len(one.names) + np.arange(len(one.link_src))
        ends = np.stack([one.link_src, between], axis=1), np.stack([between, one.link_dst], axis=1)
        return Topology(
            (*one.names, *(f"middle{link}" for link in range(len(between)))),
            one.workers,
            one.servers,
            *(end.ravel() for end in ends),
            np.repeat(capacity, 2),
            np.repeat(latency_s / 2, 2),
            np.repeat(one.local, 2),
            one.ecmp,
        )


@dataclass(frozen=True)
class Costly(CostModel):
    """Coding that takes a while, or a part of it."""

    faster: float = 1.0

    def coding(self, variant: Variant) -> Coding:
        one = Affine(0.0, 1e-3 / self.faster, 1e-6 / self.faster)
        return Coding(one, one)

    def aggregate(self) -> Affine:
        return Affine(0.0, 1e-4 / self.faster, 2e-7 / self.faster)

    def source(self) -> str:
        return "a test"


def quicker(point: Scenario) -> Scenario:
    """Return a point of which all seconds but those of the workload are half as many."""
    halved = {one: getattr(point.transport, one) / 2 for one in ("overhead", "call_overhead")}
    doubled = {"cap": point.transport.cap * 2} if point.transport.cap is not None else {}
    known = {one.name for one in fields(point.transport)}  # type: ignore[arg-type]
    given: dict[str, Any] = {key: value for key, value in (halved | doubled).items() if key in known}
    transport = replace(point.transport, **given)  # type: ignore[type-var]
    return replace(point, topology=Other(inner=point.topology, faster=2.0), cost=Costly(2.0), transport=transport)


def variants(point: Scenario, total_s: float, rng: np.random.Generator) -> Iterator[tuple[str, Scenario, float]]:
    """Yield points that take as long as a point, or a part of it: what is changed, the point, and the part."""
    built = point.topology.build(point.sync.dedicated_servers)
    link = int(rng.integers(len(built.link_names)))
    name, at_s = built.link_names[link], (0.0, float(rng.uniform(0, total_s)))
    own = (float(built.capacity_bytes_per_s[link]),) * 2, (float(built.latency_s[link]),) * 2
    profile = LinkProfile(links=(name,), at=at_s, bandwidth=own[0], latency=own[1])
    yield "a profile that says what is so", replace(point, conditions=(profile,)), 1.0
    late = LinkFailure(links=("*",), at=1.0 + 2 * total_s, duration=1.0)
    yield "a failure when all is over", replace(point, conditions=(late,)), 1.0
    yield "links in two halves", replace(point, topology=Other(inner=point.topology, halves=True)), 1.0
    yield "everything twice as fast", quicker(point), 0.5


def assert_alike(one: JobRecord, other: JobRecord, part: float, what: str) -> None:
    assert one.total_s * part == pytest.approx(other.total_s, rel=1e-8), what
    for row, its in zip(one.steps, other.steps, strict=True):
        expected = {key: value * (part if key.endswith("_s") else 1.0) for key, value in row.items()}
        assert its == pytest.approx(expected, rel=1e-8, abs=1e-11), what


def drawn(make: Callable[..., Scenario], rng: np.random.Generator) -> Scenario:
    """Return a point that can be simulated."""
    while True:
        given = {key: str(rng.choice(values)) for key, values in SECTIONS.items()}
        given["network"] = f"{{kind: {rng.choice(['flow', 'flow', 'analytic'])}, transport: {given.pop('transport')}}}"
        try:
            return make(**given)
        except NetsimError:
            continue


@pytest.mark.parametrize("seed", [0, 1, 3, 5, 7, 8, 9, 11])
def test_what_must_not_matter_does_not_and_what_must_does(scenario: Callable[..., Scenario], seed: int) -> None:
    rng = np.random.default_rng(seed)
    point = replace(drawn(scenario, rng), cost=Costly())
    measured, timing = measure(point), open_workload(point.workload).timing
    one = run_job(point, measured, timing)
    for row in one.steps:
        assert sum(row[part] for part in PARTS) == pytest.approx(row["step_time_s"], rel=1e-9)
    built = point.topology.build(point.sync.dedicated_servers)
    if (
        point.topology.kind != "torus" and point.job.scheduling == "order"
    ):  # where workers pass on, or one step is untold
        left = one.link_bytes[np.isin(built.link_src, built.workers)].sum()
        sent = sum(row["wire_bytes_per_worker"] for row in one.steps) * len(built.workers)
        assert left == pytest.approx(sent, rel=1e-9)
    for what, other, part in variants(point, one.total_s, rng):
        its: Timing = faster(timing, 2.0) if part < 1 else timing
        assert_alike(one, run_job(other, measured, its), part, what)
    if point.network.kind == "flow":
        assert_alike(one, run_job(point, measured, timing, lambda *_: None), 1.0, "solved one by one")
