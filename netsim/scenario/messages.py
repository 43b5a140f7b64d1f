"""What is wrong with a field, in words of ours: the problem and the remedy of every way a value can be refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from netsim.errors import closest
from netsim.registry import FileField
from netsim.scenario.fields import REGISTRIES, Fields, core_type, fields_of, marker
from netsim.units import Quantity

if TYPE_CHECKING:
    from netsim.registry import Registry

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


def unknown(cls: type, fields: Fields, name: str, registry: Registry[Any] | None) -> tuple[str, str]:
    """Return the problem and the remedy of a key that a dataclass does not have: its own keys, and who has it."""
    valid = [*fields.names, "kind"] if registry else list(fields.names)
    if registry is None:
        return f"unknown key {name!r}", closest(name, valid)
    kind = getattr(cls, "kind", cls.__name__)
    others = [one for one in registry if name in fields_of(registry.get(one)).names]
    hint = f"it is a key of {registry.kind} {_few(others)}; " if others else ""
    return f"unknown key {name!r} of {registry.kind} {kind!r}", hint + closest(name, valid)


def _few(names: list[str], most: int = 4) -> str:
    shown = names if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} others"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown)


def described(detail: Any, hint: Any) -> tuple[str, str]:
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
    return (
        {True: "true", False: "false", None: "null"}[value]
        if value is None or value is True or value is False
        else (f"the text {value!r}" if isinstance(value, str) else repr(value))
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
    if get_origin(core) is tuple:
        return f"[{example(get_args(core)[0])}]"
    return {int: "1", float: "0.5", bool: "true", str: "name"}.get(get_origin(core) or core, "value")
