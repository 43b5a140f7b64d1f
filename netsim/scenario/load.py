"""YAML scenarios become points, one for every swept value, architecture and scheme; or all their problems."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from netsim.errors import InputError, ScenarioErrors
from netsim.given import file_path, shown
from netsim.scenario.document import parse, read
from netsim.scenario.grid import Point, expand, find, swept_keys, unswept
from netsim.scenario.json_schema import json_schema
from netsim.scenario.members import Builder, build
from netsim.scenario.overrides import overridden
from netsim.scenario.points import PointReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netsim.scenario.schema import Scenario
    from netsim.scenario.tree import Node

__all__ = ["build", "json_schema", "load", "load_all", "parse_text"]


def load(path: str | Path, overrides: Mapping[str, object] | None = None) -> list[Scenario]:
    """Return the points of a scenario file, in the order of its sweep, then its `sync`, then its `schemes`.

    A point that repeats an earlier one (a baseline that a swept scheme's key does not touch, say) is left out.

    Args:
        path: a YAML file; files that it names are looked for beside it.
        overrides: dotted keys and values that replace what is written; a text is read as YAML. An overridden key is
            no longer swept.

    Raises:
        InputError: `path` is no path, or `overrides` no dict of keys and values.
        ScenarioErrors: every problem of every point, in the order of their lines.
    """
    if isinstance(path, str) and "\n" in path and not os.path.exists(path):
        raise InputError(f"{shown(path)} is a scenario's text", "write it to a file and give its path", "path")
    if not isinstance(overrides, Mapping | None) or not all(isinstance(key, str) for key in overrides or {}):
        remedy = "give a dict of dotted keys, such as {'topology.workers': 16}"
        raise InputError(f"cannot be {shown(overrides)}", remedy, "overrides")
    return load_all([file_path(path, "path")], overrides)


def load_all(paths: Iterable[str | Path], overrides: Mapping[str, object] | None = None) -> list[Scenario]:
    """Return the points of several files, one file after the other; raise ScenarioErrors with all problems of all."""
    scenarios: list[Scenario] = []
    problems: list[InputError] = []
    for path in map(Path, paths):
        try:
            scenarios += _points(read(path), path, overrides or {})
        except ScenarioErrors as error:
            problems += _sorted(error.problems)
    if problems:
        raise ScenarioErrors(problems)
    return scenarios


def parse_text(text: str, folder: Path | None = None, name: str = "scenario") -> list[Scenario]:
    """Return the points of a scenario written as text; files that it names are looked for in `folder`."""
    path = (folder or Path.cwd()) / name
    try:
        return _points(parse(text, name), path, {})
    except ScenarioErrors as error:
        raise ScenarioErrors(_sorted(error.problems)) from error


def _sorted(problems: Iterable[InputError]) -> list[InputError]:
    """Return problems by line, each once: points of a sweep share most of theirs."""
    kept: dict[tuple[str, str, str], InputError] = {}
    for one in sorted(problems, key=lambda one: (one.file, one.line)):
        kept.setdefault((one.file, one.path, one.problem), one)
    return list(kept.values())


def _points(root: Node, path: Path, overrides: Mapping[str, object]) -> list[Scenario]:
    root = overridden(root, overrides)
    problems: list[InputError] = []
    points = expand(root, problems)
    builder = Builder(path.parent, swept_keys(root) if problems else ())
    scenarios = PointReader(path.stem, builder, overridden=bool(overrides)).read(points)
    problems += builder.problems
    if points[0].swept and not problems:
        problems += _replaced(unswept(root), swept_keys(root), path)
    if problems:
        raise ScenarioErrors(problems)
    return scenarios


def _replaced(base: Node, swept: Iterable[str], path: Path) -> list[InputError]:
    """Return what is wrong with values that every point replaces: a reader takes them for sound."""
    builder = Builder(path.parent)
    PointReader(path.stem, builder).read([Point(base)])
    return [one for one in builder.problems if one.path in swept and find(base, one.path) is not None]
