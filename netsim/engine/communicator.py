"""Collectives of workers that go on by themselves: one exchange after another, whoever is next in order.

As Horovod's coordinator has it, an exchange can be next once all workers have called it. Which one is decided when the
first worker is free, and then holds for all; each joins when it is free itself. What is under way is not interrupted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from netsim.engine.step import SAME_INSTANT, count_sent, rounds_of, rows_of
from netsim.engine.ways import Item, Ways
from netsim.network.timer import Timer

if TYPE_CHECKING:
    import simpy
    from numpy.typing import NDArray

    from netsim.conditions import Devices
    from netsim.network.base import Execution, Network

Key: TypeAlias = tuple[float, int, tuple[int, int, int]]
"""The order in which exchanges are served: by their order, then by step, bucket, collective and piece."""


@dataclass
class _Call:
    """An exchange that workers have called: how many of them, or are still in it, and whom to tell if one by one."""

    item: Item
    left: int = 0
    one_by_one: dict[int, Callable[..., None]] = field(default_factory=dict)


class Communicator(Ways):
    """The one communicator of a job of workers [n].

    Decided exchanges are turns, numbered as they are served: `_turn` [n] is the next one of each worker.
    """

    def __init__(
        self,
        env: simpy.Environment,
        network: Network,
        nodes: tuple[NDArray[np.int64], NDArray[np.int64]],
        devices: Devices,
    ) -> None:
        self.env, self.network = env, network
        self.workers, self.servers = nodes
        self._row = rows_of(*nodes)
        self._after = devices.after
        count = len(self.workers)
        self._called: dict[Key, _Call] = {}
        self._ready: list[Key] = []
        self._items: list[_Call] = []
        self._executions: dict[int, Execution] = {}
        self._turn = np.zeros(count, dtype=np.int64)
        self._free = np.ones(count, dtype=bool)
        self._due_s, self._since_s = np.full(count, np.inf), np.zeros(count)
        self._timer = Timer(env, self._settle)
        self._changed = False
        self._arrived = 0
        self._sent_bytes: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(count))
        self._latency_s: dict[int, float] = defaultdict(float)

    def exchange(self, item: Item) -> None:
        """Let a worker that is a process take part, as soon as it is the exchange's turn; see `worker_processes.py`."""
        self._add(item, np.array([item.worker])).one_by_one[item.worker] = item.pulled

    def call(self, item: Item, workers: NDArray[np.int64]) -> None:
        """Let workers [K] take part alike; `item.pulled` is called with those that are through and their begins [K]."""
        self._add(item, workers)

    def _add(self, item: Item, workers: NDArray[np.int64]) -> _Call:
        key = item.order, item.step, item.key
        called = self._called.setdefault(key, _Call(item))
        called.left += len(workers)
        if called.left == len(self.workers):
            heappush(self._ready, key)
            self._wake()
        return called

    def _wake(self) -> None:
        self._changed = True
        self._timer.set(self.env.now)

    def _settle(self) -> None:
        """At the end of an instant, decide what is next where somebody is free for it, and launch what is due."""
        self._changed, now_s = False, self.env.now
        free = np.flatnonzero(self._free)
        if self._ready and (self._turn[free] == len(self._items)).any():
            self._items.append(self._called.pop(heappop(self._ready)))
        begin = free[self._turn[free] < len(self._items)]
        self._free[begin] = False
        self._due_s[begin] = self._after(begin, np.full(len(begin), now_s), self.network.links.call_overhead_s)
        due = np.flatnonzero(self._due_s <= now_s * (1 + SAME_INSTANT))
        self._due_s[due], self._since_s[due] = np.inf, now_s
        for number in np.unique(self._turn[due]).tolist():
            execution = self._executions.get(number) or self._begin(number)
            execution.join(self.workers[due[self._turn[due] == number]])
        # Who is alone is through at once.
        self._timer.set(self.env.now if self._changed else self._due_s.min())

    def _begin(self, number: int) -> Execution:
        item = self._items[number].item
        exchange, topology = item.exchange.part(item.piece), self.network.links.topology
        rounds = rounds_of(exchange, topology, self.workers, self.servers)
        count_sent(rounds, self._row, self._sent_bytes[item.step])
        self._latency_s[item.step] += self.network.links.latency_s(rounds)
        execution = self._executions[number] = self.network.begin(rounds, self.workers, partial(self._over, number))
        return execution

    def _over(self, number: int, nodes: NDArray[np.int64]) -> None:
        workers, called = self._row[nodes], self._items[number]
        self._free[workers] = True
        self._turn[workers] += 1
        self._arrived += len(workers)
        called.left -= len(workers)
        if not called.left:
            del self._executions[number]
        if called.one_by_one:
            for worker in workers.tolist():
                called.one_by_one[worker](0, float(self._since_s[worker]))
        else:
            called.item.pulled(workers, self._since_s[workers])
        self._wake()

    def told(self, worker: int, step: int) -> dict[str, float]:
        """Return the bytes that a worker has sent in a step's exchanges, and the latency of these."""
        nbytes = float(self._sent_bytes[step][worker])
        return {"wire_bytes_per_worker": nbytes, "comm_latency_s": self._latency_s[step]}

    def means(self, step: int) -> dict[str, float]:
        """Return what the row of a step says of its messages: means over workers."""
        return {"wire_bytes_per_worker": float(self._sent_bytes[step].mean()), "comm_latency_s": self._latency_s[step]}

    def moved(self) -> int:
        """Return how often a worker has been through an exchange."""
        return self._arrived
