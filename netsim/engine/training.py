"""A training in simulated time, whoever waits for whom: its clock, its cluster, its curve, its end."""

from __future__ import annotations

from collections import Counter
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

    from netsim.network.base import LinkState, Round
    from netsim.scenario.schema import Scenario, Train
    from netsim.topology.graph import Topology
    from netsim.workload.live import Objective

_SPENT = ("compute_s", "lost_s", "comm_wait_s", "comm_s")


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
        link_state: what links have been like, in the mean over the time in which they had not failed.
        sent_bytes: [W] bytes each worker has sent.
        parts: the seconds of the mean update, in the mean over who took part: `compute_s`, `lost_s`, and `comm_s`, of
            which `comm_wait_s` for slower workers.
        plans: what is sent for the mean update: plans, and how often each.
        total_s: simulated seconds.
    """

    curve: list[dict[str, Any]]
    updates: list[dict[str, Any]]
    status: str
    topology: Topology
    link_bytes: NDArray[np.float64]
    link_share: NDArray[np.float64]
    link_state: LinkState
    sent_bytes: NDArray[np.float64]
    parts: dict[str, float]
    plans: list[tuple[list[Round], float]]
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
        self.plans: Counter[tuple[Any, ...]] = Counter()
        self._spent_s = np.zeros(4)
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

    def spend(self, compute_s: float, lost_s: float, comm_wait_s: float, comm_s: float) -> None:
        """Note seconds of an update: of work, of devices that are down, and of communication with its waits."""
        self._spent_s += np.array([compute_s, lost_s, comm_wait_s, comm_s])

    def plan(self, *of: Any) -> list[Round]:
        """Return the rounds of a plan that is counted in `plans`."""
        raise NotImplementedError

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
        count = max(len(self.updates), 1)
        parts = dict(zip(_SPENT, np.maximum(self._spent_s / count, 0.0).tolist(), strict=True))
        return TrainRecord(
            progress.curve,
            self.updates,
            progress.status,
            self.topology,
            self.network.carried_bytes(),
            self.network.links.mean_share(float(self.env.now)),
            self.network.links.while_up(float(self.env.now)),
            self.sent_bytes,
            parts,
            [(self.plan(*of), times / count) for of, times in self.plans.items()],
            float(self.env.now),
        )

    def start(self) -> None:
        """Begin the processes."""
        raise NotImplementedError

    def waiting(self) -> list[str]:
        """Return what each worker waits for."""
        raise NotImplementedError
