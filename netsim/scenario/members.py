"""Trees of values become plug-ins: every problem is collected with its line, its remedy and its path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

import pydantic

from netsim.compress.base import schemes
from netsim.errors import InputError, ScenarioErrors, closest
from netsim.registry import FileField, Registry
from netsim.scenario.document import Node, from_python
from netsim.scenario.fields import REGISTRIES, Fields, core_type, fields_of, marker
from netsim.units import Quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

_TYPES = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "tuple": "a list",
    "list": "a list",
    "dict": "a map",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


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

    `partial` sections lack keys that a broken sweep would have given, so a missing key is no problem then.
    """

    def __init__(self, folder: Path, *, partial: bool = False) -> None:
        self.folder = folder
        self.partial = partial
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
            return self.note(kind.error(path, error.problem, error.remedy))
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
        given = dict(given or {})
        if node.kind != "map":
            remedy = f"write `key: value` lines below it; valid keys: {', '.join(fields.names)}"
            return self.note(node.error(path, f"is {node.text()!r} where a map is expected", remedy))
        entries = node.entries()
        for name in sorted(given.keys() & entries.keys()):
            remedy = "leave it out: the next entry of the list is what is wrapped"
            self.note(entries[name].error(join(path, name), f"{name!r} is given twice", remedy))
        if stray := sorted(given.keys() - set(fields.names)):
            wrappers = [one for one in schemes if "inner" in fields_of(schemes.get(one)).names]
            problem = f"{getattr(cls, 'kind', '')!r} is no wrapper, so nothing may follow it"
            self.note(node.error(path, problem, f"put it last, after wrappers: {', '.join(wrappers)}"))
            given = {name: one for name, one in given.items() if name not in stray}
        values = dict(given)
        for name, kind in fields.nested.items():
            if name in entries and name not in given:
                values[name] = self._nested(kind, entries[name], join(path, name), name in fields.optional)
            elif name in fields.required and name not in given:
                self._missing(fields, name, node, path)
        plain = {name: one for name, one in entries.items() if name not in fields.nested}
        values |= self._scalars(cls, fields, node, plain, path, registry)
        if len(self.problems) > before or any(values[name] is None for name in given) or fields.required - values.keys():
            return None
        try:
            return cls(**values)
        except InputError as error:
            return self.note(attached(error, node, path))

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
        plain = {name: one.plain() for name, one in entries.items()}
        try:
            made = fields.model.model_validate(plain, context=self.folder)
        except pydantic.ValidationError as error:
            for detail in error.errors(include_url=False):
                name = str(detail["loc"][0])
                if detail["type"] == "missing" and len(detail["loc"]) == 1:
                    self._missing(fields, name, node, path)
                elif detail["type"] == "extra_forbidden":
                    self.note(entries[name].error(join(path, name), *_unknown(cls, fields, name, registry)))
                else:
                    where = ".".join(str(one) for one in detail["loc"])
                    problem, remedy = _described(detail, fields.hints[name])
                    self.note(_at(entries[name], detail["loc"][1:]).error(join(path, where), problem, remedy))
            return {}
        return {name: getattr(made, name) for name in made.model_fields_set}

    def _missing(self, fields: Fields, name: str, node: Node, path: str) -> None:
        if not self.partial:
            remedy = f"add `{name}: {example(fields.hints[name])}`"
            if name == "inner":
                remedy = "put it in a list before the scheme that it wraps: [wrapper, scheme]"
            self.note(node.error(path, f"missing key {name!r}", remedy))

    def note(self, problem: InputError) -> None:
        """Remember a problem."""
        self.problems.append(problem)


def join(path: str, name: str) -> str:
    """Return the dotted path of a key."""
    return f"{path}.{name}" if path else name


def attached(error: InputError, node: Node, path: str) -> InputError:
    """Return a plug-in's own problem at its place in the scenario; a file that it names goes before the problem."""
    problem = f"{error.file}: {error.problem}" if error.file else error.problem
    inner = node.get(error.path.split(".")[0])
    return (inner or node).error(join(path, error.path) if error.path else path, problem, error.remedy)


def _at(node: Node, loc: tuple[int | str, ...]) -> Node:
    for key in loc:
        inner = node.items()[key] if isinstance(key, int) and key < len(node.items()) else node.get(str(key))
        if inner is None:
            return node
        node = inner
    return node


def _unknown(cls: type, fields: Fields, name: str, registry: Registry[Any] | None) -> tuple[str, str]:
    valid = [*fields.names, "kind"] if registry else list(fields.names)
    if registry is None:
        return f"unknown key {name!r}", closest(name, valid)
    kind = getattr(cls, "kind", cls.__name__)
    others = [one for one in registry if name in fields_of(registry.get(one)).names]
    hint = f"it is a key of {registry.kind} {' and '.join(others)}; " if others else ""
    return f"unknown key {name!r} of {registry.kind} {kind!r}", hint + closest(name, valid)


def _described(detail: Any, hint: Any) -> tuple[str, str]:
    """Return the problem and the remedy of one pydantic error, in words of ours."""
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    remedy = f"write for example `{example(hint)}`"
    if kind == "input":
        return context["problem"], context["remedy"]
    if kind in _BOUNDS:
        word, key = _BOUNDS[kind]
        return f"must be {word} {context[key]}, not {value!r}", f"write a value that is {word} {context[key]}"
    if kind == "literal_error":
        choices = [str(one) for one in get_args(core_type(hint))] or [str(context.get("expected", ""))]
        return f"cannot be {_written(value)}", closest(value, choices)
    wanted = _TYPES.get(re.sub(r"_(type|parsing|from_float)$", "", kind))
    if kind == "finite_number":
        return f"must be finite, not {value!r}", "write a finite number"
    if wanted:
        return f"must be {wanted}, not {_written(value)}", remedy
    return f"cannot be {_written(value)}", remedy


def _written(value: Any) -> str:
    return {True: "true", False: "false", None: "null"}[value] if value is None or value is True or value is False else (
        f"the text {value!r}" if isinstance(value, str) else repr(value)
    )


def example(hint: Any) -> str:
    """Return an example value of a field's type, as it is written in YAML."""
    if quantity := marker(hint, Quantity):
        return str(quantity.example)
    if marker(hint, FileField):
        return "name of a file"
    core = core_type(hint)
    if get_origin(core) is Literal:
        return str(get_args(core)[0])
    if isinstance(core, type) and core in REGISTRIES:
        return next(iter(REGISTRIES[core]), "name")
    return {int: "1", float: "0.5", bool: "true", str: "name", tuple: "[...]"}.get(get_origin(core) or core, "value")
