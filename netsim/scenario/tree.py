"""Values and where they were written: what a scenario's text becomes before anything is known of its meaning."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from netsim.errors import InputError
from netsim.given import plain


@dataclass(frozen=True)
class Node:
    """One value and where it was written.

    `size` counts the values below it with every alias written out; `raw` is a scalar as it was written.
    `kind` is map, list, null, bool, int, float, str, or object for a value that Python code handed in. A map's value is
    a tuple of (key, Node), a list's a tuple of Node. `line` of a map or list below a key is the key's.
    """

    kind: str
    value: Any
    file: str = ""
    line: int = 0
    size: int = 1
    raw: str = ""

    def get(self, key: str) -> Node | None:
        """Return the value of `key`, or None where this is no map or has no such key."""
        return self.entries().get(key)

    def entries(self) -> dict[str, Node]:
        """Return a map's entries; none for anything else."""
        return dict(self.value) if self.kind == "map" else {}

    def items(self) -> tuple[Node, ...]:
        """Return a list's items; none for anything else."""
        return tuple(self.value) if self.kind == "list" else ()

    def replaced(self, entries: dict[str, Node]) -> Node:
        """Return a map with other entries at the same place."""
        return Node("map", tuple(entries.items()), self.file, self.line)

    def plain(self) -> Any:
        """Return the value as dicts, lists and scalars."""
        if self.kind == "map":
            return {key: node.plain() for key, node in self.value}
        return [node.plain() for node in self.value] if self.kind == "list" else self.value

    def text(self) -> str:
        """Return the value on one line, much as it was written."""
        if self.kind == "map":
            return "{" + ", ".join(f"{key}: {node.text()}" for key, node in self.value) + "}"
        if self.kind == "list":
            return "[" + ", ".join(node.text() for node in self.value) + "]"
        return self.raw or str(self.value)

    def error(self, path: str, problem: str, remedy: str = "") -> InputError:
        """Return a problem at this node's place."""
        return InputError(problem, remedy, path, self.file, self.line)


def from_python(value: object, file: str = "", line: int = 0) -> Node:
    """Return dicts, lists and scalars of Python code as a tree; anything else is kept as an `object`.

    Numbers and arrays of NumPy or torch are what they hold, and a path is its text.
    """
    value = os.fspath(value) if isinstance(value, os.PathLike) else plain(value)
    if isinstance(value, dict):
        return Node("map", tuple((str(key), from_python(one, file, line)) for key, one in value.items()), file, line)
    if isinstance(value, list | tuple):
        return Node("list", tuple(from_python(one, file, line) for one in value), file, line)
    kinds = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}
    if type(value) not in kinds and getattr(value, "__hash__", None) is None:
        value = repr(value)  # trees are compared by value
    raw = {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else ""
    return Node(kinds.get(type(value), "object"), value, file, line, 1, raw)


def node_of_kind(name: Node) -> Node:
    """Return `{kind: name}` for a bare name."""
    return Node("map", (("kind", name),), name.file, name.line)
