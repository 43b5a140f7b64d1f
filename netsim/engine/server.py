"""What parameter servers do: they add what is pushed, one thing at a time, and answer pulls that are fresh enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import simpy
    from numpy.typing import NDArray


class Processor:
    """The processor of a server's host: work is done in the order in which it comes."""

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self._free_s = 0.0

    def work(self, seconds: float, then: Callable[[], None] | None) -> None:
        """Call `then` once all earlier work and these seconds are over; at once where there are none."""
        self._free_s = max(self._free_s, self.env.now) + seconds
        if then is not None:
            later(self.env, self._free_s - self.env.now, then)


def later(env: simpy.Environment, seconds: float, then: Callable[[], None]) -> None:
    """Call `then` after so many seconds; now if there are none."""
    if seconds <= 0:
        then()
        return
    env.timeout(seconds).callbacks.append(lambda _: then())


class Pull(NamedTuple):
    """A worker that waits for a shard: how many pushes of it the worker has made, and what sends the answer."""

    worker: int
    pushes: int
    answer: Callable[[], None]


class Shard:
    """What a server holds of one piece: how often each worker has pushed to it, and who waits for it.

    A pull is answered once no pusher is more than `staleness` pushes behind the one who pulls. What is handed out is
    encoded anew whenever it has changed. The staleness of a push is the number of pushes of others that have been
    added since its worker was answered; a synchronous shard changes once all have pushed, so its is 0. `done` are the
    steps of each pusher that it knows already; what is pushed again for a step is added, but does not count.
    """

    def __init__(
        self,
        processor: Processor,
        pushers: NDArray[np.int64],
        staleness: int | Literal["unbounded"],
        done: NDArray[np.int64] | None = None,
    ) -> None:
        self.processor = processor
        self.bound = np.inf if staleness == "unbounded" else float(staleness)
        self._place = {worker: place for place, worker in enumerate(pushers.tolist())}
        self._pushes = np.zeros(len(pushers), dtype=np.int64) if done is None else done.copy()
        self._last_step = np.full(len(pushers), -1)
        self._slowest = int(self._pushes.min())
        self._version = 0
        self._encoded = -1
        self._seen = np.zeros(len(pushers), dtype=np.int64)
        self._waiting: list[Pull] = []

    def push(self, worker: int, step: int, add_s: float, encode_s: float, answer: Callable[[int], None]) -> None:
        """Take a message that has arrived; call `answer` with its staleness once its pull may leave."""
        self.processor.work(add_s, lambda: self._add(worker, step, encode_s, answer))

    def forget(self, worker: int) -> None:
        """Answer nothing that a worker has asked so far."""
        self._waiting = [one for one in self._waiting if one.worker != worker]

    def fetched(self, worker: int) -> None:
        """Note that a worker has got the newest there is."""
        self._seen[self._place[worker]] = self._version

    def _add(self, worker: int, step: int, encode_s: float, answer: Callable[[int], None]) -> None:
        place = self._place[worker]
        stale = self._version - int(self._seen[place]) if self.bound else 0
        self._pushes[place] += step > self._last_step[place]
        self._last_step[place] = step
        self._version += 1
        self._waiting.append(Pull(worker, int(self._pushes[place]), lambda: answer(stale)))
        slowest, before = int(self._pushes.min()), self._slowest
        self._slowest = slowest
        # Nobody but the last to come can be answered where the slowest is where it was.
        kept, asked = ([], self._waiting) if slowest > before else (self._waiting[:-1], self._waiting[-1:])
        fresh = [one for one in asked if slowest >= one.pushes - self.bound]
        self._waiting = kept + [one for one in asked if slowest < one.pushes - self.bound]
        for one in fresh:
            self._answer(one, encode_s)

    def _answer(self, one: Pull, encode_s: float) -> None:
        changed, self._encoded = self._encoded != self._version, self._version
        self._seen[self._place[one.worker]] = self._version
        self.processor.work(encode_s if changed else 0.0, one.answer)
