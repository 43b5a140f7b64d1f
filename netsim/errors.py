"""Every error a user can cause. The command line prints them without a traceback and exits with 1."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class NetsimError(Exception):
    """Base of all errors that the user's input can cause."""


@dataclass
class InputError(NetsimError):
    """One problem of the input: where it is, what is wrong, what to do about it.

    Prints as `file:line: path: problem; remedy`, leaving out what is not known.
    """

    problem: str
    remedy: str = ""
    path: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        said = f"{self.problem}; {self.remedy}" if self.remedy else self.problem
        return ": ".join(part for part in (place, self.path, said) if part)


class ScenarioErrors(NetsimError):
    """All problems found in one or more scenarios, in the order of their lines."""

    def __init__(self, problems: Iterable[InputError]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class TraceError(InputError):
    """A trace file that is missing, damaged, or was not written by netsim."""


class Deadlock(NetsimError):
    """The simulation stopped while workers were still waiting; says who waits for what."""


_MOST_NAMES = 100


def closest(name: object, valid: Iterable[str]) -> str:
    """Return the remedy for an unknown name: the nearest valid ones first, then all of them, as far as one can read."""
    names = sorted(valid)
    near = get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(one) for one in near)}? " if near else ""
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return f"{hint}valid names: {', '.join(names[:_MOST_NAMES])}{more}"
