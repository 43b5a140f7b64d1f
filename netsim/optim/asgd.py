"""SGD whose workers do not wait for each other, with or without a bound on staleness."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from netsim.optim.base import Asynchronous, Rows, Task, optimizers
from netsim.optim.sgd import visits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.workload.live import Objective


@dataclass(frozen=True, eq=False)
class Clocked:
    """The server's model [d], and how many pushes of each worker [W] it has seen."""

    x: NDArray[np.float64]
    clock: NDArray[np.int64]


def next_rows(problem: Objective, task: Task, batch: int) -> NDArray[np.int64]:
    """Return [k, batch] each worker's samples of its turn: the permutations and the order of synchronous SGD."""
    batch = min(batch, problem.samples)
    each = problem.samples // batch
    found = []
    for worker, turn in zip(task.workers, task.turns, strict=True):
        epoch, at = divmod(int(turn), each)
        order = visits(task.seed, int(worker), epoch, problem.samples)
        found.append(order[at * batch : (at + 1) * batch])
    return np.stack(found)


@optimizers.register("asgd", paper="Recht et al., NeurIPS 2011; Ho et al., NeurIPS 2013 (bounded staleness)")
@dataclass(frozen=True, kw_only=True)
class ASGD(Asynchronous):
    """Asynchronous SGD: the server steps along each gradient on arrival, however old the model it was taken at.

    With a `bound`, a worker that is more than `bound` steps ahead of the slowest waits for it (stale synchronous
    parallel). Wire: d floats up and d down a step. A step is `lr` / W long, so that W pushes make one of SGD's.
    """

    linear: ClassVar[bool] = False
    lr: Annotated[float, Gt(0)] = 0.1
    batch: Annotated[int, Ge(1)] = 1
    bound: Annotated[int, Ge(0)] | None = None

    def serve(self, problem: Objective) -> Clocked:
        """Return the first model."""
        return Clocked(problem.start(), np.zeros(problem.workers, dtype=np.int64))

    def begin(self, problem: Objective) -> Rows:
        """Return nothing: workers keep nothing."""
        return {}

    def pull(self, server: Clocked) -> NDArray[np.float64]:
        """Return the model."""
        return server.x

    def evaluations(self, problem: Objective, server: Clocked) -> float:
        """Return a batch."""
        return min(self.batch, problem.samples)

    def compute(self, problem: Objective, task: Task) -> tuple[NDArray[np.float64], Rows]:
        """Return the gradients of each worker's next batch."""
        return problem.batch_gradients(task.workers, next_rows(problem, task, self.batch), task.pulled), {}

    def apply(self, problem: Objective, server: Clocked, worker: int, push: NDArray[np.float64]) -> Clocked:
        """Step along the gradient."""
        clock = server.clock.copy()
        clock[worker] += 1
        return replace(server, x=server.x - self.lr / problem.workers * push, clock=clock)

    def waits(self, server: Clocked, worker: int) -> bool:
        """Return whether the worker is too far ahead."""
        return self.bound is not None and int(server.clock[worker] - server.clock.min()) > self.bound

    def model(self, server: Clocked) -> NDArray[np.float64]:
        """Return the server's model."""
        return server.x

    def floats(self, problem: Objective, server: Clocked) -> tuple[int, int]:
        """Return d each way."""
        return problem.size, problem.size
