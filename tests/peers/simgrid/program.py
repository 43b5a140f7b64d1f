"""Our programs over SimGrid's public S4U interface, built where g++ and SimGrid's headers are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def built(folder: Path, name: str) -> Path:
    """Return the program made of `name`.cpp; skip where SimGrid is not installed, fail where only ours is broken."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    probe = folder / "probe.cpp"
    probe.write_text("#include <simgrid/s4u.hpp>\nint main() { return 0; }\n", encoding="utf-8")
    if _compiled(folder, probe).returncode:
        pytest.skip("SimGrid is not installed (Debian package libsimgrid-dev)")
    result = _compiled(folder, Path(__file__).with_name(f"{name}.cpp"))
    assert result.returncode == 0, result.stderr
    return folder / name


def _compiled(folder: Path, source: Path) -> subprocess.CompletedProcess[str]:
    command = ["g++", "-O2", "-std=c++17", str(source), "-o", str(folder / source.stem), "-lsimgrid"]
    return subprocess.run(command, capture_output=True, text=True, check=False)
