"""Values that replace what a scenario's file says: `--set KEY=VALUE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsim.errors import InputError, ScenarioErrors
from netsim.scenario.document import parse
from netsim.scenario.grid import place
from netsim.scenario.tree import Node, from_python

if TYPE_CHECKING:
    from collections.abc import Mapping


def overridden(root: Node, overrides: Mapping[str, object]) -> Node:
    """Return the tree with dotted keys set, and taken out of the sweep; a text is read as YAML.

    Raises:
        ScenarioErrors: a text that is no YAML, or a key that leads nowhere.
    """
    problems: list[InputError] = []
    for key, value in overrides.items():
        place_name = f"--set {key}"
        try:
            node = parse(value, place_name, lined=False) if isinstance(value, str) else from_python(value, place_name)
            if key == "sweep" or key.startswith("sweep."):
                root = _set_sweep(root, key, node)
            else:
                root = _unswept(place(root, key, node), key)
        except ScenarioErrors as error:
            problems += error.problems
        except InputError as error:
            problems.append(InputError(error.problem, error.remedy, key, place_name))
    if problems:
        raise ScenarioErrors(problems)
    return root


def _set_sweep(root: Node, key: str, node: Node) -> Node:
    """Set `sweep` (null removes it), or one swept key; its dots belong to the key."""
    entries = root.entries()
    if key == "sweep" and node.kind == "null":
        return root.replaced({name: one for name, one in entries.items() if name != "sweep"})
    if key == "sweep":
        return root.replaced(entries | {"sweep": node})
    name = key.removeprefix("sweep.")
    sweep = entries.get("sweep") or Node("map", (), node.file)
    part, _, inner = name.partition(".")
    if part in {"grid", "zip"}:
        lists = (sweep.get(part) or Node("map", (), node.file)).entries() | {inner: node}
        return root.replaced(entries | {"sweep": sweep.replaced(sweep.entries() | {part: sweep.replaced(lists)})})
    return root.replaced(entries | {"sweep": sweep.replaced(sweep.entries() | {name: node})})


def _unswept(root: Node, key: str) -> Node:
    """Take a key that is set by hand, and everything below it, out of the sweep."""
    sweep = root.get("sweep")
    if sweep is None:
        return root

    def kept(node: Node) -> dict[str, Node]:
        return {name: one for name, one in node.entries().items() if name != key and not name.startswith(key + ".")}

    parts = kept(sweep)
    for name in parts.keys() & {"grid", "zip"}:
        parts[name] = parts[name].replaced(kept(parts[name]))
        if not parts[name].value:
            del parts[name]
    entries = root.entries() | {"sweep": sweep.replaced(parts)}
    if sweep.value and not parts:
        del entries["sweep"]
    return root.replaced(entries)
