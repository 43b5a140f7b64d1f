"""SVRG on one worker and its synchronous distributed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from annotated_types import Gt

from netsim.optim.base import Exchange, Synchronous, Turn, generator, optimizers
from netsim.optim.walk import Walk, choices, walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.workload.live import Problem


class Snapshot(NamedTuple):
    """The model [d] that the next round begins from."""

    x: NDArray[np.float64]
    turn: int
    seed: int


@optimizers.register("d_svrg", paper="De and Goldstein, ICDM 2016 (arXiv:1512.02970), D-SVRG; form not spelled out")
@dataclass(frozen=True, kw_only=True)
class DSVRG(Synchronous):
    """Distributed SVRG: the exact gradient at a snapshot, then local steps that it corrects, then an average.

    A round has two barriers: d floats up and down for the gradient, and as many for the models. `epochs` is the number
    of local steps over the samples of a worker. Each step evaluates two gradients, at the model and at the snapshot.
    """

    lr: Annotated[float, Gt(0)] = 0.1
    epochs: Annotated[float, Gt(0)] = 2.0

    def init(self, problem: Problem, seed: int) -> Snapshot:
        """Return zeros."""
        return Snapshot(np.zeros(problem.size), 0, seed)

    def turn(self, problem: Problem, state: Snapshot) -> Turn:
        """Average the gradients at the snapshot, then the models after the local steps."""
        everyone, shape = np.arange(problem.workers), (problem.workers, problem.size)
        exact = Exchange.mean(problem.samples, problem.gradients(everyone, np.broadcast_to(state.x, shape)))
        yield exact
        steps = max(1, round(self.epochs * problem.samples))
        draws = [generator(state.seed, one, state.turn) for one in range(problem.workers)]
        table = np.stack([problem.slope(problem.features[one] @ state.x, problem.targets[one]) for one in everyone])
        start = Walk(np.broadcast_to(state.x, shape), table, np.broadcast_to(exact.result, shape))
        end = walk(problem, everyone, start, choices(draws, problem.samples, steps), self.lr)
        models = Exchange.mean(2.0 * steps, end.x)
        yield models
        return Snapshot(models.result, state.turn + 1, state.seed)

    def model(self, state: Snapshot) -> NDArray[np.float64]:
        """Return the snapshot."""
        return state.x


@optimizers.register("svrg", paper="Johnson and Zhang, NeurIPS 2013")
@dataclass(frozen=True, kw_only=True)
class SVRG(DSVRG):
    """SVRG on one worker: the exact gradient at a snapshot corrects the steps of the next `epochs` epochs."""

    single = True
