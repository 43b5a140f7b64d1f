"""A job in which every worker goes on as soon as what it needs has come: over parameter servers, or by priority.

A worker sends each piece of a bucket when the bucket is ready: it pushes it and pulls it when its server answers, or
takes part in a collective when it is the piece's turn. In the order of readiness, a step begins when everything has
come and is updated. By priority, pieces of layers that the next forward pass needs first overtake the others, and it
waits for each layer by itself; a step is then the time from one backward pass's end to the next.

Workers that wait for each other do the same thing many at a time, and are rows of arrays: those of a server in order
(`server_rows.py`), those of collectives by priority (`priority_rows.py`). Else every worker is a process
(`worker_processes.py`). Where those of a server keep checkpoints, they do a stretch of steps, all wait for the last
one, and go back to where it began if a worker or a server fails.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
import simpy

from netsim.conditions import Cluster
from netsim.engine.coding import Coding
from netsim.engine.job import JobRecord, compute_of
from netsim.engine.restart import Steps, Stretch
from netsim.engine.watch import Watch, alone_s, run_until
from netsim.sync.parameter_server import ParameterServer

if TYPE_CHECKING:
    from collections.abc import Generator

    from netsim.engine.measure import Measurement
    from netsim.engine.spans import Span
    from netsim.network.base import Seen
    from netsim.scenario.schema import Scenario
    from netsim.sync.base import Piece, Sync
    from netsim.workload.base import Timing

S = TypeVar("S", bound="Sync")


class Rows(Stretch, Protocol):
    """Steps of workers that wait for each other."""

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a step: means over workers."""


class WorkerJob(ABC, Generic[S]):
    """One job.

    Attributes:
        measured_steps: [steps][buckets] the collectives of each bucket, in order.
        pieces: by bucket, the pieces that it is cut into.
        over: fires when every worker has done its steps.
    """

    def __init__(
        self,
        scenario: Scenario,
        sync: S,
        measurement: Measurement,
        timing: Timing,
        seen: Seen | None = None,
    ) -> None:
        self.job, self.sync, self.measurement, self.timing = scenario.job, sync, measurement, timing
        self.env = simpy.Environment(initial_time=0.0)
        self.topology = scenario.topology.build(sync.dedicated_servers)
        self.network = scenario.network.build(self.env, self.topology, scenario.transport)
        self.nodes = self.topology.workers, self.topology.servers[: sync.dedicated_servers]
        if seen is not None:
            self.network.watch(seen)
        self.cluster = cluster = Cluster(self.env, self.network, self.nodes[0], scenario.seed, self.nodes[1])
        cluster.begin(scenario.conditions)
        self.devices = cluster.devices
        self._watch = self._watched(cluster) if scenario.conditions else None
        coding, buckets = Coding(scenario, measurement), range(len(measurement.buckets))
        self.measured_steps = [[coding.exchanges(step, one) for one in buckets] for step in range(scenario.job.steps)]
        self.pieces: list[list[Piece]] = [coding.pieces(one) for one in buckets]
        self.compute = lru_cache(maxsize=64)(partial(compute_of, scenario, measurement, timing))
        self.over = self.env.event()
        self.steps = Steps(scenario.job.checkpoint, cluster)

    def run(self) -> JobRecord:
        """Run until every worker has done its steps.

        Raises:
            Deadlock: nothing more can happen although workers still wait.
        """
        self.begin()
        run_until(self.over, self.waiting, self._watch)
        stages = [one for step in self.measured_steps for bucket in step for one in bucket]
        spans = self.spans()
        begin_s = min((one.start_s for one in spans), default=0.0)
        return JobRecord(
            self.told(),
            [one._replace(start_s=one.start_s - begin_s, end_s=one.end_s - begin_s) for one in spans],
            self.topology.link_names,
            self.topology.capacity_bytes_per_s,
            self.topology.latency_s,
            self.network.carried_bytes(),
            self.network.links.mean_share(float(self.env.now)),
            self.network.links.while_up(float(self.env.now)),
            self.network.held_s(),
            float(self.env.now),
            tuple(sorted({one.sync.describe(one.payload.op) for one in stages})),
            self.steps_done(),
            self._imbalance(),
            begin_s,
        )

    def _watched(self, cluster: Cluster) -> Watch:
        def usual_s() -> float:
            return alone_s(self.measured_steps[0], float(self.compute(0).backward_end_s.max()), cluster)

        return Watch(cluster, usual_s, self.moved)

    def keep_step(self) -> Generator[simpy.Event, Any, None]:
        """Let the workers do all steps, from each checkpoint to the next."""
        while self.steps.number < self.job.steps:
            stretch = self.stretch(self.steps.number, self.steps.until(self.job.steps))
            if not (yield from self.steps.run(stretch)):
                continue
            rows = stretch.rows()
            if self.job.checkpoint.every:
                # Those that are through wait for the others before all save.
                waits_s = self.env.now - stretch.begin_s - sum(row["step_time_s"] for row in rows)
                for key in ("step_time_s", "exposed_comm_s"):
                    rows[-1][key] += waits_s
            for row in rows:
                yield from self.steps.add(row)
        self.over.succeed()

    @abstractmethod
    def stretch(self, first: int, last: int) -> Rows:
        """Let workers that wait for each other begin with step `first`, and end before step `last`."""

    @abstractmethod
    def begin(self) -> None:
        """Start the workers."""

    @abstractmethod
    def told(self) -> list[dict[str, Any]]:
        """Return the rows of the steady state: one a step where workers keep step, else one a worker's step."""

    @abstractmethod
    def spans(self) -> list[Span]:
        """Return what workers did in the first step that is told."""

    @abstractmethod
    def steps_done(self) -> float:
        """Return how many steps each worker has done, in the mean."""

    @abstractmethod
    def moved(self) -> int:
        """Return how many messages have arrived."""

    @abstractmethod
    def waiting(self) -> list[str]:
        """Return what each worker waits for."""

    def _imbalance(self) -> float:
        """Return the elements of the fullest server over the mean of all."""
        if not isinstance(self.sync, ParameterServer):
            return 1.0
        held = np.zeros(self.sync.servers)
        for sizes, pieces in zip(self.measurement.sizes, self.pieces, strict=True):
            for piece in pieces:
                held[piece.server] += piece.share * float(sizes.sum())
        return float(held.max() / held.mean()) if held.any() else 1.0
