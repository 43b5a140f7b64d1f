"""Trees of values become plug-ins: every problem is collected with its line, its remedy and its path."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pydantic

from netsim.compress.base import schemes
from netsim.errors import InputError, ScenarioErrors
from netsim.registry import FileField, Registry
from netsim.scenario.fields import REGISTRIES, Fields, fields_of, marker
from netsim.scenario.messages import described, example, unknown
from netsim.scenario.tree import Node, from_python

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

T = TypeVar("T")


def build(registry: Registry[T], spec: object, folder: Path | None = None) -> T:
    """Return the member that a name, or a dict of `kind` and its keys, describes; values are written as in YAML.

    Args:
        registry: what is built.
        spec: for example `"ring"` or `{"kind": "star", "workers": 8, "bandwidth": "10 Gbit/s"}`; nested members may be
            built already.
        folder: where files are looked for, the working folder unless given.

    Raises:
        ScenarioErrors: every problem of the spec.
    """
    builder = Builder(folder or Path.cwd())
    member = builder.member(registry, from_python(spec), "")
    if member is None or builder.problems:
        raise ScenarioErrors(builder.problems)
    return member


class Builder:
    """Builds sections and remembers problems; an equal section at the same place is built once.

    `swept` are dotted keys that a broken sweep would have given, so that they are not also reported as missing.
    """

    def __init__(self, folder: Path, swept: Iterable[str] = ()) -> None:
        self.folder = folder
        self.swept = tuple(swept)
        self.problems: list[InputError] = []
        self._built: dict[object, Any] = {}

    def member(self, registry: Registry[T], node: Node, path: str, **given: Any) -> T | None:
        """Return the member that `node` describes, or None after noting why not; `given` fields are built already."""
        key = (registry.kind, path, node, tuple(given.items()))
        if key not in self._built:
            self._built[key] = self._member(registry, node, path, given)
        return self._built[key]  # type: ignore[no-any-return]

    def _member(self, registry: Registry[Any], node: Node, path: str, given: dict[str, Any]) -> Any:
        if node.kind == "object" and any(isinstance(node.value, b) for b, r in REGISTRIES.items() if r is registry):
            return node.value
        if node.kind == "list" and registry is schemes:
            return self._stack(node, path)
        kind = node if node.kind == "str" else node.get("kind")
        if kind is None or kind.kind != "str":
            has = "has no 'kind'" if kind is None and node.kind == "map" else f"cannot be {(kind or node).text()!r}"
            remedy = f"write a name, or a map with `kind:`; valid kinds: {', '.join(sorted(registry))}"
            return self.note((kind or node).error(path, f"{registry.kind} {has}", remedy))
        try:
            member = registry.get(kind.value)
        except InputError as error:
            return self.note(kind.error(path, error.problem, _if_a_file(registry, kind.value) or error.remedy))
        entries = {key: one for key, one in node.entries().items() if key != "kind"}
        return self.section(member, node.replaced(entries), path, registry=registry, given=given)

    def _stack(self, node: Node, path: str) -> Any:
        """Build a list of wrappers, outermost first, that ends in a scheme."""
        items = node.items()
        if not items:
            return self.note(node.error(path, "is an empty list", "write [wrapper, scheme], or a scheme's name"))
        made: Any = self.member(schemes, items[-1], f"{path}.{len(items) - 1}")
        for index in reversed(range(len(items) - 1)):
            made = self.member(schemes, items[index], f"{path}.{index}", inner=made)
        return made

    def section(
        self,
        cls: type,
        node: Node,
        path: str,
        *,
        registry: Registry[Any] | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return a dataclass made from a map, or None after noting what is wrong with it."""
        before = len(self.problems)
        fields = fields_of(cls)
        if node.kind != "map":
            remedy = f"write `key: value` lines below it; valid keys: {', '.join(fields.names)}"
            return self.note(node.error(path, f"is {node.text()!r} where a map is expected", remedy))
        entries = node.entries()
        given = self._given(cls, fields, node, path, dict(given or {}))
        values = dict(given)
        for name, kind in fields.nested.items():
            if name in entries and name not in given:
                values[name] = self._nested(kind, entries[name], join(path, name), name in fields.optional)
            elif name in fields.required and name not in given:
                self._missing(fields, name, node, path)
        plain = {name: one for name, one in entries.items() if name not in fields.nested}
        values |= self._scalars(cls, fields, node, plain, path, registry)
        if (
            len(self.problems) > before
            or any(values[name] is None for name in given)
            or fields.required - values.keys()
        ):
            return None
        try:
            return cls(**values)
        except InputError as error:
            return self.note(attached(error, node, path))

    def _given(self, cls: type, fields: Fields, node: Node, path: str, given: dict[str, Any]) -> dict[str, Any]:
        """Return the fields that are built already and that the dataclass has; note the others."""
        entries = node.entries()
        for name in sorted(given.keys() & entries.keys()):
            remedy = "leave it out: the next entry of the list is what is wrapped"
            self.note(entries[name].error(join(path, name), f"{name!r} is given twice", remedy))
        if given.keys() - set(fields.names):
            wrappers = [one for one in schemes if "inner" in fields_of(schemes.get(one)).names]
            problem = f"{getattr(cls, 'kind', '')!r} is no wrapper, so nothing may follow it"
            self.note(node.error(path, problem, f"put it last, after wrappers: {', '.join(wrappers)}"))
        return {name: one for name, one in given.items() if name in fields.names}

    def _nested(self, kind: Registry[Any] | type, node: Node, path: str, optional: bool) -> Any:
        if node.kind == "null" and optional:
            return None
        return self.member(kind, node, path) if isinstance(kind, Registry) else self.section(kind, node, path)

    def _scalars(
        self,
        cls: type,
        fields: Fields,
        node: Node,
        entries: dict[str, Node],
        path: str,
        registry: Registry[Any] | None,
    ) -> dict[str, Any]:
        plain = default_files(cls, fields) | {name: one.plain() for name, one in entries.items()}
        try:
            made = fields.model.model_validate(plain, context=self.folder)
        except pydantic.ValidationError as error:
            for detail in error.errors(include_url=False):
                name = str(detail["loc"][0])
                if detail["type"] == "missing" and len(detail["loc"]) == 1:
                    self._missing(fields, name, node, path)
                elif detail["type"] == "extra_forbidden":
                    self.note(entries[name].error(join(path, name), *unknown(cls, fields, name, registry)))
                else:
                    where = ".".join(str(one) for one in detail["loc"])
                    problem, remedy = described(detail, fields.hints[name])
                    self.note(_at(entries[name], detail["loc"][1:]).error(join(path, where), problem, remedy))
            return {}
        return {name: getattr(made, name) for name in made.model_fields_set}

    def _missing(self, fields: Fields, name: str, node: Node, path: str) -> None:
        remedy = f"add `{name}: {example(fields.hints[name])}`"
        if name == "inner":
            remedy = "put it in a list before the scheme that it wraps: [wrapper, scheme]; in Python, give `inner`"
        self.missing(node, path, name, remedy)

    def missing(self, node: Node, path: str, name: str, remedy: str) -> None:
        """Remember that a key is missing, unless a broken sweep was to give it."""
        here = join(path, name)
        if not any(key == here or key.startswith(here + ".") for key in self.swept):
            self.note(node.error(path or name, f"missing key {name!r}", remedy))

    def note(self, problem: InputError) -> None:
        """Remember a problem."""
        self.problems.append(problem)


def default_files(cls: type, fields: Fields) -> dict[str, str]:
    """Return the files that a dataclass names by default, which are looked for like those that a user names."""
    return {
        one.name: one.default
        for one in dataclasses.fields(cls)
        if isinstance(one.default, str) and marker(fields.hints.get(one.name), FileField)
    }


def join(path: str, name: str) -> str:
    """Return the dotted path of a key."""
    return f"{path}.{name}" if path else name


def attached(error: InputError, node: Node, path: str) -> InputError:
    """Return a plug-in's own problem at its place in the scenario; a file that it names goes before the problem."""
    problem = f"{error.file}: {error.problem}" if error.file else error.problem
    field = error.path.removeprefix(path).removeprefix(".")
    inner = node.get(field.split(".")[0])
    return (inner or node).error(join(path, field) if field else path, problem, error.remedy)


def _if_a_file(registry: Registry[Any], name: str) -> str:
    """Return the remedy where what should be a member's name is a file's."""
    if "file" in registry and name.endswith((".graphml", ".json")):
        return f"write {{kind: file, path: {name}}}"
    return "write here what that file says: a section is read from no other file" if name.endswith(".yaml") else ""


def _at(node: Node, loc: tuple[int | str, ...]) -> Node:
    for key in loc:
        inner = node.items()[key] if isinstance(key, int) and key < len(node.items()) else node.get(str(key))
        if inner is None:
            return node
        node = inner
    return node
