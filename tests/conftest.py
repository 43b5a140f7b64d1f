from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from hypothesis import settings

if TYPE_CHECKING:
    import pytest

# The first example waits for compiled code, and any of them on a machine that is busy: no deadline. A run draws the
# examples of the run before, so that a change alone can break it; `--hypothesis-profile search` draws others.
settings.register_profile("netsim", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("netsim")

# A shell's job in the background ignores Ctrl-C, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate-golden", action="store_true", help="write tests/golden/*.csv anew")
