"""The one rule of time for a plan under way: who may start which transfers once others have completed. No clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.network.base import Round


class Started(NamedTuple):
    """Transfers of one round that may begin: the round's number and their places [K] in it."""

    round: int
    transfers: NDArray[np.int64]


class _Shape(NamedTuple):
    """A round by its participants: transfers sorted by source, and how many each node sends and receives."""

    by_source: NDArray[np.int64]
    first: NDArray[np.int64]
    sends: NDArray[np.int64]
    receives: NDArray[np.int64]
    src: NDArray[np.int64]
    dst: NDArray[np.int64]


class Progress:
    """Counts, for every participant of a plan, the transfers it waits for in its current round.

    Nodes are given by their place in `nodes` [P]. A round that nobody has entered yet may already receive: its
    arrivals are counted when they come.
    """

    def __init__(self, rounds: Sequence[Round], nodes: NDArray[np.int64]) -> None:
        self.rounds = rounds
        self.place = np.full(int(nodes.max()) + 1 if len(nodes) else 0, -1, dtype=np.int64)
        self.place[nodes] = np.arange(len(nodes))
        self.at = np.full(len(nodes), -1, dtype=np.int64)
        self.unsent = np.zeros(len(nodes), dtype=np.int64)
        self._expected: dict[int, NDArray[np.int64]] = {}
        self._shapes: dict[int, _Shape] = {}

    def shape(self, number: int) -> _Shape:
        """Return a round by its participants."""
        one = self.rounds[number]
        found = self._shapes.get(id(one))
        if found is None:
            src, dst = self.place[one.src], self.place[one.dst]
            sends = np.bincount(src, minlength=len(self.at))
            first = np.concatenate([[0], np.cumsum(sends)])
            receives = np.bincount(dst, minlength=len(self.at))
            found = _Shape(np.argsort(src, kind="stable"), first, sends, receives, src, dst)
            self._shapes[id(one)] = found
        return found

    def expected(self, number: int) -> NDArray[np.int64]:
        """Return [P] how many transfers of a round are still to arrive at each node."""
        if number not in self._expected:
            self._expected[number] = self.shape(number).receives.copy()
        return self._expected[number]

    def join(self, nodes: NDArray[np.int64]) -> tuple[list[Started], NDArray[np.int64]]:
        """Let nodes begin; return the transfers that start, and the nodes whose part is over already."""
        return self._enter(nodes, np.zeros(len(nodes), dtype=np.int64))

    def complete(
        self, number: NDArray[np.int64], transfers: NDArray[np.int64]
    ) -> tuple[list[Started], NDArray[np.int64]]:
        """Count completed transfers; return those that start now, and the nodes whose part is over."""
        touched = []
        for one in np.unique(number):
            shape, which = self.shape(int(one)), transfers[number == one]
            np.subtract.at(self.unsent, shape.src[which], 1)
            np.subtract.at(self.expected(int(one)), shape.dst[which], 1)
            touched += [shape.src[which], shape.dst[which]]
        nodes = np.unique(np.concatenate(touched)) if touched else np.zeros(0, dtype=np.int64)
        nodes = nodes[(self.at[nodes] >= 0) & (self.at[nodes] < len(self.rounds))]
        free = nodes[self._free(nodes)]
        return self._enter(free, self.at[free] + 1)

    def _free(self, nodes: NDArray[np.int64]) -> NDArray[np.bool_]:
        waits = np.zeros(len(nodes), dtype=np.int64)
        for number in np.unique(self.at[nodes]):
            here = self.at[nodes] == number
            waits[here] = self.expected(int(number))[nodes[here]]
        return np.asarray((self.unsent[nodes] == 0) & (waits == 0))

    def _enter(self, nodes: NDArray[np.int64], numbers: NDArray[np.int64]) -> tuple[list[Started], NDArray[np.int64]]:
        """Move nodes on to a round each, and further where they have nothing to do in it."""
        started, over = [], []
        while len(nodes):
            self.at[nodes] = numbers
            ended = numbers >= len(self.rounds)
            over.append(nodes[ended])
            nodes, numbers = nodes[~ended], numbers[~ended]
            started += [self._start(int(number), nodes[numbers == number]) for number in np.unique(numbers)]
            free = self._free(nodes)
            nodes, numbers = nodes[free], numbers[free] + 1
        self._tidy()
        finished = np.sort(np.concatenate(over)) if over else np.zeros(0, dtype=np.int64)
        return [one for one in started if len(one.transfers)], finished

    def _start(self, number: int, nodes: NDArray[np.int64]) -> Started:
        shape = self.shape(number)
        self.unsent[nodes] = shape.sends[nodes]
        counts = shape.sends[nodes]
        offset = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        return Started(number, shape.by_source[np.repeat(shape.first[nodes], counts) + offset])

    def _tidy(self) -> None:
        """Forget rounds that everyone has left."""
        behind = int(self.at.min()) if len(self.at) else 0
        for number in [one for one in self._expected if one < behind]:
            del self._expected[number]
