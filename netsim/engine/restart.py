"""A synchronous job whose nodes fail: checkpoints, and the work that is done again because of a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from netsim.errors import NetsimError

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from netsim.conditions import Cluster
    from netsim.scenario.schema import Checkpoint

_MOST_IN_VAIN = 100


class Stretch(Protocol):
    """One or more steps under way that are done, or lost, together; `finished` fires with the end of the last one."""

    begin_s: float
    finished: simpy.Event

    def abandon(self) -> None:
        """Let them end here: nobody finishes them, and what they had under way is gone."""


class Steps:
    """The rows of the steps that are done, and how many of them the last checkpoint holds.

    Seconds that a failure has cost are added to the next step that is kept: `lost_s`, a part of its `step_time_s`.
    """

    def __init__(self, checkpoint: Checkpoint, cluster: Cluster) -> None:
        self.rows: list[dict[str, Any]] = []
        self._checkpoint, self._cluster, self._env = checkpoint, cluster, cluster.env
        self._saved = 0
        self._lost_s = 0.0
        self._in_vain = 0

    @property
    def number(self) -> int:
        """Return the number of the step that is next."""
        return len(self.rows)

    def until(self, count: int) -> int:
        """Return how many of so many steps are done when the next checkpoint is due, or all."""
        every = self._checkpoint.every
        return min((self.number // every + 1) * every, count) if every else count

    def run(self, stretch: Stretch) -> Generator[simpy.Event, Any, bool]:
        """Let steps run; return whether they are done, or all is back at the last checkpoint."""
        if not self._checkpoint.every:
            yield stretch.finished
            return True
        crash = self._cluster.crashed
        yield stretch.finished | crash
        if not crash.triggered:
            return True
        stretch.abandon()
        yield from self._start_again(self._env.now - stretch.begin_s)
        return False

    def add(self, row: dict[str, Any]) -> Generator[simpy.Event, Any, None]:
        """Keep a step that is done, and save it where a checkpoint is due."""
        self.rows.append(row | {"step": self.number})
        self._add(self._lost_s)
        self._lost_s = 0.0
        if not self._checkpoint.every or self.number % self._checkpoint.every:
            return
        begin_s, crash = self._env.now, self._cluster.crashed
        if self._checkpoint.write:
            self._cluster.rest(self._checkpoint.write)
            yield self._env.timeout(self._checkpoint.write) | crash
            if crash.triggered:
                yield from self._start_again(self._env.now - begin_s)
                return
            self._add(self._checkpoint.write)
        self._saved, self._in_vain = self.number, 0

    def _add(self, lost_s: float) -> None:
        self.rows[-1]["lost_s"] += lost_s
        self.rows[-1]["step_time_s"] += lost_s

    def _start_again(self, since_s: float) -> Generator[simpy.Event, Any, None]:
        """Wait until all are back, load the last checkpoint, and give up the steps since then."""
        self._in_vain += 1
        if self._in_vain > _MOST_IN_VAIN:
            raise NetsimError(
                f"{_MOST_IN_VAIN} failures in a row before the next checkpoint: the job gets nowhere; "
                "set checkpoint.every lower, or make failures rarer"
            )
        begin_s = self._env.now
        while True:
            crash, wait_s = self._cluster.crashed, self._cluster.up_s() - self._env.now + self._checkpoint.restart
            self._cluster.rest(wait_s)
            yield self._env.timeout(wait_s) | crash
            if not crash.triggered:
                break
        undone = sum(row["step_time_s"] for row in self.rows[self._saved :])
        self._lost_s += undone + since_s + self._env.now - begin_s
        del self.rows[self._saved :]
