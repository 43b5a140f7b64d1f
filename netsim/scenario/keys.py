"""The keys of a plug-in as one writes them: defaults, choices, and an example where there is no default."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple, get_args, get_origin

from netsim.scenario.dump import plain_value
from netsim.scenario.fields import core_type, fields_of
from netsim.scenario.messages import example
from netsim.scenario.tree import from_python


class Key(NamedTuple):
    """A key: its name, its default as it is written (None where it must be given), an example, and its choices."""

    name: str
    default: str | None
    example: str
    choices: tuple[str, ...]

    @property
    def said(self) -> str:
        """Return what may be written, in words."""
        if self.default is None:
            said = f"required, for example {self.example}"
        else:
            said = f"{self.default}, or for example {self.example}" if self.default in {"null", "[]"} else self.default
        others = [one for one in self.choices if one not in {self.default, self.example}]
        return f"{said}, or {', '.join(others)}" if others else said


def keys_of(cls: type) -> list[Key]:
    """Return the keys of a registered dataclass, in their order."""
    hints = fields_of(cls).hints
    return [_key(one, hints[one.name]) for one in dataclasses.fields(cls) if one.init]


def _key(field: dataclasses.Field[Any], hint: Any) -> Key:
    core = core_type(hint)
    choices = tuple(map(str, get_args(core))) if get_origin(core) is Literal else ()
    default = None
    if field.default_factory is not dataclasses.MISSING:
        default = _text(field.default_factory(), hint)
    elif field.default is not dataclasses.MISSING:
        default = _text(field.default, hint)
    return Key(field.name, default, example(hint), choices)


def _text(value: Any, hint: Any) -> str:
    return from_python(plain_value(value, hint, str)).text() or "''"
