"""Scenarios as canonical YAML and as a hash: loading what is dumped gives back the identical floats."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml

from netsim.registry import FileField
from netsim.scenario.document import is_text
from netsim.scenario.fields import REGISTRIES, core_type, fields_of, marker
from netsim.scenario.rules import RULES
from netsim.units import Quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netsim.network.transport import Transport
    from netsim.scenario.schema import Scenario


_UNSAID: dict[str, Any] = {"conditions": [], "train": None}
"""What stands for a section that a point does not have, where another point of the same text has it."""


def dump(scenario: Scenario) -> dict[str, Any]:
    """Return one point in canonical form, quantities as text that parses to the same float.

    Every key is written out but those that have no effect at this point, which a scenario of one point may not have.
    """
    return _effective(_dump(scenario, str), [scenario])


def _effective(sections: dict[str, Any], scenarios: Sequence[Scenario]) -> dict[str, Any]:
    """Return sections without the keys that have an effect on none of the points."""
    for rule in RULES:
        *above, last = rule.key.split(".")
        section: Any = sections
        for key in above:
            section = section.get(key) or {}
        if last in section and all(rule.idle(one) for one in scenarios):
            del section[last]
    return sections


def scenario_hash(scenario: Scenario) -> str:
    """Return the sha256 of what a point's result depends on; files count by their content, names and paths do not."""
    sections = _dump(scenario, file_hash)
    del sections["about"]
    return hashlib.sha256(json.dumps(sections, sort_keys=True).encode()).hexdigest()


def dump_yaml(scenarios: Sequence[Scenario]) -> str:
    """Return several points as one scenario text: what they share at the top, what differs in step under `sweep: zip`.

    Loading it gives the same points in the same order, provided that every group of points that differ in their scheme
    alone has the baseline among them, as loaded scenarios have.
    """
    everywhere = {key: value for key, value in _UNSAID.items() if any(getattr(one, key) for one in scenarios)}
    groups: list[dict[str, Any]] = []
    for scenario in scenarios:
        one = _effective(_dump(scenario, str), scenarios)
        groups.append(one | everywhere | one | {"sync": [one["sync"]]})
    groups = _joined(_joined(groups, "schemes"), "sync")
    shared = {key: value for key, value in groups[0].items() if all(one[key] == value for one in groups)}
    if varying := [key for key in groups[0] if key not in shared]:
        shared["sweep"] = {"zip": {key: [one[key] for one in groups] for key in varying}}
    text: str = yaml.dump(shared, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def transport_yaml(transport: Transport, names: Sequence[str]) -> str:
    """Return the `network` section of a scenario that has this transport: these of its fields, and what is no default.

    What was fitted beside a window or several sockets means nothing without them.
    """
    fields, usual = _member(transport, str), _member(type(transport)(), str)
    kept = {name: value for name, value in fields.items() if name in names or name == "kind" or value != usual[name]}
    network = {"kind": "flow", "transport": kept}
    text: str = yaml.dump({"network": network}, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def _joined(groups: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Join neighbours that differ in the list under `key` alone."""
    joined: list[dict[str, Any]] = []
    for one in groups:
        if joined and {**joined[-1], key: one[key]} == one:
            joined[-1] = {**one, key: joined[-1][key] + one[key]}
        else:
            joined.append(one)
    return joined


class _Dumper(yaml.SafeDumper):
    """Writes a value out wherever it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if is_text(data) else "'")


_Dumper.add_representer(str, _Dumper.represent_text)


def _dump(scenario: Scenario, file: Callable[[str], str]) -> dict[str, Any]:
    network = _member(scenario.network, file)
    train = {} if scenario.train is None else {"train": _member(scenario.train, file)}
    befalls = [_member(one, file) for one in scenario.conditions]
    return {
        "about": scenario.about,
        "seed": scenario.seed,
        "topology": _member(scenario.topology, file),
        "network": network | {"transport": _member(scenario.transport, file)},
        "workload": _member(scenario.workload, file),
        "schemes": [_member(scenario.scheme, file)],
        "sync": _member(scenario.sync, file),
        "job": _member(scenario.job, file),
        "cost": _member(scenario.cost, file),
        **({"conditions": befalls} if befalls else {}),
    } | train


def _member(one: Any, file: Callable[[str], str]) -> dict[str, Any]:
    """Return a plug-in, or a plain dataclass, as a map."""
    fields = fields_of(type(one))
    kind = {"kind": getattr(one, "kind", "")} if isinstance(one, tuple(REGISTRIES)) else {}
    return kind | {name: plain_value(getattr(one, name), fields.hints[name], file) for name in fields.names}


def plain_value(value: Any, hint: Any, file: Callable[[str], str]) -> Any:
    """Return the value of a field of type `hint` as maps, lists, texts and numbers; `file` says how files are named."""
    if value is None:
        return None
    if quantity := marker(hint, Quantity):
        return written(quantity, value)
    if marker(hint, FileField):
        return file(value)
    if dataclasses.is_dataclass(value):
        return _member(value, file)
    if isinstance(value, tuple):
        return [plain_value(item, get_args(core_type(hint))[0], file) for item in value]
    return value


def written(quantity: Quantity, value: float) -> str:
    """Return the text with the shortest number that parses to exactly `value`."""
    units = [(unit, factor) for unit, factor in quantity.units if not unit.endswith("bps")]
    texts = [f"{value / factor:.12g} {unit}" for unit, factor in units]
    texts += [f"{value!r} {unit}" for unit, factor in units if factor == 1.0]
    exact = [text for text in texts if "inf" not in text and quantity.parse(text) == value]
    return min(exact, key=lambda text: len(text.split()[0]))


@lru_cache(maxsize=64)
def _content_hash(path: str, size: int, changed_ns: int) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_hash(path: str) -> str:
    """Return the sha256 of a file's content; a file that is not touched in between is read once."""
    about = Path(path).stat()
    return _content_hash(path, about.st_size, about.st_mtime_ns)
