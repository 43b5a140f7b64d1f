"""Signum: steps along the sign of momentum, by majority vote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from netsim.compress.sign_majority import SignMajority
from netsim.optim.base import Exchange, Synchronous, Turn, optimizers
from netsim.optim.sgd import Beta, Moments, Momentum, mean_gradients

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.compress.base import Scheme
    from netsim.workload.live import Objective


@optimizers.register("signum", paper="Bernstein et al., ICML 2018 (arXiv:1802.04434), ICLR 2019 (arXiv:1810.05291)")
@dataclass(frozen=True, kw_only=True)
class Signum(Synchronous):
    """Signum: every element goes `lr` against what most workers' momentum says of its sign. `beta: 0` is signSGD."""

    linear: ClassVar[bool] = False
    lr: Annotated[float, Gt(0)] = 1e-3
    batch: Annotated[int, Ge(1)] = 1
    beta: Beta = 0.9

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """Return the majority vote."""
        return (SignMajority(momentum=self.beta),)

    @property
    def dense(self) -> Synchronous:
        """Return momentum SGD, which sends what the signs are of; its own learning rate is the default one."""
        return Momentum(batch=self.batch, beta=self.beta)

    def init(self, problem: Objective, seed: int) -> Moments:
        """Return the first model; momentum is the workers' own."""
        x = problem.start()
        return Moments(x, np.zeros(0, dtype=x.dtype), np.zeros(0, dtype=x.dtype), 0, seed)

    def turn(self, problem: Objective, state: Moments) -> Turn:
        """Take one step."""
        grads = mean_gradients(problem, state, self.batch)
        signs = yield Exchange(min(self.batch, problem.samples), grads, self.schemes[0])
        return state._replace(x=state.x - self.lr * signs, turn=state.turn + 1)

    def model(self, state: Moments) -> NDArray[Any]:
        """Return the model."""
        return state.x
