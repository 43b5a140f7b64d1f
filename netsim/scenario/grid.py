"""Sweeps: one scenario's tree becomes one tree a point. `grid` takes every combination, `zip` goes in step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from netsim.errors import InputError, closest
from netsim.scenario.tree import Node, node_of_kind

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_POINTS = 100_000
SECTIONS = ("about", "seed", "topology", "network", "workload", "schemes", "sync", "job", "cost", "conditions", "train")
"""The keys of a scenario beside `sweep`."""

Step = tuple[tuple[str, Node], ...]
"""What one point changes: (dotted path, value)."""


@dataclass(frozen=True)
class Point:
    """One point of a sweep: its tree without `sweep`, and what it changes."""

    root: Node
    swept: Step = ()


def expand(root: Node, problems: list[InputError]) -> list[Point]:
    """Return the points of a scenario's tree in order: keys as written, the last one varies fastest, `zip` last of all.

    Lists that are empty or no list, paths that lead nowhere and lengths that differ in a zip are added to `problems`;
    what is wrong is left out of the points, so that the rest can be checked all the same. A key below another swept
    one (`topology.bandwidth`, `topology`) is put into each value of that one, whichever is written first.
    """
    sweep, base = root.get("sweep"), unswept(root)
    if sweep is None:
        return [Point(base)]
    axes = _axes(sweep, problems)
    count = prod(len(axis) for axis in axes)
    if count > MAX_POINTS:
        problems.append(sweep.error("sweep", f"has {count:,} points", f"sweep at most {MAX_POINTS:,} at once"))
        axes = [axis[:1] for axis in axes]
    points = []
    for steps in product(*axes):
        changes = tuple(change for step in steps for change in step)
        tree = base
        for key, node in sorted(changes, key=lambda change: change[0].count(".")):
            try:
                tree = place(tree, key, node)
            except InputError as error:
                problems.append(node.error(f"sweep.{key}", error.problem, error.remedy))
        points.append(Point(tree, changes))
    return points


def unswept(root: Node) -> Node:
    """Return the tree without `sweep`."""
    return root.replaced({key: node for key, node in root.entries().items() if key != "sweep"})


def find(root: Node, path: str) -> Node | None:
    """Return what is written at a dotted path, or None."""
    node: Node | None = root
    for key in path.split("."):
        if node is not None and node.kind == "list":
            node = dict(enumerate(node.items())).get(int(key)) if key.isdecimal() else None
        elif node is not None:
            node = node.get(key)
    return node


def swept_keys(root: Node) -> set[str]:
    """Return every key that is written under `sweep`, sound or not."""
    sweep = root.get("sweep") or Node("map", ())
    return {key for part in (sweep, *sweep.entries().values()) for key in part.entries()}


def _axes(sweep: Node, problems: list[InputError]) -> list[list[Step]]:
    example = "write for example `sweep: {topology.bandwidth: [1 Gbit/s, 10 Gbit/s]}`"
    if sweep.kind != "map" or not sweep.value:
        problems.append(sweep.error("sweep", "sweeps nothing", example))
        return []
    entries = sweep.entries()
    if not entries.keys() & {"grid", "zip"}:
        return _grid(_lists(sweep, "sweep", problems))
    for key in entries.keys() - {"grid", "zip"}:
        remedy = "move it under `grid:`, or under `zip:` to vary it in step with others"
        problems.append(entries[key].error(f"sweep.{key}", f"{key!r} stands beside grid or zip", remedy))
    parts = {name: _lists(entries[name], f"sweep.{name}", problems) for name in ("grid", "zip") if name in entries}
    grid, zipped = parts.get("grid", {}), parts.get("zip", {})
    both = sorted(grid.keys() & zipped.keys())
    problems += [zipped[key][0].error(f"sweep.zip.{key}", "is in grid and in zip", "keep one of them") for key in both]
    lengths = {key: len(nodes) for key, nodes in zipped.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{key} has {count}" for key, count in lengths.items())
        problems.append(entries["zip"].error("sweep.zip", f"lists differ in length: {said}", "make them equally long"))
        return _grid(grid)
    rows = [tuple(zip(zipped, row, strict=True)) for row in zip(*zipped.values(), strict=True)]
    return _grid(grid) + ([rows] if rows else [])


def _grid(lists: dict[str, tuple[Node, ...]]) -> list[list[Step]]:
    return [[((key, node),) for node in nodes] for key, nodes in lists.items()]


def _lists(node: Node, path: str, problems: list[InputError]) -> dict[str, tuple[Node, ...]]:
    """Return the non-empty lists of a map of lists; the others are problems."""
    if node.kind != "map" or not node.value:
        problems.append(node.error(path, "sweeps nothing", "write `key: [value, value]` lines below it"))
    lists = {}
    for key, one in node.entries().items():
        if one.kind != "list":
            remedy = f"write a list: {key}: [{one.text()}]"
            problems.append(one.error(f"{path}.{key}", f"is swept over {one.text()!r}, which is no list", remedy))
        elif not one.value:
            problems.append(one.error(f"{path}.{key}", "is swept over an empty list", "list values, or remove the key"))
        else:
            lists[key] = one.items()
    return lists


def place(root: Node, path: str, value: Node) -> Node:
    """Return the tree with `value` at a dotted path; maps on the way are made where they are missing.

    Raises:
        InputError: the path begins with no scenario key, or leads into a list by a name or beyond its end.
    """
    first = path.split(".")[0]
    if first not in SECTIONS:
        raise InputError(f"unknown key {first!r}", closest(first, SECTIONS))
    return _place(root, path.split("."), value, "")


def _place(node: Node | None, path: Sequence[str], value: Node, above: str) -> Node:
    if not path:
        return value
    key, rest = path[0], path[1:]
    here = f"{above}.{key}" if above else key
    if node is not None and node.kind == "list":
        index = int(key) if key.isdecimal() and len(key) < 6 else -1
        if not 0 <= index < len(node.value):
            valid = f"0 to {len(node.value) - 1}" if node.value else "none: it is empty"
            raise InputError(f"{key!r} is no place in the list {above!r}", f"write its position: {valid}")
        items = (*node.value[:index], _place(node.value[index], rest, value, here), *node.value[index + 1 :])
        return Node("list", items, node.file, node.line)
    if node is None:
        node = Node("map", (), value.file, value.line)
    elif node.kind == "str":
        # A bare name stands for a plug-in of that kind without fields.
        node = node_of_kind(node)
    elif node.kind != "map":
        raise InputError(f"{above!r} is {node.text()!r}, which has no key {key!r}", "make it a map")
    entries = node.entries()
    entries[key] = _place(entries.get(key), rest, value, here)
    return node.replaced(entries)
