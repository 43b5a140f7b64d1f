"""What is checked once a point's sections are built: files, hosts, costs, repeats, keys without effect."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.errors import InputError, NetsimError
from netsim.scenario.fields import reads_file
from netsim.scenario.members import attached
from netsim.scenario.refusals import misfits
from netsim.scenario.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from netsim.scenario.members import Builder
    from netsim.scenario.schema import Scenario
    from netsim.scenario.tree import Node
    from netsim.topology.base import TopologyKind
    from netsim.topology.graph import Topology


def _look_at(topology: TopologyKind) -> None:
    """Count workers, and see that those of a user's own graph reach each other: every architecture asks for that."""
    topology.refuse_too_large()
    if reads_file(topology):
        whole = topology.build()
        whole.refuse_apart(whole.workers)


_LOOKS: tuple[tuple[str, Callable[[Any], object]], ...] = (
    ("workload", lambda one: one.check()),
    ("topology", _look_at),
    ("cost", lambda one: (one.aggregate(), one.source())),
)
"""What reads the files behind a section, so that a bad one is found before anything runs."""


@lru_cache(maxsize=4)
def built(topology: TopologyKind, servers: int) -> Topology:
    """Return a topology, kept for the next condition that names its links."""
    return topology.build(servers)


class Checks:
    """Checks of one file's points, each made once; problems go to the builder."""

    def __init__(self, builder: Builder, *, overridden: bool) -> None:
        self.builder = builder
        self.overridden = overridden
        self._sound: dict[Hashable, bool] = {}
        self._idle: dict[tuple[str, str], InputError | None] = {}

    def files(self, sections: dict[str, Any], root: Node) -> dict[str, Any]:
        """Look at what distinct sections read from files; return those that are sound."""
        return {
            key: sections[key]
            for key, look in _LOOKS
            if sections[key] is not None and self._once(look, sections[key], root.get(key) or root, key)
        }

    def hosts(self, sync: Any, topology: Any, node: Node, path: str) -> None:
        """Check an architecture against the number of workers, and against the server hosts of a topology's file."""

        def look(pair: tuple[Any, Any]) -> None:
            sync, topology = pair
            sync.check(topology.num_workers)
            topology.refuse_too_large(sync.dedicated_servers)
            if sync.uses_machines:
                built = topology.build()
                sync.check_machines(built.machines[built.workers])
            if reads_file(topology):
                whole = topology.build(sync.dedicated_servers)
                whole.refuse_apart(np.concatenate([whole.workers, whole.servers[: sync.dedicated_servers]]))

        self._once(look, (sync, topology), node, path)

    def conditions(self, root: Node, scenarios: list[Scenario]) -> None:
        """Check what befalls the cluster against its nodes and links, and against the network."""
        listed = root.get("conditions")
        for scenario in scenarios:
            for place, problem in misfits(scenario):
                node = listed.items()[place] if listed is not None else root
                self.builder.note(attached(problem, node, f"conditions.{place}"))
            servers = scenario.sync.dedicated_servers
            for place, one in enumerate(scenario.conditions):
                node = listed.items()[place] if listed is not None else root
                subject = (one, scenario.topology, servers)
                self._once(lambda it: it[0].check(built(*it[1:])), subject, node, f"conditions.{place}")

    def coding(self, cost: Any, scheme: Any, node: Node, path: str) -> None:
        """Check that a cost model knows a scheme and its wrappers."""
        self._once(lambda pair: [pair[0].coding(one.variant) for one in pair[1].chain()], (cost, scheme), node, path)

    def _once(self, look: Callable[[Any], object], subject: Any, node: Node, path: str) -> bool:
        """Return whether `look` finds nothing wrong with a subject; it looks at each once."""
        key = (path.split(".")[0], subject)
        if key not in self._sound:
            self._sound[key] = False
            try:
                look(subject)
            except InputError as error:
                self.builder.note(attached(error, node, path))
            except NetsimError as error:
                self.builder.note(node.error(path, str(error)))
            else:
                self._sound[key] = True
        return self._sound[key]

    def repeats(self, what: str, made: list[tuple[Any, Node, str]]) -> None:
        """Check that no entry of a list is there twice."""
        seen: dict[Any, str] = {}
        for member, node, path in made:
            if member is not None and seen.setdefault(member, path) != path:
                self.builder.note(node.error(path, f"is the same {what} as {seen[member]}", "remove one of them"))

    def idle(self, root: Node, scenarios: list[Scenario]) -> None:
        """Remember which written keys no point has used so far; one that an override made idle is nobody's mistake."""
        for rule in RULES:
            node: Node | None = root
            for part in rule.key.split("."):
                node = node.get(part) if node is not None else None
            if node is None or not scenarios or (self.overridden and node.line):
                continue
            key = (rule.key, rule.problem)
            if not all(rule.idle(one) for one in scenarios) or node.text() in rule.allowed:
                self._idle[key] = None
            else:
                self._idle.setdefault(key, node.error(rule.key, rule.problem, rule.remedy))

    def finish(self) -> None:
        """Note the keys that no point has used."""
        for problem in self._idle.values():
            if problem is not None:
                self.builder.note(problem)
