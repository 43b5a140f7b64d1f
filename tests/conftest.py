from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings

if TYPE_CHECKING:
    import pytest

# The first example waits for compiled code, and any of them on a machine that is busy.
settings.register_profile("netsim", deadline=None)
settings.load_profile("netsim")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate-golden", action="store_true", help="write tests/golden/*.csv anew")
