"""Messages between workers and servers: who may send next, and which messages travel as one plan.

A sender gives each receiver one message at a time, like a stream: the next in order leaves when the one before has
arrived, and its latency is hidden behind half of its own bytes. Messages of one instant to (or from) one host share a
plan, so that a symmetric job needs few of them. An `Outbox` is one sender's; `Streams` are those of all, as arrays.
"""

from __future__ import annotations

import heapq
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from netsim.network.base import Round
from netsim.network.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    import simpy
    from numpy.typing import NDArray

    from netsim.network.base import Execution, Network

_ROUNDS_KEPT = 200


class Letters(NamedTuple):
    """Messages that leave together: one between a server's host (`hub`) and each of `leaves` [K], of `nbytes` [K].

    `outward` ones leave the hub. `follows`: each is the next on its stream. `arrived` is called with the leaves of
    those that have arrived, at the instant they do.
    """

    hub: int
    outward: bool
    follows: bool
    leaves: NDArray[np.int64]
    nbytes: NDArray[np.float64]
    arrived: Callable[[NDArray[np.int64]], None]


class Post:
    """Begins the messages of an instant at its end, those to or from one host of a server as one plan.

    `arrived` counts messages. Once it is `closed`, nothing is sent any more. If `apart`, messages do not share plans,
    so that each can be dropped by itself.
    """

    def __init__(self, env: simpy.Environment, network: Network, *, apart: bool = False) -> None:
        self.env = env
        self.network = network
        self.arrived = 0
        self.closed = False
        self._apart = apart
        self._number = count()
        self._under_way: dict[int, tuple[Execution, int]] = {}
        self._plan_of: dict[int, int] = {}
        self._due: dict[tuple[int, bool, bool, int], list[Letters]] = {}
        self._rounds: dict[tuple[int, bool, bool, bytes, bytes], Round] = {}
        self._timer = Timer(env, self._begin)

    def send(self, letters: Letters) -> None:
        """Send messages now."""
        if self.closed:
            return
        apart = id(letters) if self._apart else 0
        self._due.setdefault((letters.hub, letters.outward, letters.follows, apart), []).append(letters)
        self._timer.set(self.env.now)

    def drop(self, letters: Letters) -> None:
        """Let messages that are apart end here, if they have not arrived."""
        self._due.pop((letters.hub, letters.outward, letters.follows, id(letters)), None)
        number = self._plan_of.pop(id(letters), None)
        if number is not None:
            self._under_way.pop(number)[0].abandon()

    def close(self) -> None:
        """Send nothing from now on, and let what is under way end here: nobody hears of it."""
        self.closed = True
        self._due.clear()
        for execution, _ in self._under_way.values():
            execution.abandon()
        self._under_way.clear()

    def _begin(self) -> None:
        due, self._due = self._due, {}
        for (hub, outward, follows, apart), some in due.items():
            leaves = some[0].leaves if len(some) == 1 else np.concatenate([one.leaves for one in some])
            nbytes = some[0].nbytes if len(some) == 1 else np.concatenate([one.nbytes for one in some])
            number, nodes = next(self._number), np.concatenate([[hub], leaves])
            done = partial(self._tell, (number, apart), hub, _receivers(some))
            one = self._round((hub, outward, follows, leaves.tobytes(), nbytes.tobytes()))
            execution = self.network.begin([one], nodes, done, collective=False)
            self._under_way[number] = execution, len(nodes)
            if apart:
                self._plan_of[apart] = number
            execution.join(nodes)

    def _round(self, key: tuple[int, bool, bool, bytes, bytes]) -> Round:
        """Return a round; the last ones are kept, since links know the routes of rounds that they have seen."""
        if key not in self._rounds:
            if len(self._rounds) >= _ROUNDS_KEPT:
                self._rounds.clear()
            hub, outward, follows, leaves, nbytes = key
            there = np.frombuffer(leaves, dtype=np.int64)
            here = np.full(len(there), hub)
            src, dst = (here, there) if outward else (there, here)
            self._rounds[key] = Round(src, dst, np.frombuffer(nbytes), slices=2 if follows else 1)
        return self._rounds[key]

    def _tell(self, plan: tuple[int, int], hub: int, receivers: Receivers, nodes: NDArray[np.int64]) -> None:
        """Say that messages have arrived: at leaves, or from them."""
        number, apart = plan
        execution, left = self._under_way.pop(number)
        if left > len(nodes):
            self._under_way[number] = execution, left - len(nodes)
        else:
            self._plan_of.pop(apart, None)
        nodes = nodes[nodes != hub]
        self.arrived += len(nodes)
        if not isinstance(receivers, dict):
            if len(nodes):
                receivers(nodes)
            return
        told: dict[int, tuple[Callable[[NDArray[np.int64]], None], list[int]]] = {}
        for node in nodes.tolist():
            told.setdefault(id(receivers[node]), (receivers[node], []))[1].append(node)
        for arrived, some in told.values():
            arrived(np.array(some))


Receivers: TypeAlias = "Callable[[NDArray[np.int64]], None] | dict[int, Callable[[NDArray[np.int64]], None]]"


def _receivers(some: list[Letters]) -> Receivers:
    """Return whom to tell of arrivals: one for all leaves, or one for each."""
    return some[0].arrived if len(some) == 1 else {leaf: one.arrived for one in some for leaf in one.leaves.tolist()}


class Outbox:
    """What one node has to send: a stream to each receiver, and at most `credit` bytes under way over all of them."""

    def __init__(self, post: Post, node: int, credit: float | None, *, serves: bool) -> None:
        self.post = post
        self.node = node
        self.credit = np.inf if credit is None else credit
        self.serves = serves
        self._number = count()
        self._waiting: dict[int, list[tuple[float, int, float, Callable[[], None]]]] = {}
        self._busy: dict[int, tuple[Letters, float]] = {}
        self._ended_s: dict[int, float] = {}
        self._under_way_bytes = 0.0

    def put(self, receiver: int, order: float, nbytes: float, arrived: Callable[[], None]) -> None:
        """Send as soon as it is this message's turn: the least `order` first, the oldest among equals."""
        heapq.heappush(self._waiting.setdefault(receiver, []), (order, next(self._number), nbytes, arrived))
        self._next(receiver)

    def drop(self, receiver: int) -> None:
        """Forget what this receiver has not got."""
        self._waiting.pop(receiver, None)
        letters, nbytes = self._busy.pop(receiver, (None, 0.0))
        self._under_way_bytes -= nbytes
        if letters is not None:
            self.post.drop(letters)

    def drop_all(self) -> None:
        """Forget what has not arrived."""
        for receiver in {*self._waiting, *self._busy}:
            self.drop(receiver)

    def _next(self, receiver: int) -> None:
        """Send what may leave, to this receiver; with a credit, to whoever's message is the first in order."""
        if np.isinf(self.credit):
            if self._waiting[receiver] and receiver not in self._busy:
                self._send(receiver)
            return
        while ready := [one for one in self._waiting if self._waiting[one] and one not in self._busy]:
            first = min(ready, key=lambda one: self._waiting[one][0][:2])
            nbytes = self._waiting[first][0][2]
            if self._under_way_bytes and self._under_way_bytes + nbytes > self.credit:
                return
            self._send(first)

    def _send(self, receiver: int) -> None:
        _, _, nbytes, arrived = heapq.heappop(self._waiting[receiver])
        self._under_way_bytes += nbytes

        def over(_: NDArray[np.int64]) -> None:
            del self._busy[receiver]
            self._under_way_bytes -= nbytes
            self._ended_s[receiver] = self.post.env.now
            arrived()
            self._next(receiver)

        follows = self._ended_s.get(receiver) == self.post.env.now
        hub, leaf = (self.node, receiver) if self.serves else (receiver, self.node)
        letters = Letters(hub, self.serves, follows, np.array([leaf]), np.array([nbytes]), over)
        self._busy[receiver] = letters, nbytes
        self.post.send(letters)
