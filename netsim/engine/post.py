"""Messages between workers and servers: who may send next, and which messages travel as one plan.

A sender gives each receiver one message at a time, like a stream: the next in order leaves when the one before has
arrived, and its latency is hidden behind half of its own bytes. Messages of one instant to (or from) one host share a
plan, so that a symmetric job needs few of them.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from netsim.network.base import Round
from netsim.network.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    import simpy
    from numpy.typing import NDArray

    from netsim.network.base import Network

_ENDS_KEPT = 200


class Letter(NamedTuple):
    """A message under way: nodes, bytes, whether it follows another on its stream, and what its arrival does."""

    src: int
    dst: int
    nbytes: float
    follows: bool
    arrived: Callable[[], None]


class Post:
    """Begins the letters of an instant at its end, those to or from one host of a server as one plan."""

    def __init__(self, env: simpy.Environment, network: Network) -> None:
        self.env = env
        self.network = network
        self._due: dict[tuple[int, bool, bool], list[Letter]] = {}
        self._ends: dict[tuple[tuple[int, int], ...], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._timer = Timer(env, self._begin)

    def send(self, letter: Letter, hub: int) -> None:
        """Send a letter now; `hub` is the server's host, at one of its ends."""
        self._due.setdefault((hub, letter.src == hub, letter.follows), []).append(letter)
        self._timer.set(self.env.now)

    def _begin(self) -> None:
        due, self._due = self._due, {}
        for (hub, _, follows), letters in due.items():
            self._plan(hub, letters, follows)

    def _plan(self, hub: int, letters: list[Letter], follows: bool) -> None:
        leaf = {(one.dst if one.src == hub else one.src): one.arrived for one in letters}

        def done(nodes: NDArray[np.int64]) -> None:
            for node in nodes.tolist():
                if node != hub:
                    leaf[node]()

        src, dst = self._nodes(tuple((one.src, one.dst) for one in letters))
        one = Round(src, dst, np.array([one.nbytes for one in letters]), slices=2 if follows else 1)
        nodes = np.array([hub, *leaf])
        self.network.begin([one], nodes, done, collective=False).join(nodes)

    def _nodes(self, pairs: tuple[tuple[int, int], ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return sources and destinations as arrays; the last ones are kept, since links know their routes."""
        if pairs not in self._ends:
            if len(self._ends) >= _ENDS_KEPT:
                self._ends.clear()
            src, dst = np.array(pairs, dtype=np.int64).T
            self._ends[pairs] = src.copy(), dst.copy()
        return self._ends[pairs]


class Outbox:
    """What one node has to send: a stream to each receiver, and at most `credit` bytes under way over all of them."""

    def __init__(self, post: Post, node: int, credit: float | None, *, serves: bool) -> None:
        self.post = post
        self.node = node
        self.credit = np.inf if credit is None else credit
        self.serves = serves
        self._number = count()
        self._waiting: dict[int, list[tuple[float, int, float, Callable[[], None]]]] = {}
        self._busy: set[int] = set()
        self._ended_s: dict[int, float] = {}
        self._under_way_bytes = 0.0

    def put(self, receiver: int, order: float, nbytes: float, arrived: Callable[[], None]) -> None:
        """Send as soon as it is this message's turn: the least `order` first, the oldest among equals."""
        heapq.heappush(self._waiting.setdefault(receiver, []), (order, next(self._number), nbytes, arrived))
        self._next(receiver)

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
        self._busy.add(receiver)
        self._under_way_bytes += nbytes

        def over() -> None:
            self._busy.discard(receiver)
            self._under_way_bytes -= nbytes
            self._ended_s[receiver] = self.post.env.now
            arrived()
            self._next(receiver)

        follows = self._ended_s.get(receiver) == self.post.env.now
        hub = self.node if self.serves else receiver
        self.post.send(Letter(self.node, receiver, nbytes, follows, over), hub)
