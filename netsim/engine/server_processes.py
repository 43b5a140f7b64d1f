"""A job over parameter servers whose workers are processes: those that do not wait for each other, or by priority."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.engine.push_pull import PushPull
from netsim.engine.server_job import ServerJob
from netsim.engine.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.engine.coding import Exchange
    from netsim.engine.measure import Measurement
    from netsim.engine.step import Span
    from netsim.workload.base import Timing

_NOT_MEANS = {"step", "worker", "begin_s", "end_s", "staleness"}


class ServerProcesses(ServerJob):
    """One job. What comes before the steady state is run but not told.

    By priority, the first step has nothing to wait for. Asynchronous workers need a while to fall out of step: as many
    steps as are told are left out, and fast workers go on until the slowest has done its steps.

    Attributes:
        warm_up: the steps of each worker that are run but not told.
        forward_shares: by bucket, the share of its layers in all forward passes of a step that wait for them.
        optimizer_s: by bucket, the seconds of its update by itself.
    """

    def begin(self) -> None:
        """Start the workers."""
        sync, measurement, timing = self.sync, self.measurement, self.timing
        self.ways = PushPull(self.post, self.network, self.nodes, sync, self.job.credit)
        self.by_priority = self.job.scheduling == "priority"
        self.warm_up = self.job.steps if sync.staleness else int(self.by_priority)
        self.forward_shares = _forward_shares(measurement, timing, self.job.grad_accumulation)
        elements = np.array([one.sum() for one in measurement.sizes])
        self.optimizer_s = timing.optimizer_s * elements / max(elements.sum(), 1)
        self.workers = [Worker(self, index) for index in range(len(self.topology.workers))]
        self._unfinished = len(self.workers)
        for worker in self.workers:
            self.env.process(worker.run())

    def exchanges(self, step: int) -> Sequence[Sequence[Exchange]]:
        """Return the collectives of every bucket at a step; the measured steps are told in turn, from the first."""
        return self.measured_steps[(step - self.warm_up) % len(self.measured_steps)]

    def is_over(self, step: int) -> bool:
        """Note that a worker has done a step; return whether it has no more to do."""
        last = self.warm_up + self.job.steps - 1
        self._unfinished -= step == last
        if not self._unfinished and not self.over.triggered:
            self.over.succeed()
        return not self._unfinished or (step >= last and not self.sync.staleness)

    def told(self) -> list[dict[str, Any]]:
        """Return the rows of the steady state: one a step where workers keep step, else one a worker's step."""
        first, last = self.warm_up, self.warm_up + self.job.steps - 1
        for worker in self.workers:
            for row in worker.rows:
                row["wire_bytes_per_worker"] = self.ways.sent_bytes[worker.index, row["step"]]
                # By priority, a step's pushes are answered in the next one.
                row["staleness"] = worker.stale[max(row["step"] - self.by_priority, 0)]
        if not self.sync.staleness:
            return [_mean([worker.rows[step] for worker in self.workers]) | {"step": step - first}
                    for step in range(first, last + 1)]  # fmt: skip
        begin_s = max(worker.rows[first - 1]["end_s"] for worker in self.workers)
        end_s = max(worker.rows[last]["end_s"] for worker in self.workers)
        rows = [row for worker in self.workers for row in worker.rows if begin_s < row["end_s"] <= end_s]
        return sorted(rows, key=lambda row: (row["end_s"], row["worker"]))

    def spans(self) -> list[Span]:
        """Return what workers did in the first step that is told."""
        return [one for worker in self.workers for one in worker.spans]

    def steps_done(self) -> float:
        """Return how many steps each worker has done, in the mean."""
        return sum(len(worker.rows) for worker in self.workers) / len(self.workers)

    def waiting(self) -> list[str]:
        """Return what each worker waits for."""
        return [one for worker in self.workers for one in worker.waiting()]


def _forward_shares(measurement: Measurement, timing: Timing, batches: int) -> Any:
    """Return [buckets] shares in all that comes before the last backward pass: the first forward pass, by layers.

    A layer's share of a forward pass is taken as its share of the backward pass.
    """
    ends_s = np.array([0.0, *(timing.ready_s[one.last - 1] for one in measurement.buckets)])
    ends_s[-1] = timing.backward_s
    all_s = batches * timing.forward_s + (batches - 1) * timing.backward_s
    return np.diff(ends_s) / (timing.backward_s or 1.0) * (timing.forward_s / (all_s or 1.0))


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key not in _NOT_MEANS}
