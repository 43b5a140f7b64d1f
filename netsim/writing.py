"""Files written at one stroke: under a temporary name beside their place, flushed to the disk and renamed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from netsim.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEMPORARY = ".writing"
"""How the names of files end that are being written."""


def write_text(path: Path, text: str) -> None:
    """Write a text file; see `write_atomically`."""
    write_atomically(path, lambda stream: stream.write(text.encode()))


def write_atomically(path: Path, write: Callable[[Any], object]) -> None:
    """Let `write` fill a file that appears under its name only once it is on the disk; what is no file is written to.

    Raises:
        InputError: it cannot be written there; nothing of it is left.
    """
    try:
        if path.exists() and not path.is_file():  # a device or a pipe, which a file must not replace
            with path.open("wb") as stream:
                write(stream)
        else:
            _replace(path.resolve(), write)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror or error}", "choose another place, or free some space", file=str(path)
        ) from error


def _replace(path: Path, write: Callable[[Any], object]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
