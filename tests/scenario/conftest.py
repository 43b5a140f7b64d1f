"""The folder that the scenarios of the tests stand in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scenario.tiny import make_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scenario's folder with a small trace."""
    return make_folder(tmp_path_factory.mktemp("scenarios"))
