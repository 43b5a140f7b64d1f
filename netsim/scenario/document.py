"""YAML text as a tree of nodes that know their lines. Text becomes plain values only: no tag constructs an object."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import yaml

from netsim.errors import InputError, ScenarioErrors
from netsim.scenario.tree import Node

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 40

_PLAIN = (
    ("null", re.compile(r"~|null|Null|NULL|"), lambda text: None),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    ("int", re.compile(r"[-+]?[0-9]{1,4000}"), int),
    ("int", re.compile(r"0o[0-7]+"), lambda text: int(text[2:], 8)),
    ("int", re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text[2:], 16)),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    ("float", re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
)


def is_text(plain: str) -> bool:
    """Return whether a scalar without quotes is read as text."""
    return not any(pattern.fullmatch(plain) for _, pattern, _ in _PLAIN)


def read(path: Path) -> Node:
    """Return the tree of a file; raise ScenarioErrors where it is missing, too long or no YAML map."""
    name = str(path)
    if os.path.isdir(path):
        raise ScenarioErrors([InputError("is a directory", "name a scenario file in it", file=name)])
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # a path that can be none is a ValueError
        there = sorted(one.name for one in path.parent.glob("*.y*ml")) if os.path.isdir(path.parent) else []
        remedy = f"scenarios in that folder: {', '.join(there)}" if there else "check the path"
        problem = f"cannot be read: {getattr(error, 'strerror', error)}"
        raise ScenarioErrors([InputError(problem, remedy, file=name)]) from error
    if len(data) > MAX_BYTES:
        problem = f"is longer than {MAX_BYTES:,} bytes"
        raise ScenarioErrors([InputError(problem, "a scenario is a short text; name traces by their path", file=name)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problem = f"byte {error.start} is not UTF-8 text"
        raise ScenarioErrors([InputError(problem, "save the scenario as UTF-8", file=name, line=line)]) from error
    root = parse(text, name)
    if root.kind == "null":
        raise ScenarioErrors([InputError("is empty", "write at least `topology:` and `workload:`", file=name)])
    if root.kind != "map":
        problem = f"holds {'a list' if root.kind == 'list' else 'a single value'} where `key: value` lines are expected"
        raise ScenarioErrors([root.error("", problem, "write at least `topology:` and `workload:`")])
    return root


def parse(text: str, file: str, lined: bool = True) -> Node:
    """Return the tree of a YAML text; raise ScenarioErrors with every duplicate key, or with the first syntax error.

    Without `lined`, nodes carry no line: the text is an argument, and `file` says which.
    """
    reader = _Reader(file, lined)
    try:
        root = reader.document(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.MarkedYAMLError as error:
        line = min(error.problem_mark.line, text.rstrip().count("\n")) + 1 if error.problem_mark else 0
        problem = f"is not YAML: {error.problem or error.context}"
        remedy = "indent with spaces, never tabs" if "\\t" in problem or _tab_at(text, line) else _SYNTAX
        raise ScenarioErrors([InputError(problem, remedy, "", file, line if lined else 0)]) from error
    except yaml.YAMLError as error:
        line = text[: getattr(error, "position", 0)].count("\n") + 1
        problem = "is not YAML: a control character is not allowed"
        raise ScenarioErrors([InputError(problem, "remove it", "", file, line if lined else 0)]) from error
    if reader.problems:
        raise ScenarioErrors(reader.problems)
    return root


_SYNTAX = "check indentation, and that brackets and quotes are closed"


def _tab_at(text: str, line: int) -> bool:
    lines = text.split("\n")
    return 0 < line <= len(lines) and "\t" in lines[line - 1]


def _misread(key: str, before: Mapping[str, Node]) -> tuple[str, str] | None:
    """Return the problem and the remedy of a key that may not be what its writer took it for."""
    if key in before:
        return f"key {key!r} is written twice, first on line {before[key].line}", "remove one of them"
    if key == "<<":
        return "merge keys (`<<`) are not read", "write the keys out; `&name` and `*name` repeat a whole value"
    if odd := next((one for one in key if one.isspace() and one != " "), ""):
        return f"U+{ord(odd):04X} before or in {key.strip()!r} is no plain space", "type the spaces of this line anew"
    return None


class _Reader:
    """Builds nodes from parser events; nothing here looks at a tag except to refuse it."""

    def __init__(self, file: str, lined: bool) -> None:
        self.file = file
        self.lined = lined
        self.anchors: dict[str, Node] = {}
        self.problems: list[InputError] = []

    def document(self, events: Iterator[yaml.Event]) -> Node:
        root = Node("null", None, self.file, raw="null")
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self.stop(event, "holds a second YAML document", "write one scenario a file")
                root = self.node(next(events), events, 0)
        return root

    def line(self, event: yaml.Event) -> int:
        return event.start_mark.line + 1 if self.lined and event.start_mark else 0

    def stop(self, event: yaml.Event, problem: str, remedy: str) -> ScenarioErrors:
        return ScenarioErrors([*self.problems, InputError(problem, remedy, "", self.file, self.line(event))])

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int, line: int = 0) -> Node:
        if depth > MAX_DEPTH:
            raise self.stop(event, f"is nested more than {MAX_DEPTH} levels deep", "write the values out flat")
        assert isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        self.refuse_tag(event)
        line = line or self.line(event)
        if isinstance(event, yaml.ScalarEvent):
            node = self.scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(events, depth, line)
        else:
            node = self.mapping(events, depth, line)
        if node.size > MAX_NODES:
            raise self.stop(
                event, f"holds more than {MAX_NODES:,} values once its aliases are written out", "use fewer"
            )
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: yaml.AliasEvent) -> Node:
        if event.anchor not in self.anchors:
            raise self.stop(event, f"alias *{event.anchor} names no value", f"write &{event.anchor} before it")
        return self.anchors[event.anchor]

    def refuse_tag(self, event: yaml.NodeEvent) -> None:
        if tag := getattr(event, "tag", None):
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            raise self.stop(event, f"tag {tag!r} is not allowed", "write plain values: a scenario has no tags")

    def scalar(self, event: yaml.ScalarEvent) -> Node:
        if event.implicit[0]:
            for kind, pattern, convert in _PLAIN:
                if pattern.fullmatch(event.value):
                    return Node(kind, convert(event.value), self.file, self.line(event), 1, event.value or "null")
        return Node("str", event.value, self.file, self.line(event), 1, event.value)

    def sequence(self, events: Iterator[yaml.Event], depth: int, line: int) -> Node:
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self.node(event, events, depth + 1))
        return Node("list", tuple(items), self.file, line, 1 + sum(item.size for item in items))

    def mapping(self, events: Iterator[yaml.Event], depth: int, line: int) -> Node:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self.stop(event, "a key is not a plain name", "write `key: value`")
            self.refuse_tag(event)
            if found := _misread(event.value, entries):
                self.problems.append(InputError(*found, "", self.file, self.line(event)))
            entries[event.value] = self.node(next(events), events, depth + 1, self.line(event))
        return Node("map", tuple(entries.items()), self.file, line, 1 + sum(one.size for one in entries.values()))
