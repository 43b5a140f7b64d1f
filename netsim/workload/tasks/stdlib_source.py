"""The source text of Python's standard library: real text that every machine with Python has."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from netsim.errors import InputError


def stdlib_source() -> bytes:
    """Return the modules at the top of the standard library, in the order of their names (about 5 MB).

    Raises:
        InputError: this Python came without its source.
    """
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = b"\n".join(file.read_bytes() for file in files)
    if len(text) < 1_000_000:
        raise InputError("this Python has no source of its standard library", "use a Python with lib/python3.x/*.py")
    return text
