"""A job whose workers are processes: over parameter servers, where `server_rows.py` does not do.

Over collectives by priority it says the same as `priority_rows.py`, which runs these, and which tests hold against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.engine.comeback import Comeback
from netsim.engine.communicator import Communicator
from netsim.engine.push_pull import PushPull
from netsim.engine.spans import as_done
from netsim.engine.worker import Worker
from netsim.engine.worker_job import WorkerJob
from netsim.sync.base import Sync
from netsim.sync.parameter_server import ParameterServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import simpy
    from numpy.typing import NDArray

    from netsim.engine.coding import Exchange
    from netsim.engine.measure import Measurement
    from netsim.engine.spans import Span
    from netsim.engine.ways import Ways
    from netsim.engine.worker_job import Rows
    from netsim.workload.base import Timing

_NOT_MEANS = {"step", "worker", "begin_s", "end_s", "staleness"}


class WorkerProcesses(WorkerJob[Sync]):
    """One job. What comes before the steady state is run but not told.

    By priority, the first step has nothing to wait for, and the job is over when what the last one sent has come.
    Asynchronous workers need a while to fall out of step: as many steps as are told are left out, and fast workers go
    on until the slowest has done its steps.

    Attributes:
        warm_up: the steps of each worker that are run but not told.
        kept: the steps of which spans are kept.
        forward_shares: by bucket, the share of its layers in all forward passes of a step that wait for them.
        optimizer_s: by bucket, the seconds of its update by itself.
    """

    def begin(self) -> None:
        """Start the workers."""
        measurement, timing = self.measurement, self.timing
        self.staleness = self.sync.staleness if isinstance(self.sync, ParameterServer) else 0
        self.by_priority = self.job.scheduling == "priority"
        self.warm_up = self.job.steps if self.staleness else int(self.by_priority)
        self._last = self.warm_up + self.job.steps - 1
        self.kept = {self.warm_up - self.by_priority, self.warm_up}
        self.forward_shares = forward_shares(measurement, timing, self.job.grad_accumulation)
        elements = np.array([one.sum() for one in measurement.sizes])
        self.optimizer_s = timing.optimizer_s * elements / max(elements.sum(), 1)
        self._spans: list[Span] = []
        keeps = bool(self.staleness) and self.job.checkpoint.every > 0
        self._comeback = Comeback(self, self.job.checkpoint, self.cluster) if keeps else None
        if self.staleness or self.by_priority:
            self._start(0, self.over)
        else:
            self.env.process(self.keep_step())

    def stretch(self, first: int, last: int) -> Rows:
        """Let workers do some steps."""
        if first:
            self._spans = self.spans()
        now = _Steps(self, range(first, last))
        self._last = last - 1
        self._start(first, now.finished)
        return now

    def _start(self, first: int, over: simpy.Event) -> None:
        self.ways = self._ways()
        self.workers = [Worker(self, index, first) for index in range(len(self.topology.workers))]
        self._unfinished, self._all_over = len(self.workers), over
        for worker in self.workers:
            self.env.process(worker.run())

    @property
    def pushes(self) -> PushPull:
        """Return the ways of asynchronous workers."""
        assert isinstance(self.ways, PushPull)
        return self.ways

    @property
    def model(self) -> list[tuple[int, float]]:
        """Return the pieces of the model, in float32: the server and the bytes of each."""
        pairs = zip(self.measurement.sizes, self.pieces, strict=True)
        return [(piece.server, 4.0 * float(sizes.sum()) * piece.share) for sizes, pieces in pairs for piece in pieces]

    def start_again(self, kept: list[int]) -> None:
        """Let all workers go back to where they have done so many steps [n], over new ways."""
        before, ways = self.workers, self.pushes
        self.ways = self._ways(np.array(kept))
        self.pushes.take_over(ways)
        self._unfinished = sum(steps <= self._last for steps in kept)
        self.workers = [Worker(self, index, kept[index], one) for index, one in enumerate(before)]
        for worker in self.workers:
            self.env.process(worker.run())

    def start_worker(self, index: int) -> None:
        """Let a worker begin anew the step that it has lost."""
        before = self.workers[index]
        self.pushes.sent_bytes.pop((index, len(before.rows)), None)
        self.workers[index] = Worker(self, index, len(before.rows), before)
        self.env.process(self.workers[index].run())

    def _ways(self, done: NDArray[np.int64] | None = None) -> Ways:
        if isinstance(self.sync, ParameterServer):
            apart = self._comeback is not None
            return PushPull(self.env, self.network, self.nodes, self.sync, self.job.credit, apart=apart, done=done)
        return Communicator(self.env, self.network, self.nodes, self.devices)

    def exchanges(self, step: int) -> Sequence[Sequence[Exchange]]:
        """Return the collectives of every bucket at a step; the measured steps are told in turn, from the first."""
        return self.measured_steps[(step - self.warm_up) % len(self.measured_steps)]

    def is_last(self, step: int) -> bool:
        """Return whether a step is the last of workers that wait for each other."""
        return not self.staleness and step == self._last

    def is_over(self, worker: int, step: int) -> bool:
        """Note that a worker has done a step; return whether it has no more to do."""
        if self._comeback is not None:
            self._comeback.step_done(worker)
        self._unfinished -= step == self._last
        if not self._unfinished and not self._all_over.triggered:
            self._all_over.succeed()
        return not self._unfinished or (step >= self._last and not self.staleness)

    def told(self) -> list[dict[str, Any]]:
        """Return the rows of the steady state: one a step where workers keep step, else one a worker's step."""
        first, last = self.warm_up, self._last
        if not (self.staleness or self.by_priority):
            return self.steps.rows
        self.complete()
        if not self.staleness:
            return [one | {"step": step} for step, one in enumerate(self.means(range(first, last + 1)))]
        begin_s = max(worker.rows[first - 1]["end_s"] for worker in self.workers)
        end_s = max(worker.rows[last]["end_s"] for worker in self.workers)
        rows = [row for worker in self.workers for row in worker.rows if begin_s < row["end_s"] <= end_s]
        return sorted(rows, key=lambda row: (row["end_s"], row["worker"]))

    def last_since_s(self, worker: Worker) -> float:
        """Return since when all that wait for a worker, and it itself, have had something under way."""
        if self.staleness:
            return worker.since_s
        others = (one for one in self.workers if self.by_priority or len(one.rows) == len(worker.rows))
        return max(one.since_s for one in others)

    def complete(self) -> None:
        """Add to the rows of workers what is known of their messages."""
        for worker in self.workers:
            for row in worker.rows:
                row |= self.ways.told(worker.index, row["step"])
                # By priority, a step's pushes are answered in the next one.
                row["staleness"] = worker.stale[max(row["step"] - self.by_priority, 0)]

    def means(self, steps: range) -> list[dict[str, Any]]:
        """Return a row a step of the workers' last ones: means over them."""
        return [_mean([worker.rows[step - len(steps)] for worker in self.workers]) for step in range(len(steps))]

    def spans(self) -> list[Span]:
        """Return what workers did in the first step that is told; by priority, for the step before, too."""
        if self._spans:
            return self._spans
        if not self.by_priority:
            return as_done(one for worker in self.workers for one in worker.spans)
        return [one for worker in self.workers for one in _within(as_done(worker.spans), worker.rows[self.warm_up])]

    def steps_done(self) -> float:
        """Return how many steps each worker has done, in the mean."""
        if not (self.staleness or self.by_priority):
            return float(self.job.steps)
        return sum(len(worker.rows) for worker in self.workers) / len(self.workers)

    def moved(self) -> int:
        """Return how many messages have arrived."""
        return self.ways.moved()

    def waiting(self) -> list[str]:
        """Return what each worker waits for."""
        return [one for worker in self.workers for one in worker.waiting()]


class _Steps:
    """Some steps of workers that wait for each other; see `restart.Stretch`."""

    def __init__(self, job: WorkerProcesses, steps: range) -> None:
        self.begin_s, self.finished = float(job.env.now), job.env.event()
        self._job, self._steps = job, steps

    def abandon(self) -> None:
        """Let all end here."""
        self._job.ways.close()

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a step: means over workers."""
        self._job.complete()
        return self._job.means(self._steps)


def forward_shares(measurement: Measurement, timing: Timing, batches: int) -> Any:
    """Return [buckets] shares in all that comes before the last backward pass: the first forward pass, by layers.

    A layer's share of a forward pass is taken as its share of the backward pass.
    """
    ends_s = np.array([0.0, *(timing.ready_s[one.last - 1] for one in measurement.buckets)])
    ends_s[-1] = timing.backward_s
    all_s = batches * timing.forward_s + (batches - 1) * timing.backward_s
    return np.diff(ends_s) / (timing.backward_s or 1.0) * (timing.forward_s / (all_s or 1.0))


def _within(spans: list[Span], row: dict[str, Any]) -> list[Span]:
    """Return the parts of spans that lie in the time of a worker's step."""
    cut = [one._replace(start_s=max(one.start_s, row["begin_s"]), end_s=min(one.end_s, row["end_s"])) for one in spans]
    return [one for one in cut if one.start_s < one.end_s]


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key not in _NOT_MEANS}
