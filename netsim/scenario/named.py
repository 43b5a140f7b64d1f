"""Schemes that a command line names, written as in a scenario."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from netsim.compress.base import schemes
from netsim.errors import ScenarioErrors
from netsim.scenario.document import parse
from netsim.scenario.members import Builder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.compress.base import Scheme


def named_schemes(texts: Sequence[str]) -> list[Scheme]:
    """Return the schemes that texts name: `topk`, `{kind: topk, ratio: 0.1}`, `[error_feedback, topk]`.

    Raises:
        NetsimError: a text names no scheme, or a scheme that cannot be built.
    """
    builder = Builder(Path.cwd())
    listed = [parse(f"{{schemes: [{text}]}}", "--schemes", lined=False).entries()["schemes"] for text in texts]
    found = [builder.member(schemes, node, "") for one in listed for node in one.items()]
    if builder.problems:
        raise ScenarioErrors(builder.problems)
    return [one for one in found if one is not None]
