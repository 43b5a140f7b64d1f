"""One re-settable alarm on a SimPy environment, so that a network has at most one event pending that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import simpy
from simpy.events import EventPriority

if TYPE_CHECKING:
    from collections.abc import Callable

LOW = EventPriority(2)
"""SimPy priority after URGENT (0) and NORMAL (1): a network settles once everything of the instant has arrived."""


class Timer:
    """Calls `action` at the time it was last set to; setting it again takes the earlier setting back."""

    def __init__(self, env: simpy.Environment, action: Callable[[], None]) -> None:
        self.fired = 0
        self._env = env
        self._action = action
        self._epoch = 0
        self._at_s = float("inf")

    def set(self, at_s: float) -> None:
        """Fire at `at_s`, at the end of that instant; infinity for never, now if it is past."""
        if at_s == self._at_s:
            return
        self._epoch += 1
        self._at_s = at_s
        if at_s == float("inf"):
            return
        epoch = self._epoch
        event = simpy.Event(self._env)
        event.callbacks.append(lambda _: self._fire(epoch))
        event._ok, event._value = True, None
        self._env.schedule(event, priority=LOW, delay=max(at_s - self._env.now, 0.0))

    def _fire(self, epoch: int) -> None:
        if epoch != self._epoch:
            return
        self.fired += 1
        self._at_s = float("inf")
        self._action()
