"""What Python calls are given: plain values of it, or an error that names the argument."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import Any, SupportsIndex, cast

from netsim.errors import InputError

_SHOWN = 80


def shown(value: object) -> str:
    """Return what was given on one line, cut where it is long, for the text of an error."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def plain(value: Any) -> Any:
    """Return what NumPy, pandas or torch holds as numbers, texts and lists; anything else as it is."""
    return value.tolist() if callable(getattr(value, "tolist", None)) and not isinstance(value, type) else value


def whole(value: object, name: str, least: int = 0) -> int:
    """Return a whole number of Python, NumPy or torch as an int; raise InputError for any other, or a smaller one."""
    number = plain(value)
    if isinstance(number, bool) or not hasattr(number, "__index__") or operator.index(number) < least:
        raise InputError(f"cannot be {shown(value)}", f"give a whole number of {least} or more", name)
    return operator.index(cast("SupportsIndex", number))


def file_path(value: object, name: str) -> Path:
    """Return the path that a text or a Path names; raise InputError where it can be none."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or not text or "\0" in text:
        raise InputError(f"{shown(value)} is no path of a file", "give a text or a pathlib.Path", name)
    return Path(text)
