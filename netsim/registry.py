"""One registry a kind of plug-in: a name, a frozen dataclass, a first docstring line, a source.

A member is its own configuration: its fields are the YAML keys, its first docstring line is what `netsim list`
prints, its `paper` is what `netsim list` shows as the source.
"""

from __future__ import annotations

import inspect
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from netsim.errors import InputError, closest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")


class Registry(Generic[T]):
    """Names of one kind of plug-in, in the order they were registered.

    `elsewhere` holds what people look for under a name of this kind, and where a scenario says it.
    """

    def __init__(self, kind: str, elsewhere: Mapping[str, str] = MappingProxyType({})) -> None:
        self.kind, self.elsewhere = kind, elsewhere
        self._members: dict[str, type[T]] = {}

    def register(self, name: str, *, paper: str = "") -> Callable[[type[T]], type[T]]:
        """Return a class decorator that adds a member and sets its `kind` and `paper`."""

        def add(member: type[T]) -> type[T]:
            if name in self._members:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            member.kind = name  # type: ignore[attr-defined]
            member.paper = paper  # type: ignore[attr-defined]
            self._members[name] = member
            return member

        return add

    def get(self, name: str) -> type[T]:
        """Return the member called `name`; raise InputError naming the nearest ones."""
        if not isinstance(name, str) or name not in self._members:
            if str(name) in self.elsewhere:
                raise InputError(f"{name!r} is no {self.kind}", f"write {self.elsewhere[str(name)]}")
            raise InputError(f"unknown {self.kind} {name!r}", closest(name, self._members))
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names in order of registration."""
        return iter(self._members)

    def summary(self, name: str) -> tuple[str, str]:
        """Return the first docstring line and the source of a member."""
        member = self.get(name)
        return (inspect.getdoc(member) or "").split("\n")[0], member.paper  # type: ignore[attr-defined]


@dataclass(frozen=True)
class FileField:
    """Marks a string field that names a file: where it is looked for, and what may be left off its name.

    A loader tries the path as written (`~` is the home; else relative to the scenario's folder), then each of `folders`
    under the scenario's folder and under the project's `scenarios/`, with and without `suffix`, and stores the absolute
    path.
    """

    folders: tuple[str, ...] = ()
    suffix: str = ""


@dataclass(frozen=True)
class Variant:
    """A member as a table of costs knows it: its name, its fields by name, and its label for messages."""

    kind: str
    fields: tuple[tuple[str, Any], ...] = ()
    label: str = field(default="", compare=False)


def variant(member: Any, leave_out: tuple[str, ...] = ()) -> Variant:
    """Return a member's name and all its fields but some."""
    told = [one.name for one in fields(member) if one.init and one.name not in leave_out]
    return Variant(member.kind, tuple((name, getattr(member, name)) for name in told), label(member, leave_out))


def label(member: Any, leave_out: tuple[str, ...] = (), always: tuple[str, ...] = ()) -> str:
    """Return a member's name with the fields that are not defaults, or `always` told, as in `topk(ratio=0.001)`."""
    told = [one for one in fields(member) if one.init and one.name not in leave_out]
    changed = [
        one for one in told if one.name in always or one.default is MISSING or getattr(member, one.name) != one.default
    ]
    shown = ", ".join(f"{one.name}={_text(getattr(member, one.name))}" for one in changed)
    return f"{member.kind}({shown})" if shown else str(member.kind)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
