"""Tables of measured coding costs as files: written at one stroke, and joined with what was measured before."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from netsim.errors import InputError
from netsim.workload.cost import Measured
from netsim.writing import write_text

_NUMBERS = re.compile(r"\[[-+0-9.eE,\s]+\]")
"""A list of numbers, which is written in one line."""


def write_table(table: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a table as JSON; the file is replaced at once or not at all."""
    text = _NUMBERS.sub(lambda found: " ".join(found[0].split()), json.dumps(table, indent=1))
    write_text(Path(path), text + "\n")


def of_device(path: str | os.PathLike[str], measured_on: dict[str, Any]) -> dict[str, Any]:
    """Return the table of a file, where it was measured on what `calibrate.measured_on` names.

    Raises:
        InputError: the file is no table, or one of another device, version of torch or number of threads.
    """
    table = Measured(table=os.fspath(path)).read
    for name, here in measured_on.items():
        if table.get(name) != here:
            problem = f"cost table {os.fspath(path)!r} has {name} {table.get(name)!r}, and here it is {here!r}"
            remedy = "measure as it was (OMP_NUM_THREADS sets threads), or into a file of its own, without --add"
            raise InputError(problem, remedy, "out")
    return table


def joined(table: dict[str, Any], older: dict[str, Any]) -> dict[str, Any]:
    """Return a table with what an older one of the same device holds besides; variants of both are the newer's."""
    dates = sorted({*str(older.get("date")).split(" to "), table["date"]})
    kinds = older["schemes"] | table["schemes"]
    both = {kind: _entries(older["schemes"].get(kind, []), table["schemes"].get(kind, [])) for kind in kinds}
    repeats = min(older.get("repeats", table["repeats"]), table["repeats"])
    statistics = sorted({*str(older.get("statistic", "median")).split(" or "), table["statistic"]})
    return older | {
        "date": " to ".join([*dates[:1], *dates[1:][-1:]]),
        "repeats": repeats,
        "statistic": " or ".join(statistics),
        "schemes": both,
    }


def _entries(older: list[dict[str, Any]], newer: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries of a kind of both tables, in the places of the older."""
    again = [next((one for one in newer if one["fields"] == old["fields"]), old) for old in older]
    return again + [one for one in newer if one["fields"] not in [old["fields"] for old in older]]
