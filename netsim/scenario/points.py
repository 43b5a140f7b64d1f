"""From a point's tree to its scenarios: one for every architecture and scheme, with the defaults filled in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

# Importing the packages registers their members.
import netsim.compress
import netsim.conditions
import netsim.network
import netsim.optim
import netsim.policy
import netsim.sync
import netsim.topology
import netsim.workload  # noqa: F401
from netsim.compress.base import schemes
from netsim.conditions.base import conditions
from netsim.errors import closest
from netsim.network.base import fidelities
from netsim.network.transport import transports
from netsim.scenario.checks import Checks
from netsim.scenario.fields import fields_of
from netsim.scenario.grid import SECTIONS, Point
from netsim.scenario.refusals import impossible, outlasted, unsaved, untrainable
from netsim.scenario.schema import Job, Scenario, Train
from netsim.scenario.tree import Node, from_python, node_of_kind
from netsim.sync.base import syncs
from netsim.topology.base import topologies
from netsim.workload.base import workloads
from netsim.workload.cost import costs

if TYPE_CHECKING:
    from netsim.registry import Registry
    from netsim.scenario.members import Builder

DEFAULT_NETWORK = "flow"
DEFAULT_TRANSPORT = "tcp"
DEFAULT_SYNC = "ring"
DEFAULT_COST = "documented"
BASELINE = "none"
IDEAL = "ideal"
"""The network on which no transport has an effect, and the transport that it is listed with."""


@dataclass(frozen=True, kw_only=True)
class General:
    """What a scenario says of itself."""

    about: str = ""
    seed: Annotated[int, Ge(0)] = 0


class PointReader:
    """Builds the points of one file; `overridden` says that the file is not all there is."""

    def __init__(self, name: str, builder: Builder, *, overridden: bool = False) -> None:
        self.name = name
        self.builder = builder
        self.checks = Checks(builder, overridden=overridden)

    def read(self, points: list[Point]) -> list[Scenario]:
        """Return the distinct points; problems are noted in the builder."""
        found: dict[object, Scenario] = {}
        for point in points:
            for scenario in self._point(point):
                found.setdefault(_identity(scenario), scenario)
        self.checks.finish()
        return list(found.values())

    def _point(self, point: Point) -> list[Scenario]:
        root, builder = point.root, self.builder
        entries = root.entries()
        for key in sorted(entries.keys() - set(SECTIONS)):
            builder.note(
                entries[key].error(key, f"unknown key {key!r}", _owner(key) + closest(key, [*SECTIONS, "sweep"]))
            )
        general = builder.section(
            General, root.replaced({key: entries[key] for key in ("about", "seed") if key in entries}), ""
        )
        network, transport = self._network(entries.get("network"))
        sections = {
            "topology": self._required(topologies, root, "topology"),
            "workload": self._required(workloads, root, "workload"),
            "cost": builder.member(costs, _with_kind(entries.get("cost"), DEFAULT_COST), "cost"),
            "job": builder.section(Job, entries.get("job") or Node("map", ()), "job"),
            "network": network,
            "transport": transport,
            "conditions": self._conditions(entries.get("conditions")),
        }
        train = entries.get("train")
        if train is not None and train.kind != "null":
            sections["train"] = builder.section(Train, train, "train")
        sound = self.checks.files(sections, root)
        pairs = self._pairs(root, sound)
        if general is None or any(one is None for one in sections.values()):
            return []
        swept = tuple((key, node.text()) for key, node in point.swept)
        scenarios = [
            Scenario(
                name=self.name,
                about=general.about,
                seed=general.seed,
                scheme=scheme,
                sync=sync,
                swept=swept,
                **sections,
            )
            for scheme, sync in pairs
        ]
        for problem in [found for one in scenarios for found in (*untrainable(one), *outlasted(one), *unsaved(one))]:
            builder.note(
                (root.get(problem.path.split(".")[0]) or root).error(problem.path, problem.problem, problem.remedy)
            )
        self.checks.conditions(root, scenarios)
        self.checks.idle(root, scenarios)
        return scenarios

    def _conditions(self, node: Node | None) -> tuple[Any, ...] | None:
        """Return what befalls the cluster, or None where something is wrong with it."""
        if node is None or node.kind == "null":
            return ()
        if node.kind != "list":
            remedy = "write for example `conditions: [{kind: link_failure, links: [worker0], at: 1 s, duration: 2 s}]`"
            self.builder.note(node.error("conditions", f"is {node.text()!r} where a list is expected", remedy))
            return None
        made = [self.builder.member(conditions, one, f"conditions.{i}") for i, one in enumerate(node.items())]
        return None if any(one is None for one in made) else tuple(made)

    def _required(self, registry: Any, root: Node, key: str) -> Any:
        node = root.get(key)
        if node is not None:
            return self.builder.member(registry, node, key)
        remedy = f"add `{key}:`, a map with `kind:`; valid kinds: {', '.join(sorted(registry))}"
        self.builder.missing(root, "", key, remedy)
        return None

    def _network(self, node: Node | None) -> tuple[Any, Any]:
        """Return the fidelity and the transport, which is written among the fidelity's own keys."""
        node = _with_kind(node, DEFAULT_NETWORK)
        entries = node.entries()
        transport = entries.pop("transport", None)
        own = node.replaced(entries) if node.kind == "map" else node
        kind = entries.get("kind")
        fidelity = self.builder.member(fidelities, own, "network")
        made = self.builder.member(transports, transport or from_python(DEFAULT_TRANSPORT), "network.transport")
        if made is not None and kind is not None and kind.value == IDEAL:
            made = self.builder.member(transports, from_python(IDEAL), "network.transport")
        return fidelity, made

    def _pairs(self, root: Node, sections: dict[str, Any]) -> list[tuple[Any, Any]]:
        """Return the scheme and the architecture of every point; check what is sound against each other."""
        chosen = self._schemes(root.get("schemes"))
        for scheme, node, path in chosen:
            if scheme is not None and "cost" in sections:
                self.checks.coding(sections["cost"], scheme, node or root, path or "cost")
        pairs = []
        for sync, sync_node, sync_path in self._syncs(root.get("sync")):
            if sync is not None and "topology" in sections:
                self.checks.hosts(sync, sections["topology"], sync_node, sync_path)
            for scheme, node, path in chosen:
                if scheme is None or sync is None:
                    continue
                if problem := impossible(scheme, sync):
                    self.builder.note((node or sync_node).error(path or sync_path, problem.problem, problem.remedy))
                pairs.append((scheme, sync))
        return pairs

    def _schemes(self, node: Node | None) -> list[tuple[Any, Node | None, str]]:
        baseline = (self.builder.member(schemes, from_python(BASELINE), "schemes"), None, "")
        if node is None:
            return [baseline]
        if node.kind != "list" or not node.value:
            problem = "is an empty list" if node.kind == "list" else f"is {node.text()!r} where a list is expected"
            self.builder.note(node.error("schemes", problem, "write for example `schemes: [none, topk]`"))
            return [baseline]
        listed = [(f"schemes.{index}", one) for index, one in enumerate(node.items())]
        made: list[Any] = [(self.builder.member(schemes, one, path), one, path) for path, one in listed]
        self.checks.repeats("scheme", made)
        return made if any(getattr(one, "kind", "") == BASELINE for one, _, _ in made) else [baseline, *made]

    def _syncs(self, node: Node | None) -> list[tuple[Any, Node, str]]:
        node = node or from_python(DEFAULT_SYNC)
        if node.kind != "list":
            return [(self.builder.member(syncs, node, "sync"), node, "sync")]
        if not node.value:
            self.builder.note(node.error("sync", "is an empty list", "write for example `sync: [ring]`"))
        made = [(self.builder.member(syncs, one, f"sync.{i}"), one, f"sync.{i}") for i, one in enumerate(node.items())]
        self.checks.repeats("architecture", made)
        return made


def _identity(scenario: Scenario) -> tuple[Any, ...]:
    return tuple(getattr(scenario, one.name) for one in fields(scenario) if one.name not in {"name", "about", "swept"})


def _with_kind(node: Node | None, kind: str) -> Node:
    """Return a section whose kind is the default one unless it names another."""
    if node is None:
        return node_of_kind(from_python(kind))
    if node.kind == "str":
        return node_of_kind(node)
    if node.kind != "map" or node.get("kind") is not None:
        return node
    return node.replaced({"kind": Node("str", kind, node.file, node.line)} | node.entries())


def _owner(key: str) -> str:
    """Return a hint where a key of a section stands at the top of a scenario."""
    if key in {"transport", "transports"}:
        return "write it under `network:`; "
    sections: tuple[tuple[str, Registry[Any]], ...] = (
        ("topology", topologies),
        ("network", fidelities),
        ("workload", workloads),
        ("sync", syncs),
    )
    owners = [name for name, one in sections if any(key in fields_of(one.get(kind)).names for kind in one)]
    owners += ["job"] if key in fields_of(Job).names else []
    owners += ["train"] if key in fields_of(Train).names else []
    return f"write it under `{owners[0]}:`; " if owners else ""
