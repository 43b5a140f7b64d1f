"""The commands that say what there is: list, schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsim.cli.output import print_json, say

if TYPE_CHECKING:
    import argparse


def list_members(arguments: argparse.Namespace) -> None:
    """List members of the registries, or say all of one."""
    from netsim.cli.catalogue import REGISTRIES, catalogue, member
    from netsim.report.text import entries

    if arguments.name:
        one = member(arguments.what, arguments.name)
        if arguments.json:
            print_json(one._asdict() | {"keys": [key._asdict() for key in one.keys]})
            return
        source = [f"[{one.source}]"] if one.source else []
        keys = entries([(key.name, key.said) for key in one.keys]) or ["  none"]
        say(arguments, "\n".join([one.name, *source, "", one.text, "", "keys, with their defaults", *keys]))
        return
    found = catalogue(arguments.what)
    if arguments.json:
        print_json({what: [one._asdict() for one in members] for what, members in found.items()})
        return
    blocks = []
    for what, members in found.items():
        rows = [(one.name, f"{one.summary} [{one.source}]" if one.source else one.summary) for one in members]
        blocks.append("\n".join([what, *(entries(rows) or ["  none"])]))
        elsewhere = REGISTRIES[what].elsewhere if what in REGISTRIES else {}
        if elsewhere:
            blocks.append("\n".join([f"said elsewhere than in {what}", *entries(list(elsewhere.items()))]))
    say(arguments, "\n\n".join(blocks))


def schema(_arguments: argparse.Namespace) -> None:
    """Print the JSON Schema of a scenario."""
    from netsim.scenario.load import json_schema

    print_json(json_schema())
