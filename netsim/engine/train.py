"""Training in simulated time: the arithmetic is real, and the cluster decides when every message arrives.

Synchronous optimizers run as one process, round after round, all workers' arithmetic in one batch; a round ends when
the last worker has its result. Asynchronous ones run as a process a worker, so that the order of events decides what
each of them reads. What a worker computes depends on nothing but what it pulled, so it is computed when the first of
those under way is needed, for all of them in one batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import simpy

from netsim.conditions import Cluster
from netsim.engine.job import slowness, unequal_speeds
from netsim.engine.progress import Progress
from netsim.errors import Deadlock
from netsim.network.base import Round
from netsim.network.timer import Timer
from netsim.optim.base import FLOAT_BYTES, Asynchronous, Exchange, Synchronous, Task
from netsim.sync.base import Payload, carrier
from netsim.workload.live import Live

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from netsim.scenario.schema import Scenario, Train
    from netsim.topology.graph import Topology
    from netsim.workload.live import Objective


Leaving: TypeAlias = "dict[int, tuple[Round, simpy.Event]]"
"""What some workers send or pull now, each with the event of its arrival."""


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
            self.network.links.nbytes,
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


class SyncJob(Training):
    """Rounds of all workers."""

    def __init__(self, scenario: Scenario, train: Train, problem: Objective, optimizer: Synchronous) -> None:
        super().__init__(scenario, train, problem)
        self.optimizer = optimizer
        self._left = np.zeros(self.count, dtype=bool)

    def start(self) -> None:
        """Begin the one process."""
        self.env.process(self._rounds())

    def waiting(self) -> list[str]:
        """Return who has not got the result of the exchange."""
        turn = len(self.updates) + 1
        return [f"worker {worker} waits for an exchange of turn {turn}" for worker in np.flatnonzero(self._left)]

    def _rounds(self) -> Generator[simpy.Event, Any, None]:
        state, turn, sent = self.optimizer.init(self.problem, self.scenario.seed), 0, 0
        over = self.record(self.optimizer.model(state), 0)
        while not over:
            begin_s, running = float(self.env.now), self.optimizer.turn(self.problem, state)
            known: Any = None
            while True:
                try:
                    exchange = running.send(known)
                except StopIteration as end:
                    state = end.value
                    break
                self.progress.evaluations += exchange.evaluations * self.count
                yield self._exchange(exchange, sent)
                known = exchange.result
                sent += 1
            turn += 1
            row = {"step": turn, "worker": -1, "begin_s": begin_s, "end_s": float(self.env.now), "staleness": 0}
            self.updates.append(row)
            over = self.record(self.optimizer.model(state), turn)

    def _exchange(self, exchange: Exchange, number: int) -> simpy.Event:
        """Begin an exchange that workers join when they have computed; return the event of the last one's finish."""
        sync = carrier(self.scenario.sync, "sum")
        elements = int(exchange.result.size)
        add_s = self.scenario.cost.aggregate()(elements)
        payload = Payload(
            "sum",
            np.full(self.count, exchange.nbytes),
            exchange.nbytes,
            np.array([elements]),
            decode_s=add_s,
        )
        rounds = [one for one in sync.rounds(payload, self.workers, self.servers) if len(one.src)]
        self._account(rounds)
        work_s = self.compute_s(exchange.evaluations, number)
        due_s = self.devices.after(np.arange(self.count), np.full(self.count, float(self.env.now)), work_s)
        if not rounds:
            return self.env.timeout(float(due_s.max()) - float(self.env.now))
        return self._joined(rounds, due_s)

    def _joined(self, rounds: list[Round], due_s: NDArray[np.float64]) -> simpy.Event:
        finished, left = self.env.event(), np.ones(self.count, dtype=bool)
        self._left = left
        row = {int(node): place for place, node in enumerate(self.workers)}

        def done(nodes: NDArray[np.int64]) -> None:
            left[[row[node] for node in nodes.tolist() if node in row]] = False
            if not left.any() and not finished.triggered:
                finished.succeed()

        execution = self.network.begin(rounds, np.concatenate([self.workers, self.servers]), done)
        if len(self.servers):
            execution.join(self.servers)
        waiting = np.sort(np.unique(due_s)).tolist()

        def join() -> None:
            now_s = waiting.pop(0)
            execution.join(self.workers[due_s == now_s])
            timer.set(waiting[0] if waiting else np.inf)

        timer = Timer(self.env, join)
        timer.set(waiting[0])
        return finished

    def _account(self, rounds: list[Round]) -> None:
        row = np.full(len(self.topology.names), -1)
        row[self.workers] = np.arange(self.count)
        for one in rounds:
            mine = row[one.src]
            self.sent_bytes += np.bincount(mine[mine >= 0], one.nbytes[mine >= 0], self.count)


class AsyncJob(Training):
    """A process a worker, and a server that answers in the order of arrival.

    What leaves at an instant is one plan: equal workers stay in step, so that they need few.
    """

    def __init__(self, scenario: Scenario, train: Train, problem: Objective, optimizer: Asynchronous) -> None:
        super().__init__(scenario, train, problem)
        self.optimizer = optimizer
        self.server = optimizer.serve(problem)
        self.version = 0
        self._rows = dict(optimizer.begin(problem))
        self._turns = np.zeros(self.count, dtype=np.int64)
        self._pulled: dict[int, NDArray[np.float64]] = {}
        self._pushes: dict[int, NDArray[np.float64]] = {}
        self._applied = self.env.event()
        self._doing = ["to begin"] * self.count
        self._leaving: tuple[Leaving, Leaving] = ({}, {})
        self._leave = Timer(self.env, self._begin)
        self._round = lru_cache(maxsize=None)(self._make_round)

    def waiting(self) -> list[str]:
        """Return what each worker does that is not over."""
        return [f"worker {worker} waits for {what}" for worker, what in enumerate(self._doing)]

    def start(self) -> None:
        """Begin a process for every worker."""
        if not self.record(self.optimizer.model(self.server), 0):
            for worker in range(self.count):
                self.env.process(self._work(worker))

    def _work(self, worker: int) -> Generator[simpy.Event, Any, None]:
        for turn in count():
            begin_s, version = float(self.env.now), self.version
            evaluations = self.optimizer.evaluations(self.problem, self.server)
            push_floats, pull_floats = self.optimizer.floats(self.problem, self.server)
            self._pulled[worker] = self.optimizer.pull(self.server)
            # A pull is what the server holds when it answers, before its way here. All know the first one.
            if turn:
                self._doing[worker] = f"what it pulls on turn {turn}"
                yield self._travel(worker, 1, pull_floats)
            self._doing[worker] = f"its gradients of turn {turn}"
            work_s = float(self.compute_s(evaluations, turn)[worker])
            yield self.env.timeout(self.devices.lasts_s(worker, float(self.env.now), work_s))
            sent_s = float(self.env.now)
            self._doing[worker] = f"the server to get what it pushes on turn {turn}"
            yield self._travel(worker, 0, push_floats)
            self.progress.evaluations += evaluations
            self.server = self.optimizer.apply(self.problem, self.server, worker, self._result(worker))
            self.version += 1
            self.updates.append(
                {
                    "step": self.version,
                    "worker": worker,
                    "begin_s": begin_s,
                    "sent_s": sent_s,
                    "end_s": float(self.env.now),
                    "staleness": self.version - 1 - version,
                }
            )
            self._applied.succeed()
            self._applied = self.env.event()
            if self.record(self.optimizer.model(self.server), self.version):
                return
            self._doing[worker] = f"others, after turn {turn}"
            while self.optimizer.waits(self.server, worker):
                yield self._applied

    def _travel(self, worker: int, way: int, floats: int) -> simpy.Event:
        """Send a push (way 0) or a pull (way 1); return the event of its arrival."""
        one, arrival = self._round(worker, way, floats), self.env.event()
        if not len(one.src):
            return arrival.succeed()
        if not way:
            self.sent_bytes[worker] += float(one.nbytes.sum())
        self._leaving[way][worker] = one, arrival
        self._leave.set(self.env.now)
        return arrival

    def _make_round(self, worker: int, way: int, floats: int) -> Round:
        """Return a push (way 0) or a pull (way 1) of one worker; workers send the same ones over and over."""
        nbytes = float(FLOAT_BYTES * floats)
        add_s = self.scenario.cost.aggregate()(floats)
        payload = Payload("sum", np.array([nbytes]), nbytes, np.array([floats]), decode_s=add_s)
        return self.scenario.sync.rounds(payload, self.workers[worker : worker + 1], self.servers)[way]

    def _begin(self) -> None:
        """Begin a plan of all pushes that leave now, and one of all pulls."""
        leaving, self._leaving = self._leaving, ({}, {})
        for some in leaving:
            if some:
                rounds = [one for one, _ in some.values()]
                nodes = self.workers[list(some)]
                done = partial(_tell, dict(zip(nodes.tolist(), (arrival for _, arrival in some.values()), strict=True)))
                nodes = np.concatenate([nodes, self.servers])
                self.network.begin([_joint(rounds)], nodes, done, collective=False).join(nodes)

    def _result(self, worker: int) -> NDArray[np.float64]:
        """Return what a worker pushes; computes everybody's that has pulled meanwhile."""
        if worker not in self._pushes:
            some = np.array(sorted(self._pulled))
            pulled = np.stack([self._pulled[one] for one in some.tolist()])
            rows = {key: kept[some] for key, kept in self._rows.items()}
            task = Task(some, self._turns[some], pulled, rows, self.scenario.seed)
            pushes, kept_rows = self.optimizer.compute(self.problem, task)
            for key, kept in kept_rows.items():
                self._rows[key][some] = kept
            self._pushes.update(zip(some.tolist(), pushes, strict=True))
            self._turns[some] += 1
            self._pulled.clear()
        return self._pushes.pop(worker)


def _joint(rounds: list[Round]) -> Round:
    """Return one round of the transfers of all."""
    src, dst, nbytes = (
        np.concatenate(parts) for parts in zip(*((one.src, one.dst, one.nbytes) for one in rounds), strict=True)
    )
    return Round(src, dst, nbytes, np.concatenate([np.broadcast_to(one.hold_s, one.src.shape) for one in rounds]))


def _tell(arrivals: dict[int, simpy.Event], nodes: NDArray[np.int64]) -> None:
    """Say that what the workers among some nodes have sent or pulled has arrived."""
    for node in nodes.tolist():
        if node in arrivals:
            arrivals[node].succeed()


def run_training(scenario: Scenario, train: Train, problem: Objective) -> TrainRecord:
    """Train to the target, a limit or divergence, whichever comes first.

    Raises:
        Deadlock: nothing more can happen although workers still wait.
    """
    # Numbers that overflow are what divergence looks like; it is found and reported.
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(train.optimizer, Synchronous):
            return SyncJob(scenario, train, problem, train.optimizer).run()
        assert isinstance(train.optimizer, Asynchronous)
        return AsyncJob(scenario, train, problem, train.optimizer).run()
