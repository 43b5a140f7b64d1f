"""How far long work has got, on standard error: a bar on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_S, MOST_S, SHARE = 10.0, 60.0, 0.1
"""Seconds until the first line, the most between two, and the share of what has passed that goes by between them."""


class Tell(Protocol):
    """Takes what is done of how much, and what is under way."""

    def __call__(self, done: int, total: int, what: str = "", /) -> None:
        """Take note of it."""


@contextmanager
def ticking(doing: str, show: bool = True, *, alike: bool = False) -> Iterator[Tell]:
    """Show on standard error how far the work inside the block has got, as it tells.

    Where its pieces take about as long as each other (`alike`), also what is left; else nobody knows.

    A terminal has a bar. A batch job's log has a line after 10 s, and then one every 10 s to a minute, the rarer the
    longer the work takes; they come from a thread, so that they also come while one long piece is under way.
    """
    if not show:
        yield _nothing
    elif sys.stderr.isatty():
        bar = _Bar(doing, alike)
        try:
            yield bar
        finally:
            bar.close()
    else:
        lines = _Lines(doing, alike)
        lines.start()
        try:
            yield lines
        finally:
            lines.stop()


def _nothing(_: int, __: int, ___: str = "") -> None:
    pass


class _Bar:
    def __init__(self, doing: str, alike: bool) -> None:
        self._doing = doing
        self._format = None if alike else "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}]"
        self._bar: Any = None

    def __call__(self, done: int, total: int, what: str = "", /) -> None:
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(
                desc=f"{self._doing} {what}".strip(), total=total, file=sys.stderr, bar_format=self._format
            )
        self._bar.set_description(f"{self._doing} {what}".strip(), refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Lines:
    def __init__(self, doing: str, alike: bool) -> None:
        self._doing, self._alike, self._told = doing, alike, (0, 0, "")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="netsim-ticker", daemon=True)
        self._begin_s = time.monotonic()

    def __call__(self, done: int, total: int, what: str = "", /) -> None:
        self._told = done, total, what

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        pause_s = FIRST_S
        while not self._over.wait(pause_s):
            elapsed_s = time.monotonic() - self._begin_s
            with suppress(OSError, ValueError):  # nobody reads any more, or the stream is closed
                sys.stderr.write(f"{self._line(elapsed_s)}\n")
                sys.stderr.flush()
            pause_s = min(max(FIRST_S, SHARE * elapsed_s), MOST_S)

    def _line(self, elapsed_s: float) -> str:
        from tqdm import tqdm

        done, total, what = self._told
        left = ""
        if self._alike and done:
            left = f", about {tqdm.format_interval(elapsed_s * (total - done) / done)} left"
        here = f"{self._doing} {what}".strip()
        return f"{here}: {done}/{total or '?'} done, {tqdm.format_interval(elapsed_s)} elapsed{left}"
