"""What all workers have to send to all servers, or to get from them, as arrays: a stream for every pair."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.engine.post import Letters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from netsim.engine.post import Post

    Size = Callable[[int, NDArray[np.int64]], NDArray[np.float64]]
    Arrived = Callable[[int, NDArray[np.int64]], None]


class Streams:
    """The streams of one direction: each gives its receiver one message at a time, in the order in which they come.

    A message is a number and a worker: `nbytes_of(number, workers)` are bytes [K], and `arrived(number, workers)` is
    called at the instant of arrival. `nodes` [n] are those of the workers, `hosts` [s] those of the servers, and `room`
    [s] says how many messages can wait in a stream of each server.
    """

    def __init__(
        self,
        post: Post,
        ends: tuple[NDArray[np.int64], NDArray[np.int64]],
        room: Sequence[int],
        nbytes_of: Size,
        arrived: Arrived,
        *,
        outward: bool,
    ) -> None:
        self.post, self.outward = post, outward
        self.nodes, self.hosts = ends
        self._nbytes_of, self._arrived = nbytes_of, arrived
        count, servers = len(self.nodes), len(self.hosts)
        self._row = np.full(int(self.nodes.max()) + 1, -1, dtype=np.int64)
        self._row[self.nodes] = np.arange(count)
        self._queue = [np.zeros((count, most), dtype=np.int64) for most in room]
        self._head, self._tail = (np.zeros((servers, count), dtype=np.int64) for _ in range(2))
        self._busy = np.zeros((servers, count), dtype=bool)
        self._ended_s = np.full((servers, count), -1.0)

    def put(self, server: int, number: int, workers: NDArray[np.int64]) -> None:
        """Send a message of each of some workers [K] as soon as it is its turn."""
        tail = self._tail[server]
        self._queue[server][workers, tail[workers]] = number
        tail[workers] += 1
        self._next(server, workers)

    def _next(self, server: int, workers: NDArray[np.int64]) -> None:
        """Let the streams of some workers send what is next, where there is something and nothing under way."""
        head, tail, busy = self._head[server], self._tail[server], self._busy[server]
        workers = workers[~busy[workers] & (head[workers] < tail[workers])]
        if not len(workers):
            return
        now_s = self.post.env.now
        numbers = self._queue[server][workers, head[workers]]
        head[workers] += 1
        empty = workers[head[workers] == tail[workers]]
        head[empty] = tail[empty] = 0
        busy[workers] = True
        for number, same in groups(numbers, workers):
            for follows, some in groups(self._ended_s[server, same] == now_s, same):
                over = partial(self._over, server, int(number))
                ends, nbytes = self.nodes[some], self._nbytes_of(int(number), some)
                host = int(self.hosts[server])
                self.post.send(Letters(host, self.outward, bool(follows), ends, nbytes, over))

    def _over(self, server: int, number: int, nodes: NDArray[np.int64]) -> None:
        workers = self._row[nodes]
        self._busy[server, workers] = False
        self._ended_s[server, workers] = self.post.env.now
        self._arrived(number, workers)
        self._next(server, workers)


def groups(values: NDArray[Any], rows: NDArray[np.int64]) -> Iterator[tuple[Any, NDArray[np.int64]]]:
    """Yield each different value with the rows [K] that have it."""
    if not len(rows):
        return
    if (values == values[0]).all():
        yield values[0], rows
        return
    order = np.argsort(values, kind="stable")
    for same in np.split(order, np.flatnonzero(np.diff(values[order])) + 1):
        yield values[same[0]], rows[same]
