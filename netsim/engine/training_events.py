"""Asynchronous training in simulated time: a process a worker, so that the order of events decides what each reads.

What a worker computes depends on nothing but what it pulled, so it is computed when the first of those under way is
needed, for all of them in one batch.
"""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from netsim.engine.training import Training
from netsim.network.base import Round
from netsim.network.timer import Timer
from netsim.optim.base import FLOAT_BYTES, Asynchronous, Task
from netsim.sync.base import Payload

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    import simpy
    from numpy.typing import NDArray

    from netsim.scenario.schema import Scenario, Train
    from netsim.workload.live import Objective

Leaving: TypeAlias = "dict[int, tuple[Round, simpy.Event]]"
"""What some workers send or pull now, each with the event of its arrival."""


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
        last_s = 0.0
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
            lasts_s = self.devices.lasts_s(worker, float(self.env.now), work_s)
            yield self.env.timeout(lasts_s)
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
            now_s = float(self.env.now)
            self.spend(work_s, lasts_s - work_s, begin_s - last_s, now_s - last_s - lasts_s)
            last_s = now_s
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
        self.plans[worker, way, floats] += 1
        if not way:
            self.sent_bytes[worker] += float(one.nbytes.sum())
        self._leaving[way][worker] = one, arrival
        self._leave.set(self.env.now)
        return arrival

    def plan(self, *of: Any) -> list[Round]:
        """Return the one round of a worker's push (way 0) or pull (way 1) of some floats."""
        return [self._round(*of)]

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
