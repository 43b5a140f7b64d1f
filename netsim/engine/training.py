"""A training in simulated time, whoever waits for whom: its clock, its cluster, its curve, its end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from netsim.conditions import Cluster
from netsim.engine.job import slowness, unequal_speeds
from netsim.engine.progress import Progress
from netsim.errors import Deadlock
from netsim.workload.live import Live

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.scenario.schema import Scenario, Train
    from netsim.topology.graph import Topology
    from netsim.workload.live import Objective


@dataclass(frozen=True)
class TrainRecord:
    """What a training leaves behind.

    Attributes:
        curve: one mapping a recorded point: epoch, simulated seconds, loss, gradient norm and more.
        updates: the event log: one mapping an update of the model, with who made it, when, and how stale it was.
        status: `target`, `until`, `max_epochs` or `diverged`.
        topology: where it ran.
        link_bytes: [L] bytes each link has carried.
        link_share: [L] the part of its capacity that each link has had, in the mean.
        sent_bytes: [W] bytes each worker has sent.
        total_s: simulated seconds.
    """

    curve: list[dict[str, Any]]
    updates: list[dict[str, Any]]
    status: str
    topology: Topology
    link_bytes: NDArray[np.float64]
    link_share: NDArray[np.float64]
    sent_bytes: NDArray[np.float64]
    total_s: float


class Training:
    """A training under way: what both kinds of jobs share."""

    def __init__(self, scenario: Scenario, train: Train, problem: Objective) -> None:
        self.scenario, self.train, self.problem = scenario, train, problem
        self.env = simpy.Environment(initial_time=0.0)
        servers = scenario.sync.dedicated_servers
        self.topology = scenario.topology.build(servers)
        self.network = scenario.network.build(self.env, self.topology, scenario.transport)
        self.workers, self.servers = self.topology.workers, self.topology.servers[:servers]
        self.count = len(self.workers)
        cluster = Cluster(self.env, self.network, self.workers, scenario.seed)
        cluster.begin(scenario.conditions)
        self.devices = cluster.devices
        self.sent_bytes = np.zeros(self.count)
        self.updates: list[dict[str, Any]] = []
        self.progress = Progress(train, problem)
        self.stopped = self.env.event()
        # Workers that do not wait for each other are on a few turns at a time.
        self.compute_s = lru_cache(maxsize=256)(self._compute_s)

    def _compute_s(self, evaluations: float, turn: int) -> NDArray[np.float64]:
        """Return [W] the seconds in which each worker evaluates some gradients on its turn."""
        draw = np.random.default_rng((self.scenario.seed, turn))
        workload = self.scenario.workload
        assert isinstance(workload, Live)
        passed = workload.pass_timing(self.problem.tensors, evaluations, self.train.gradient_time)
        unequal = slowness(self.scenario.job.straggler, self.count, draw) * unequal_speeds(self.train, self.count)
        return (passed.forward_s + passed.backward_s) * unequal

    def record(self, x: NDArray[np.float64], step: int) -> bool:
        """Note a point of the curve where one is due; return whether the training is over."""
        sent_bytes = float(self.sent_bytes.mean())
        over = self.progress.note(x, step, time_s=float(self.env.now), wire_bytes_per_worker=sent_bytes)
        if over and not self.stopped.triggered:
            self.stopped.succeed()
        return over

    def run(self) -> TrainRecord:
        """Run until the target, a limit or divergence.

        Raises:
            Deadlock: nothing more can happen although workers still wait.
        """
        self.start()
        progress = self.progress
        while not self.stopped.processed and (next_s := self.env.peek()) < self.train.until:
            self.env.step()
        if not self.stopped.processed:
            if next_s == np.inf:
                raise Deadlock("the training is stuck: " + "; ".join(self.waiting()[:20]))
            self.env.run(until=self.train.until)
            progress.stop("until")
        return TrainRecord(
            progress.curve,
            self.updates,
            progress.status,
            self.topology,
            self.network.carried_bytes(),
            self.network.links.mean_share(float(self.env.now)),
            self.sent_bytes,
            float(self.env.now),
        )

    def start(self) -> None:
        """Begin the processes."""
        raise NotImplementedError

    def waiting(self) -> list[str]:
        """Return what each worker waits for."""
        raise NotImplementedError
