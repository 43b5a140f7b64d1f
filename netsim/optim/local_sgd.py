"""Local SGD: workers step by themselves, and now and then their models are averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np
from annotated_types import Ge, Gt

from netsim.optim.base import Exchange, Synchronous, Turn, optimizers
from netsim.optim.sgd import SGD, Beta, Momentum, batch_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.workload.live import Objective


class Local(NamedTuple):
    """The common model [d], each worker's own momentum [W, d], the steps done, and those of the next round."""

    x: NDArray[Any]
    first: NDArray[Any]
    turn: int
    seed: int
    steps: int


@optimizers.register("local_sgd", paper="Stich, ICLR 2019 (arXiv:1805.09767)")
@dataclass(frozen=True, kw_only=True)
class LocalSGD(Synchronous):
    """Local SGD: `steps` steps of SGD with momentum `beta` on every worker, then their changes are averaged.

    Momentum stays at the worker. The changes go through the scenario's scheme. One step is SGD that sends lr times the
    gradient.
    """

    linear: ClassVar[bool] = False
    coded: ClassVar[bool] = True
    adjustable: ClassVar[bool] = True
    lr: Annotated[float, Gt(0)] = 0.1
    batch: Annotated[int, Ge(1)] = 1
    beta: Beta = 0.0
    steps: Annotated[int, Ge(1)] = 4

    @property
    def dense(self) -> Synchronous:
        """Return SGD with the same momentum, which averages at every step."""
        if not self.beta:
            return SGD(lr=self.lr, batch=self.batch)
        return Momentum(lr=self.lr, batch=self.batch, beta=self.beta)

    def init(self, problem: Objective, seed: int) -> Local:
        """Return the first model and momenta of zeros."""
        x = problem.start()
        return Local(x, np.zeros((problem.workers, len(x)), dtype=x.dtype), 0, seed, self.steps)

    def lasting(self, state: Local, steps: int) -> Local:
        """Return the state whose next round has so many steps."""
        return state._replace(steps=steps)

    def turn(self, problem: Objective, state: Local) -> Turn:
        """Run a round."""
        everyone = np.arange(problem.workers)
        x, first = np.tile(state.x, (problem.workers, 1)), state.first
        evaluations = 0
        for step in range(state.steps):
            rows = batch_rows(problem, state.seed, state.turn + step, self.batch)
            first = self.beta * first + problem.batch_gradients(everyone, rows, x)
            x = x - self.lr * first
            evaluations += rows.shape[1]
        count = state.steps
        change = yield Exchange(evaluations, x - state.x, "scenario", passes=count, updates=count)
        return state._replace(x=state.x + change, first=first, turn=state.turn + count)

    def model(self, state: Local) -> NDArray[Any]:
        """Return the common model."""
        return state.x
