"""CentralVR on one worker, and its synchronous and asynchronous distributed forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from annotated_types import Gt

from netsim.optim.base import Asynchronous, Exchange, Rows, Synchronous, Task, Turn, generator, optimizers
from netsim.optim.walk import Walk, permutations, table_mean, walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.workload.live import Problem

_PAPER = "De and Goldstein, ICDM 2016 (arXiv:1512.02970)"


class Central(NamedTuple):
    """What all have in common, x [d] and mean gradient [d], and each worker's table [W, n]."""

    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    table: NDArray[np.float64]
    turn: int
    seed: int


@optimizers.register("central_vr_sync", paper=_PAPER)
@dataclass(frozen=True, kw_only=True)
class CentralVRSync(Synchronous):
    """CentralVR-Sync: one local epoch with the global mean gradient, then models and mean gradients are averaged.

    Wire: 2 d floats up and 2 d down a worker and epoch. The first epoch, with empty tables, is plain SGD.
    """

    lr: Annotated[float, Gt(0)] = 0.1

    def init(self, problem: Problem, seed: int) -> Central:
        """Return zeros."""
        zeros = np.zeros(problem.size)
        return Central(zeros, zeros, np.zeros((problem.workers, problem.samples)), 0, seed)

    def turn(self, problem: Problem, state: Central) -> Turn:
        """Run one epoch on every worker."""
        everyone = np.arange(problem.workers)
        order = permutations(
            [generator(state.seed, one, state.turn) for one in range(problem.workers)], problem.samples
        )
        shape = (problem.workers, problem.size)
        start = Walk(np.broadcast_to(state.x, shape), state.table, np.broadcast_to(state.mean, shape))
        end = walk(problem, everyone, start, order, self.lr, table="refresh")
        means = table_mean(problem, everyone, end.table)
        exchange = Exchange.mean(problem.samples, np.hstack([end.x, means]))
        yield exchange
        x, mean = np.split(exchange.result, 2)
        return Central(x, mean, end.table, state.turn + 1, state.seed)

    def model(self, state: Central) -> NDArray[np.float64]:
        """Return the averaged model."""
        return state.x


@optimizers.register("central_vr", paper=_PAPER)
@dataclass(frozen=True, kw_only=True)
class CentralVR(CentralVRSync):
    """CentralVR on one worker: a table of gradients whose mean is taken once an epoch, one evaluation a step."""

    single = True


@dataclass(frozen=True, eq=False)
class Server:
    """The server's model and mean gradient [d], and how many workers have not filled their tables yet."""

    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    filling: int = 0


@optimizers.register("central_vr_async", paper=_PAPER)
@dataclass(frozen=True, kw_only=True)
class CentralVRAsync(Asynchronous):
    """CentralVR-Async: workers push the changes of their model and mean gradient after each epoch.

    They wait for the others once, after the first epoch, which fills the tables. The server adds a W-th of each change,
    so that it holds the mean of what all workers said last. Wire: 2 d floats up and 2 d down a worker and epoch.
    """

    lr: Annotated[float, Gt(0)] = 0.1

    def serve(self, problem: Problem) -> Server:
        """Return zeros."""
        return Server(np.zeros(problem.size), np.zeros(problem.size), problem.workers)

    def begin(self, problem: Problem) -> Rows:
        """Return empty tables, and zeros for what was said last."""
        return {
            "table": np.zeros((problem.workers, problem.samples)),
            "said": np.zeros((problem.workers, 2 * problem.size)),
        }

    def pull(self, server: Server) -> NDArray[np.float64]:
        """Return model and mean gradient."""
        return np.concatenate([server.x, server.mean])

    def evaluations(self, problem: Problem, server: Server) -> float:
        """Return an epoch."""
        return problem.samples

    def compute(self, problem: Problem, task: Task) -> tuple[NDArray[np.float64], Rows]:
        """Run one epoch; return what changed since the last push."""
        x, mean = np.split(task.pulled, 2, axis=1)
        order = permutations(task.draws(), problem.samples)
        end = walk(problem, task.workers, Walk(x, task.rows["table"], mean), order, self.lr, table="refresh")
        said = np.hstack([end.x, table_mean(problem, task.workers, end.table)])
        return said - task.rows["said"], {"table": end.table, "said": said}

    def apply(self, problem: Problem, server: Server, worker: int, push: NDArray[np.float64]) -> Server:
        """Add a W-th of the changes."""
        x, mean = np.split(push / problem.workers, 2)
        return Server(server.x + x, server.mean + mean, max(server.filling - 1, 0))

    def waits(self, server: Server, worker: int) -> bool:
        """Return whether the first epoch is not over everywhere."""
        return server.filling > 0

    def model(self, server: Server) -> NDArray[np.float64]:
        """Return the server's model."""
        return server.x

    def floats(self, problem: Problem, server: Server) -> tuple[int, int]:
        """Return 2 d each way."""
        return 2 * problem.size, 2 * problem.size
