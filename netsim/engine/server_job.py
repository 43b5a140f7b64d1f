"""A job over parameter servers: every worker is a process that goes on as soon as what it needs has been pulled.

A worker pushes each piece of a bucket when the bucket is ready and pulls it when its server answers; pieces do not wait
for each other. In the order of readiness, a step begins when everything has been pulled and updated. By priority,
pieces of layers that the next forward pass needs first overtake the others, and it waits for each layer by itself; a
step is then the time from one backward pass's end to the next.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from netsim.conditions import Cluster
from netsim.engine.coding import Coding
from netsim.engine.job import JobRecord, comes, compute_of
from netsim.engine.push_pull import PushPull
from netsim.engine.worker import Worker
from netsim.errors import Deadlock, InputError
from netsim.sync.base import Payload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.engine.coding import Exchange
    from netsim.engine.measure import Measurement
    from netsim.engine.step import Span
    from netsim.network.base import Seen
    from netsim.scenario.schema import Scenario
    from netsim.sync.parameter_server import ParameterServer, Piece
    from netsim.workload.base import Timing

_NOT_MEANS = {"step", "worker", "begin_s", "end_s", "staleness"}


class ServerJob:
    """One job. What comes before the steady state is run but not told.

    A job in order of readiness that is synchronous has nothing to leave out. By priority, the first step has nothing to
    wait for. Asynchronous workers need a while to fall out of step: as many steps as are told are left out, and fast
    workers go on until the slowest has done its steps.

    Attributes:
        warm_up: the steps of each worker that are left out.
        pieces: by bucket, the pieces that it is cut into.
        forward_shares: by bucket, the share of its layers in all forward passes of a step that wait for them.
        optimizer_s: by bucket, the seconds of its update by itself.
    """

    def __init__(
        self,
        scenario: Scenario,
        sync: ParameterServer,
        measurement: Measurement,
        timing: Timing,
        seen: Seen | None = None,
    ) -> None:
        self.job, self.sync, self.measurement = scenario.job, sync, measurement
        self.env = simpy.Environment(initial_time=0.0)
        self.topology = scenario.topology.build(sync.dedicated_servers)
        self.network = scenario.network.build(self.env, self.topology, scenario.transport)
        nodes = self.topology.workers, self.topology.servers[: sync.dedicated_servers]
        if seen is not None:
            self.network.watch(seen)
        cluster = Cluster(self.env, self.network, self.topology.workers, scenario.seed)
        cluster.begin(scenario.conditions)
        self.devices = cluster.devices
        self.ways = PushPull(self.env, self.network, nodes, sync, self.job.credit)
        self.by_priority = self.job.scheduling == "priority"
        self.warm_up = self.job.steps if sync.staleness else int(self.by_priority)
        self._exchanges = _exchanges(scenario, measurement)
        self._refuse_conversations(scenario)
        self.pieces = _pieces(sync, measurement)
        self.compute = lru_cache(maxsize=64)(partial(compute_of, scenario, measurement, timing))
        self.forward_shares = _forward_shares(measurement, timing, self.job.grad_accumulation)
        elements = np.array([one.sum() for one in measurement.sizes])
        self.optimizer_s = timing.optimizer_s * elements / max(elements.sum(), 1)
        self.workers = [Worker(self, index) for index in range(len(self.topology.workers))]
        self._unfinished = len(self.workers)
        self._over = self.env.event()

    def _refuse_conversations(self, scenario: Scenario) -> None:
        """Raise InputError where an asynchronous server would have to take part in an exchange of several messages."""
        most = max((len(stages) for step in self._exchanges for stages in step), default=0)
        if self.sync.staleness and most > 1:
            raise InputError(
                f"scheme {scenario.scheme.kind!r} agrees on its messages in {most} exchanges, which takes all workers",
                "use staleness: 0, or a scheme of one message",
                "sync.staleness",
            )

    def exchanges(self, step: int) -> Sequence[Sequence[Exchange]]:
        """Return the collectives of every bucket at a step; the measured steps are told in turn, from the first."""
        return self._exchanges[(step - self.warm_up) % len(self._exchanges)]

    def is_over(self, step: int) -> bool:
        """Note that a worker has done a step; return whether it has no more to do."""
        last = self.warm_up + self.job.steps - 1
        self._unfinished -= step == last
        if not self._unfinished and not self._over.triggered:
            self._over.succeed()
        return not self._unfinished or (step >= last and not self.sync.staleness)

    def run(self) -> JobRecord:
        """Run until every worker has done its steps.

        Raises:
            Deadlock: nothing more can happen although workers still wait.
        """
        for worker in self.workers:
            self.env.process(worker.run())
        if not comes(self.env, self._over):
            raise Deadlock("the simulation is stuck: " + "; ".join(self.ways.waiting()[:20]))
        stages = [one for step in self._exchanges for bucket in step for one in bucket]
        return JobRecord(
            self._told(),
            self._spans(),
            self.topology.link_names,
            self.topology.capacity_bytes_per_s,
            self.topology.latency_s,
            self.network.links.nbytes,
            self.network.links.mean_share(float(self.env.now)),
            self.network.held_s(),
            float(self.env.now),
            tuple(sorted({one.sync.describe(one.payload.op) for one in stages})),
            sum(len(worker.rows) for worker in self.workers) / len(self.workers),
            self._imbalance(),
            self._begin_s(),
        )

    def _told(self) -> list[dict[str, Any]]:
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

    def _spans(self) -> list[Span]:
        """Return what each worker did in its first step that is told, counted from when the first of them began it."""
        spans, begin_s = [one for worker in self.workers for one in worker.spans], self._begin_s()
        return [one._replace(start_s=one.start_s - begin_s, end_s=one.end_s - begin_s) for one in spans]

    def _begin_s(self) -> float:
        return min((one.start_s for worker in self.workers for one in worker.spans), default=0.0)

    def _imbalance(self) -> float:
        """Return the elements of the fullest server over the mean of all."""
        held = np.zeros(self.sync.servers)
        for sizes, pieces in zip(self.measurement.sizes, self.pieces, strict=True):
            for piece in pieces:
                held[piece.server] += piece.share * float(sizes.sum())
        return float(held.max() / held.mean()) if held.any() else 1.0


def _pieces(sync: ParameterServer, measurement: Measurement) -> list[list[Piece]]:
    """Return the pieces of each bucket, which are the same at every step."""
    buckets = zip(measurement.buckets, measurement.sizes, strict=True)
    return [sync.pieces(Payload("sum", np.zeros(0), 0.0, sizes, bucket.first)) for bucket, sizes in buckets]


def _exchanges(scenario: Scenario, measurement: Measurement) -> list[list[list[Exchange]]]:
    """Return [steps][buckets] the collectives of each bucket, in order."""
    coding, buckets = Coding(scenario, measurement), range(len(measurement.buckets))
    return [[coding.exchanges(step, bucket) for bucket in buckets] for step in range(scenario.job.steps)]


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
