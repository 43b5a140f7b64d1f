"""Asynchronous workers and their servers as nodes fail: who comes back when, with which model, and what is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsim.errors import NetsimError

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from netsim.conditions import Cluster
    from netsim.engine.worker_processes import WorkerProcesses
    from netsim.scenario.schema import Checkpoint

_MOST_IN_VAIN = 100


class Comeback:
    """A worker that fails loses its step; others go on. It begins it anew with the model that servers have by then.

    A server that fails loses what has been pushed since the servers saved, and all go back to that: every so many steps
    of all workers, servers save, and take no messages in the meantime. `job.workers` and `job.ways` are replaced.
    """

    def __init__(self, job: WorkerProcesses, checkpoint: Checkpoint, cluster: Cluster) -> None:
        self.job, self.env, self.cluster = job, job.env, cluster
        self._checkpoint = checkpoint
        self._saved = [0] * len(job.nodes[0])
        self._lives = [0] * len(job.nodes[0])
        self._in_vain = [0] * len(job.nodes[0])
        self._all_lives = self._all_in_vain = self._done = 0
        self._all_down = False
        self._index = {int(node): index for index, node in enumerate(job.nodes[0])}
        cluster.listeners.append(self._crashed)

    def step_done(self, index: int) -> None:
        """Note that a worker has done a step; let servers save where that is due."""
        self._in_vain[index] = 0
        self._done += 1
        if self._done % (self._checkpoint.every * len(self._saved)):
            return
        kept, life = [len(worker.rows) for worker in self.job.workers], self._all_lives

        def saved() -> None:
            if life == self._all_lives:
                self._saved, self._all_in_vain = kept, 0

        self.cluster.rest(self._checkpoint.write)
        self.job.pushes.save(self._checkpoint.write, saved)

    def _crashed(self, node: int, until_s: float) -> None:
        if self._all_down or node in self.job.pushes.hosts:
            self._fail_all()
        else:
            self._fail(self._index[node], until_s)

    def _fail_all(self) -> None:
        """Stop all workers; what is under way is lost."""
        self._all_lives, self._all_down, self._done = self._all_lives + 1, True, sum(self._saved)
        self._all_in_vain = self._count(self._all_in_vain, "server's or all workers'")
        self.job.ways.close()
        self.env.process(self._start_all(self._all_lives))

    def _start_all(self, life: int) -> Generator[simpy.Event, Any, None]:
        wait_s = self.cluster.up_s() - self.env.now + self._checkpoint.restart
        self.cluster.rest(wait_s)
        yield self.env.timeout(wait_s)
        if life == self._all_lives:
            self._all_down = False
            self.job.start_again(self._saved)

    def _fail(self, index: int, until_s: float) -> None:
        """Stop one worker; what it has under way is lost, and nobody answers it."""
        self._lives[index] += 1
        self._in_vain[index] = self._count(self._in_vain[index], f"worker {index}'s")
        self.job.workers[index].gone = True
        self.job.pushes.drop(index)
        self.env.process(self._start(index, (self._lives[index], self._all_lives), until_s))

    def _start(self, index: int, life: tuple[int, int], until_s: float) -> Generator[simpy.Event, Any, None]:
        up_s = max(until_s, self.env.now + self.job.devices.lasts_s(index, self.env.now, 0.0))
        wait_s = up_s - self.env.now + self._checkpoint.restart
        self.cluster.rest(wait_s)
        yield self.env.timeout(wait_s)
        fetched = self.env.event()
        if life != (self._lives[index], self._all_lives):
            return
        self.job.pushes.fetch(index, self.job.model, fetched.succeed)
        yield fetched
        if life == (self._lives[index], self._all_lives):
            self.job.start_worker(index)

    def _count(self, before: int, whose: str) -> int:
        if before == _MOST_IN_VAIN:
            raise NetsimError(
                f"{_MOST_IN_VAIN} of {whose} failures in a row before anything is kept: the job gets nowhere; "
                "set checkpoint.every lower, or make failures rarer"
            )
        return before + 1
