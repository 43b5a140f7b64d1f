"""SVRG on one worker and its synchronous distributed forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

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


@optimizers.register("svrg", paper="Johnson and Zhang, NeurIPS 2013")
@dataclass(frozen=True, kw_only=True)
class SVRG(Synchronous):
    """SVRG on one worker: the exact gradient at a snapshot corrects the steps of the next `epochs` epochs."""

    lr: Annotated[float, Gt(0)] = 0.1
    epochs: Annotated[float, Gt(0)] = 2.0
    single = True

    def init(self, problem: Problem, seed: int) -> Snapshot:
        """Return zeros."""
        return Snapshot(np.zeros(problem.size), 0, seed)

    def turn(self, problem: Problem, state: Snapshot) -> Turn:
        """Take each worker's own gradient at the snapshot, then its steps; average the models."""
        shape = (problem.workers, problem.size)
        means = problem.gradients(np.arange(problem.workers), np.broadcast_to(state.x, shape))
        models = Exchange.mean(problem.samples + 2.0 * self.steps(problem), self.stepped(problem, state, means))
        yield models
        return Snapshot(models.result, state.turn + 1, state.seed)

    def steps(self, problem: Problem) -> int:
        """Return how many steps follow a snapshot."""
        return max(1, round(self.epochs * problem.samples))

    def stepped(self, problem: Problem, state: Snapshot, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [W, d] where workers are after their steps, corrected by mean gradients [W, d] at the snapshot."""
        everyone = np.arange(problem.workers)
        draws = [generator(state.seed, one, state.turn) for one in range(problem.workers)]
        table = np.stack([problem.slope(problem.features[one] @ state.x, problem.targets[one]) for one in everyone])
        start = Walk(np.broadcast_to(state.x, means.shape), table, means)
        return walk(problem, everyone, start, choices(draws, problem.samples, self.steps(problem)), self.lr).x

    def model(self, state: Snapshot) -> NDArray[np.float64]:
        """Return the snapshot."""
        return state.x


@optimizers.register("d_svrg", paper="De and Goldstein, ICDM 2016 (arXiv:1512.02970), D-SVRG; form not spelled out")
@dataclass(frozen=True, kw_only=True)
class DSVRG(SVRG):
    """Distributed SVRG: a gradient at a snapshot, then local steps that it corrects, then an average of the models.

    `epochs` is the number of local steps over the samples of a worker. Each step evaluates two gradients, at the model
    and at the snapshot. The `global` gradient, over all samples, takes a round two barriers: d floats up and down for
    it, and as many for the models. With the `local` one, of its own samples, a worker goes to its own minimum: one
    barrier a round, and a floor, as the mean of the workers' minima is not the minimum over all samples.
    """

    gradient: Literal["global", "local"] = "global"
    single = False

    def turn(self, problem: Problem, state: Snapshot) -> Turn:
        """Average the gradients at the snapshot, or let workers keep their own; average the models after the steps."""
        if self.gradient == "local":
            return (yield from super().turn(problem, state))
        everyone, shape = np.arange(problem.workers), (problem.workers, problem.size)
        exact = Exchange.mean(problem.samples, problem.gradients(everyone, np.broadcast_to(state.x, shape)))
        yield exact
        ends = self.stepped(problem, state, np.broadcast_to(exact.result, shape))
        models = Exchange.mean(2.0 * self.steps(problem), ends)
        yield models
        return Snapshot(models.result, state.turn + 1, state.seed)
