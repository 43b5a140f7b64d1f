"""0/1 Adam: the variance is renewed ever more rarely, and at last workers step by themselves between exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np
from annotated_types import Ge, Gt

from netsim.compress.compressed_all_reduce import CompressedAllReduce
from netsim.optim.base import Exchange, Synchronous, Turn, optimizers
from netsim.optim.onebit import masked
from netsim.optim.sgd import Adam, Beta, batch_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.compress.base import Scheme
    from netsim.workload.live import Objective


class ZeroOne(NamedTuple):
    """The workers' models and momenta [W, d] (equal until the variance is frozen), the variance [d], and the policies.

    `moved` [W, d] is what each worker has added to its model since the last exchange, over `rates` of learning.
    `interval` is that of renewing the variance, or of exchanges once it is frozen, `counted` what has happened in it.
    """

    x: NDArray[Any]
    first: NDArray[Any]
    second: NDArray[Any]
    moved: NDArray[Any]
    rates: float
    turn: int
    seed: int
    interval: int = 1
    counted: int = 0
    frozen: bool = False


@optimizers.register("zero_one_adam", paper="Lu et al. 2022 (arXiv:2202.06009); DeepSpeed at 38327e0")
@dataclass(frozen=True, kw_only=True)
class ZeroOneAdam(Synchronous):
    """0/1 Adam: 1-bit gradients between ever rarer exact ones, then local steps between 1-bit exchanges of movements.

    The variance is renewed, from exact gradients, every k-th step; k doubles after `renewals` of them. All other steps
    send gradients through the compressed all-reduce. After `freeze` steps the variance stays; workers then move by
    themselves, and every k-th step what they have moved, times the root of the variance, is averaged by the compressed
    all-reduce, which gives the next momentum too; k doubles every `local_steps` steps up to `most_local`. Elements
    without a variance stay where they are.
    """

    linear: ClassVar[bool] = False
    lr: Annotated[float, Gt(0)] = 1e-3
    batch: Annotated[int, Ge(1)] = 1
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    epsilon: Annotated[float, Gt(0)] = 1e-8
    freeze: Annotated[int, Ge(1)] = 1000
    renewals: Annotated[int, Ge(1)] = 16
    local_steps: Annotated[int, Ge(1)] = 32678
    most_local: Annotated[int, Ge(1)] = 16

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """Return the compressed all-reduce."""
        return (CompressedAllReduce(),)

    @property
    def dense(self) -> Synchronous:
        """Return Adam without bias correction."""
        same = {name: getattr(self, name) for name in ("lr", "batch", "beta1", "beta2", "epsilon")}
        return Adam(**same, bias_correction=False)

    def init(self, problem: Objective, seed: int) -> ZeroOne:
        """Return the first model, the same on all workers, and zeros."""
        x = np.tile(problem.start(), (problem.workers, 1))
        return ZeroOne(x, np.zeros_like(x), np.zeros_like(x[0]), np.zeros_like(x), 0.0, 0, seed)

    def turn(self, problem: Objective, state: ZeroOne) -> Turn:
        """Take one step."""
        rows = batch_rows(problem, state.seed, state.turn, self.batch)
        grads = problem.batch_gradients(np.arange(problem.workers), rows, state.x)
        run = self._local if state.frozen else self._together
        return (yield from run(state._replace(turn=state.turn + 1), rows.shape[1], grads))

    def _together(self, state: ZeroOne, evaluations: int, grads: NDArray[Any]) -> Turn:
        renews = state.turn % state.interval == 0
        second, interval, counted = state.second, state.interval, state.counted
        if renews:
            grad = yield Exchange(evaluations, grads, overlaps=True)
            second = self.beta2 * second + (1 - self.beta2) * grad**2
            counted += 1
            if counted == self.renewals:
                interval, counted = 2 * interval, 0
        else:
            grad = masked((yield Exchange(evaluations, grads, CompressedAllReduce())), second)
        first = self.beta1 * state.first + (1 - self.beta1) * grad
        x = state.x - self.lr * first / (np.sqrt(second) + self.epsilon)
        state = state._replace(x=x, first=first, second=second, interval=interval, counted=counted)
        if state.turn > self.freeze:
            return state._replace(frozen=True, interval=1, counted=0)
        return state

    def _local(self, state: ZeroOne, evaluations: int, grads: NDArray[Any]) -> Turn:
        root = np.sqrt(state.second) + self.epsilon
        first = masked(self.beta1 * state.first + (1 - self.beta1) * grads, state.second)
        step = self.lr * first / root
        x, moved, rates = state.x - step, state.moved - step, state.rates + self.lr
        if state.turn % state.interval:
            yield Exchange(evaluations, None)
        else:
            mean = yield Exchange(evaluations, moved * root, CompressedAllReduce(), buffers="movements")
            mean = masked(mean, state.second)
            x = x - moved + mean / root
            first = np.tile(-mean / rates, (len(x), 1)).astype(first.dtype)
            moved, rates = np.zeros_like(moved), 0.0
        interval, counted = state.interval, state.counted + 1
        if counted == self.local_steps:
            interval, counted = min(self.most_local, 2 * interval), 0
        return state._replace(x=x, first=first, moved=moved, rates=rates, interval=interval, counted=counted)

    def model(self, state: ZeroOne) -> NDArray[Any]:
        """Return the mean of the workers' models."""
        return np.asarray(state.x.mean(axis=0))
