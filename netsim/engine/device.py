"""A worker's device in simulated time: it does one thing at a time, and coding that is due goes before computing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

KINDS = ("compute", "encode", "decode", "optimizer")


class Device:
    """Works for the process that owns it, and codes for anyone who asks; `worked_s` adds up the seconds of each kind.

    Each second of coding that is asked for while the device computes ends the computation a second later. `lasts_s`
    says how long seconds of work last that are taken up at a second.
    """

    def __init__(self, env: simpy.Environment, lasts_s: Callable[[float, float], float]) -> None:
        self.env = env
        self._lasts_s = lasts_s
        self.worked_s = dict.fromkeys(KINDS, 0.0)
        self._free_s = 0.0
        self._late_s = 0.0
        self._computing = False

    def work(self, what: str, seconds: float) -> Generator[simpy.Event, None, None]:
        """Work for so many seconds, after all coding that is due."""
        self.worked_s[what] += seconds
        coded_s = max(self._free_s - self.env.now, 0.0)
        left_s = coded_s + self._lasts_s(self.env.now + coded_s, seconds)
        self._computing, self._late_s = True, 0.0
        while left_s > 0:
            yield self.env.timeout(left_s)
            left_s, self._late_s = self._lasts_s(self.env.now, self._late_s), 0.0
        self._computing = False

    def code(self, what: str, seconds: float) -> float:
        """Work for so many seconds before anything else; return the seconds until that is done."""
        self.worked_s[what] += seconds
        start_s = max(self._free_s, self.env.now)
        self._free_s = start_s + self._lasts_s(start_s, seconds)
        self._late_s += seconds if self._computing else 0.0
        return self._free_s - self.env.now
