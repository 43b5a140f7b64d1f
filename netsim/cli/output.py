"""How commands say what they found: text for people, JSON for machines."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import TYPE_CHECKING, Any

from netsim.errors import InputError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def check_writable(**options: Path | None) -> None:
    """Raise InputError where an option names a file that cannot be written: before long work, not after it."""
    for option, path in options.items():
        if path is not None and (path.is_dir() or not _takes_files(path.parent)):
            problem = f"{str(path)!r} cannot be written"
            raise InputError(problem, "name a file in a writable folder that exists", path=f"--{option}")


def check_folder(path: Path) -> None:
    """Raise InputError where --out names a folder that neither takes files nor can be made."""
    if not _takes_files(next(one for one in (path, *path.absolute().parents) if one.exists())):
        raise InputError(f"folder {str(path)!r} cannot be written", "choose another folder", path="--out")


def _takes_files(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK)


def print_json(value: object) -> None:
    """Print a value as JSON on standard output; what NumPy holds becomes plain, and what no number is null."""
    print(json.dumps(_plain(value), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def records(table: Any) -> list[dict[str, Any]]:
    """Return the rows of a table for JSON."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def say(arguments: argparse.Namespace, text: str) -> None:
    """Print what is for people: on standard output, or beside it where that is for machines."""
    print(text, file=sys.stderr if arguments.json else sys.stdout, flush=True)
