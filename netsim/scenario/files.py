"""Files that a scenario names: where they are looked for, and what there is instead."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import netsim
from netsim.errors import InputError, closest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.registry import FileField


def resolve(text: str, field: FileField, folder: Path) -> str:
    """Return the absolute path of a file named in a scenario of `folder`; see `FileField` for where it is looked for.

    Raises:
        InputError: there is no such file; lists what was tried and the names that exist there.
    """
    project = Path(netsim.__file__).parents[1] / "scenarios"
    homes = list(dict.fromkeys([folder, *(base / one for one in field.folders for base in (folder, project))]))
    ends = [""] if text.endswith(field.suffix) else ["", field.suffix]
    tried = list(dict.fromkeys(home / (os.path.expanduser(text) + end) for home in homes for end in ends))
    for one in tried:
        if text and os.path.isfile(one):
            return os.path.abspath(one)
    if text and (folders := [str(one) for one in tried if os.path.isdir(one)]):
        raise InputError(f"{folders[0]!r} is a directory", "name a file in it")
    beside = get_close_matches(Path(text).stem, _names(homes[:1], field.suffix), n=3, cutoff=0.5)
    there = sorted({*_names(homes[1:] or homes, field.suffix), *beside})
    remedy = closest(text, there) if there else "there is no such file in any of these folders"
    raise InputError(f"file {text!r} is not found", f"tried {', '.join(str(one) for one in tried)}; {remedy}")


def _names(homes: Sequence[Path], suffix: str) -> list[str]:
    found = [one for home in homes if home.is_dir() for one in home.iterdir() if one.is_file()]
    return sorted({one.name.removesuffix(suffix) for one in found if one.name.endswith(suffix)})
