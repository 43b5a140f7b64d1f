"""A synchronous job whose workers fail: checkpoints, and the work that is done again because of a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsim.errors import NetsimError

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from netsim.conditions import Cluster
    from netsim.engine.step import Step
    from netsim.scenario.schema import Checkpoint

_MOST_IN_VAIN = 100


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

    def run(self, step: Step) -> Generator[simpy.Event, Any, bool]:
        """Let a step run; return whether it is done, or all is back at the last checkpoint."""
        if not self._checkpoint.every:
            yield step.finished
            return True
        crash = self._cluster.crashed
        yield step.finished | crash
        if not crash.triggered:
            return True
        step.abandon()
        yield from self._start_again(self._env.now - step.begin_s)
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
            crash, up_s = self._cluster.crashed, self._cluster.devices.up_s(self._env.now)
            yield self._env.timeout(up_s - self._env.now + self._checkpoint.restart) | crash
            if not crash.triggered:
                break
        undone = sum(row["step_time_s"] for row in self.rows[self._saved :])
        self._lost_s += undone + since_s + self._env.now - begin_s
        del self.rows[self._saved :]
