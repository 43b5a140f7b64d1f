"""Which measured variants of a scheme stand for one that a scenario asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netsim.registry import Variant

_ABSENT = object()


class Choice(NamedTuple):
    """Measured variants with their shares, which add up to 1, and what to say unless one is the variant itself."""

    parts: tuple[tuple[float, int], ...]
    note: str = ""


class _Apart(NamedTuple):
    """The fields in which a measured variant differs: by another word, or by a number."""

    words: tuple[str, ...]
    numbers: tuple[str, ...]


def choose(wanted: Variant, measured: Sequence[Mapping[str, Any]]) -> Choice:
    """Return the variant itself where it was measured, else the nearest ones.

    Near are those with the fewest words of their own, and among these those with the fewest numbers of their own. Where
    one number is left, the two around it are weighted as a straight line weights them, or the nearest one stands beyond
    the last; where several are, the first of them stands, which is that of default parameters in a whole table.

    Args:
        wanted: the variant, with all its fields.
        measured: fields by name of each variant that was measured, at least one.
    """
    own = dict(wanted.fields)
    apart = [_apart(own, one) for one in measured]
    least = min((len(one.words), len(one.numbers)) for one in apart)
    near = [place for place, one in enumerate(apart) if (len(one.words), len(one.numbers)) == least]
    first = near[0]
    if least == (0, 0):
        return Choice(((1.0, first),))
    words, numbers = apart[first]
    if least[1] != 1:
        return Choice(((1.0, first),), f"{wanted.label} as with {_said(measured[first], words + numbers)}")
    (name,) = numbers
    places = {measured[place][name]: place for place in near if _alike(measured, apart, place, first)}
    low = max((value for value in places if value < own[name]), default=None)
    high = min((value for value in places if value > own[name]), default=None)
    if low is None or high is None:
        end = places[low if high is None else high]
        return Choice(((1.0, end),), f"{wanted.label} as with {_said(measured[end], (*words, name))}")
    share = (own[name] - low) / (high - low)
    also = f", with {_said(measured[first], words)}" if words else ""
    note = f"{wanted.label} between {name} {low:g} and {high:g}{also}"
    return Choice(((1 - share, places[low]), (share, places[high])), note)


def _apart(own: Mapping[str, Any], other: Mapping[str, Any]) -> _Apart:
    names = [name for name in {**own, **other} if own.get(name, _ABSENT) != other.get(name, _ABSENT)]
    numbers = tuple(name for name in names if _number(own.get(name)) and _number(other.get(name)))
    return _Apart(tuple(name for name in names if name not in numbers), numbers)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _alike(measured: Sequence[Mapping[str, Any]], apart: Sequence[_Apart], one: int, other: int) -> bool:
    """Return whether two variants differ from a third in the same fields, and by the same words."""
    words = apart[other].words
    return apart[one] == apart[other] and all(measured[one].get(name) == measured[other].get(name) for name in words)


def _said(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {fields.get(name, 'unknown')}" for name in names)
