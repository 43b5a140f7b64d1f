"""Synchronous training in simulated time: one process, round after round.

All workers' arithmetic is one batch; a round ends when the last worker has its result.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.engine.training import Training
from netsim.network.timer import Timer
from netsim.sync.base import Payload, carrier

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy
    from numpy.typing import NDArray

    from netsim.network.base import Round
    from netsim.optim.base import Exchange, Synchronous
    from netsim.scenario.schema import Scenario, Train
    from netsim.workload.live import Objective


class SyncJob(Training):
    """Rounds of all workers."""

    def __init__(self, scenario: Scenario, train: Train, problem: Objective, optimizer: Synchronous) -> None:
        super().__init__(scenario, train, problem)
        self.optimizer = optimizer
        self._left = np.zeros(self.count, dtype=bool)
        self._sync = carrier(scenario.sync, "sum")
        self._rounds_of = lru_cache(maxsize=None)(self._make_rounds)
        self._busy_s = np.zeros(3)

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
            self._busy_s[:] = 0.0
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
            compute_s, lost_s, wait_s = self._busy_s.tolist()
            self.spend(compute_s, lost_s, wait_s, row["end_s"] - begin_s - compute_s - lost_s)
            over = self.record(self.optimizer.model(state), turn)

    def _exchange(self, exchange: Exchange, number: int) -> simpy.Event:
        """Begin an exchange that workers join when they have computed; return the event of the last one's finish."""
        of = exchange.nbytes, int(exchange.result.size)
        rounds, now_s = self.plan(*of), float(self.env.now)
        self.plans[of] += 1
        self._account(rounds)
        work_s = self.compute_s(exchange.evaluations, number)
        due_s = self.devices.after(np.arange(self.count), np.full(self.count, now_s), work_s)
        lost_s = float((due_s - (now_s + work_s)).mean())
        self._busy_s += [float(work_s.mean()), lost_s, float((due_s.max() - due_s).mean())]
        if not rounds:
            return self.env.timeout(float(due_s.max()) - now_s)
        return self._joined(rounds, due_s)

    def plan(self, *of: Any) -> list[Round]:
        """Return the rounds of an exchange of some bytes and elements."""
        return self._rounds_of(*of)

    def _make_rounds(self, nbytes: float, elements: int) -> list[Round]:
        payload = Payload(
            "sum",
            np.full(self.count, nbytes),
            nbytes,
            np.array([elements]),
            decode_s=self.scenario.cost.aggregate()(elements),
            machines=self.topology.machines[self.workers],
        )
        return [one for one in self._sync.rounds(payload, self.workers, self.servers) if len(one.src)]

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
