"""The commands that say what there is: list, schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsim.cli.output import print_json, say

if TYPE_CHECKING:
    import argparse


def list_members(arguments: argparse.Namespace) -> None:
    """List members of the registries."""
    from netsim.cli.catalogue import catalogue
    from netsim.report.text import entries

    found = catalogue(arguments.what)
    if arguments.json:
        print_json({what: [one._asdict() for one in members] for what, members in found.items()})
        return
    blocks = []
    for what, members in found.items():
        rows = [(one.name, f"{one.summary} [{one.source}]" if one.source else one.summary) for one in members]
        blocks.append("\n".join([what, *(entries(rows) or ["  none"])]))
    say(arguments, "\n\n".join(blocks))


def schema(_arguments: argparse.Namespace) -> None:
    """Print the JSON Schema of a scenario."""
    from netsim.scenario.load import json_schema

    print_json(json_schema())
