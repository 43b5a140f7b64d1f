"""SAGA on one worker and its asynchronous distributed form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from annotated_types import Gt

from netsim.optim.base import Asynchronous, Exchange, Rows, Synchronous, Task, Turn, generator, optimizers
from netsim.optim.central_vr import Server
from netsim.optim.walk import Walk, choices, walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.workload.live import Problem


class Single(NamedTuple):
    """The one worker's walk."""

    walk: Walk
    turn: int
    seed: int


@optimizers.register("saga", paper="Defazio et al., NeurIPS 2014")
@dataclass(frozen=True, kw_only=True)
class SAGA(Synchronous):
    """SAGA on one worker: a table of gradients whose mean follows every step, one evaluation a step."""

    lr: Annotated[float, Gt(0)] = 0.1
    single = True

    def init(self, problem: Problem, seed: int) -> Single:
        """Return zeros: with an empty table the first visits are plain SGD."""
        zeros = np.zeros((1, problem.size))
        return Single(Walk(zeros, np.zeros((1, problem.samples)), zeros), 0, seed)

    def turn(self, problem: Problem, state: Single) -> Turn:
        """Go as many steps as there are samples."""
        order = choices([generator(state.seed, 0, state.turn)], problem.samples, problem.samples)
        end = walk(problem, np.zeros(1, dtype=np.int64), state.walk, order, self.lr, table="refresh mean")
        yield Exchange.mean(problem.samples, end.x)
        return Single(end, state.turn + 1, state.seed)

    def model(self, state: Single) -> NDArray[np.float64]:
        """Return the model."""
        return np.asarray(state.walk.x[0])


@optimizers.register("d_saga", paper="De and Goldstein, ICDM 2016 (arXiv:1512.02970), D-SAGA; form not spelled out")
@dataclass(frozen=True, kw_only=True)
class DSAGA(Asynchronous):
    """Distributed SAGA, asynchronous: local SAGA on the shard, then what it changed is pushed.

    The server adds a W-th of each change. Wire: 2 d floats up and 2 d down every `epochs` epochs of a worker's samples.
    """

    lr: Annotated[float, Gt(0)] = 0.1
    epochs: Annotated[float, Gt(0)] = 1.0

    def serve(self, problem: Problem) -> Server:
        """Return zeros."""
        return Server(np.zeros(problem.size), np.zeros(problem.size))

    def begin(self, problem: Problem) -> Rows:
        """Return empty tables."""
        return {"table": np.zeros((problem.workers, problem.samples))}

    def pull(self, server: Server) -> NDArray[np.float64]:
        """Return model and mean gradient."""
        return np.concatenate([server.x, server.mean])

    def evaluations(self, problem: Problem, server: Server) -> float:
        """Return the local steps."""
        return max(1, round(self.epochs * problem.samples))

    def compute(self, problem: Problem, task: Task) -> tuple[NDArray[np.float64], Rows]:
        """Go the local steps; return what they changed."""
        x, mean = np.split(task.pulled, 2, axis=1)
        order = choices(task.draws(), problem.samples, max(1, round(self.epochs * problem.samples)))
        start = Walk(x, task.rows["table"], mean)
        end = walk(problem, task.workers, start, order, self.lr, table="refresh mean")
        return np.hstack([end.x - x, end.mean - mean]), {"table": end.table}

    def apply(self, problem: Problem, server: Server, worker: int, push: NDArray[np.float64]) -> Server:
        """Add a W-th of the changes."""
        x, mean = np.split(push / problem.workers, 2)
        return replace(server, x=server.x + x, mean=server.mean + mean)

    def model(self, server: Server) -> NDArray[np.float64]:
        """Return the server's model."""
        return server.x

    def floats(self, problem: Problem, server: Server) -> tuple[int, int]:
        """Return 2 d each way."""
        return 2 * problem.size, 2 * problem.size
