"""SVRG whose workers do not wait for each other, on a parameter server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Gt

from netsim.optim.base import Asynchronous, Rows, Task, generator, optimizers
from netsim.optim.walk import choices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.workload.live import Problem


@dataclass(frozen=True, eq=False)
class Loop:
    """The server's model and snapshot [d], the gradient [d] there, and how far this outer loop is.

    `steps` are those to come, None while the gradient is summed; `away` [W] says who has a last push to make before the
    next phase; `number` counts outer loops.
    """

    x: NDArray[np.float64]
    snapshot: NDArray[np.float64]
    exact: NDArray[np.float64]
    steps: int | None
    away: NDArray[np.bool_]
    number: int


@lru_cache(maxsize=1024)
def drawn(seed: int, worker: int, number: int, samples: int, count: int) -> NDArray[np.int64]:
    """Return the samples that a worker visits in an outer loop: those of SVRG; kept for the loop's other steps."""
    return np.asarray(choices([generator(seed, worker, number)], samples, count)[0])


@optimizers.register("ps_svrg", paper="Reddi et al., NeurIPS 2015 (arXiv:1506.06840), asynchronous SVRG")
@dataclass(frozen=True, kw_only=True)
class PSSVRG(Asynchronous):
    """Asynchronous SVRG on a parameter server: every step pulls the model and pushes a variance-reduced gradient.

    An outer loop begins together, with the exact gradient at a snapshot, and ends when all have pushed `epochs` times
    what samples there are. A step is `lr` / W long. Wire: d floats up and d down a step; the model at a loop's
    beginning is the snapshot, and the first pull after it brings the exact gradient.
    """

    lr: Annotated[float, Gt(0)] = 0.1
    epochs: Annotated[float, Gt(0)] = 2.0
    batch: Annotated[int, Ge(1)] = 1

    def serve(self, problem: Problem) -> Loop:
        """Return zeros."""
        zeros = np.zeros(problem.size)
        return Loop(zeros, zeros, zeros, None, np.ones(problem.workers, dtype=bool), 0)

    def begin(self, problem: Problem) -> Rows:
        """Return that nobody has visited a sample in this loop."""
        return {"visited": np.zeros(problem.workers, dtype=np.int64)}

    def pull(self, server: Loop) -> NDArray[np.float64]:
        """Return all that a worker then knows."""
        about = [float(server.steps is not None), float(server.number)]
        return np.concatenate([server.x, server.snapshot, server.exact, about])

    def evaluations(self, problem: Problem, server: Loop) -> float:
        """Return all samples for the exact gradient, else two for each of a batch."""
        return problem.samples if server.steps is None else 2.0 * min(self.batch, problem.samples)

    def compute(self, problem: Problem, task: Task) -> tuple[NDArray[np.float64], Rows]:
        """Return gradients over all samples of the workers, or variance-reduced ones over their next batches."""
        x, snapshot, exact = np.split(task.pulled[:, :-2], 3, axis=1)
        visited = task.rows["visited"]
        # Phases begin for all at once, so that all who compute together are in the same one.
        stepping, number = task.pulled[0, -2:]
        if not stepping:
            return problem.gradients(task.workers, x), {"visited": np.zeros_like(visited)}
        batch, count = min(self.batch, problem.samples), max(1, round(self.epochs * problem.samples))
        rows = np.empty((len(visited), batch), dtype=np.int64)
        for place, worker in enumerate(task.workers.tolist()):
            order = drawn(task.seed, worker, int(number), problem.samples, count)
            rows[place] = order[(visited[place] + np.arange(batch)) % count]
        a, targets = problem.features[task.workers[:, None], rows], problem.targets[task.workers[:, None], rows]
        slopes = problem.slopes(a, targets, x) - problem.slopes(a, targets, snapshot)
        change = np.einsum("km,kmd->kd", slopes, a) / batch
        return change + exact + problem.penalty * x, {"visited": visited + batch}

    def apply(self, problem: Problem, server: Loop, worker: int, push: NDArray[np.float64]) -> Loop:
        """Step along a variance-reduced gradient, or add a W-th of the exact one; begin the next phase when all did."""
        away = server.away.copy()
        if server.steps is None:
            away[worker] = False
            server = replace(server, exact=server.exact + push / problem.workers, away=away)
            if away.any():
                return server
            each = max(1, round(self.epochs * problem.samples / min(self.batch, problem.samples)))
            return replace(server, steps=each * problem.workers, away=~away)
        steps = server.steps - 1
        away[worker] = steps >= problem.workers  # all others are at a step
        x = server.x - self.lr / problem.workers * push
        if away.any():
            return replace(server, x=x, steps=steps, away=away)
        return Loop(x, x, np.zeros_like(x), None, ~away, server.number + 1)

    def waits(self, server: Loop, worker: int) -> bool:
        """Return whether the worker has made its last push of a phase that is not over."""
        return not server.away[worker]

    def model(self, server: Loop) -> NDArray[np.float64]:
        """Return the server's model."""
        return server.x

    def floats(self, problem: Problem, server: Loop) -> tuple[int, int]:
        """Return d each way."""
        return problem.size, problem.size
