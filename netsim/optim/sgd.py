"""Mini-batch gradients averaged every step: SGD, momentum, Adam and LAMB."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Lt

from netsim.errors import InputError
from netsim.optim.base import Exchange, Synchronous, Turn, generator, optimizers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.workload.live import Problem

Beta = Annotated[float, Ge(0), Lt(1)]


class Moments(NamedTuple):
    """The model [d], its first and second moments [d], and the number of steps done."""

    x: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    turn: int
    seed: int


def batch_rows(problem: Problem, seed: int, turn: int, batch: int) -> NDArray[np.int64]:
    """Return [W, batch] the samples of a step: a new permutation of each worker's samples every epoch."""
    batch = min(batch, problem.samples)
    each = problem.samples // batch
    epoch, at = divmod(turn, each)
    orders = [visits(seed, worker, epoch, problem.samples) for worker in range(problem.workers)]
    return np.stack([order[at * batch : (at + 1) * batch] for order in orders])


@lru_cache(maxsize=2048)
def visits(seed: int, worker: int, epoch: int, samples: int) -> NDArray[np.int64]:
    """Return the order in which a worker goes through its samples in an epoch; kept for the epoch's other steps."""
    return np.asarray(generator(seed, worker, epoch).permutation(samples))


def batch_gradients(
    problem: Problem, workers: NDArray[np.int64], rows: NDArray[np.int64], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return [k, d] the mean gradients, penalty included, over samples `rows` [k, m] at models [k, d]."""
    a, targets = problem.features[workers[:, None], rows], problem.targets[workers[:, None], rows]
    mean = np.einsum("km,kmd->kd", problem.slopes(a, targets, x), a) / rows.shape[1]
    return np.asarray(mean + problem.penalty * x)


class Stepwise(Synchronous):
    """All workers average their gradient of a mini-batch at every step; a member says what becomes of the mean.

    Wire: d floats up and d down a step.
    """

    lr: float
    batch: int

    def init(self, problem: Problem, seed: int) -> Moments:
        """Return zeros."""
        zeros = np.zeros(problem.size)
        return Moments(self.start(problem), zeros, zeros, 0, seed)

    def start(self, problem: Problem) -> NDArray[np.float64]:
        """Return the first model."""
        return np.zeros(problem.size)

    def turn(self, problem: Problem, state: Moments) -> Turn:
        """Take one step."""
        x = np.broadcast_to(state.x, (problem.workers, problem.size))
        rows = batch_rows(problem, state.seed, state.turn, self.batch)
        mean = Exchange.mean(rows.shape[1], batch_gradients(problem, np.arange(problem.workers), rows, x))
        yield mean
        return self.step(state, mean.result)._replace(turn=state.turn + 1)

    @abstractmethod
    def step(self, state: Moments, grad: NDArray[np.float64]) -> Moments:
        """Return the moments and the model after a step along a mean gradient."""

    def model(self, state: Moments) -> NDArray[np.float64]:
        """Return the model."""
        return state.x


@optimizers.register("sgd", paper="Robbins and Monro, Ann. Math. Statist. 1951")
@dataclass(frozen=True, kw_only=True)
class SGD(Stepwise):
    """Stochastic gradient descent on mini-batches of `batch` samples a worker."""

    lr: Annotated[float, Gt(0)] = 0.1
    batch: Annotated[int, Ge(1)] = 1

    def step(self, state: Moments, grad: NDArray[np.float64]) -> Moments:
        """Go along the gradient."""
        return state._replace(x=state.x - self.lr * grad)


@optimizers.register("momentum", paper="Polyak 1964; form of torch.optim.SGD")
@dataclass(frozen=True, kw_only=True)
class Momentum(Stepwise):
    """SGD with momentum: m = beta m + g, x -= lr m."""

    lr: Annotated[float, Gt(0)] = 0.1
    batch: Annotated[int, Ge(1)] = 1
    beta: Beta = 0.9

    def step(self, state: Moments, grad: NDArray[np.float64]) -> Moments:
        """Go along the momentum."""
        first = self.beta * state.first + grad
        return state._replace(x=state.x - self.lr * first, first=first)


@optimizers.register("adam", paper="Kingma and Ba, ICLR 2015 (arXiv:1412.6980)")
@dataclass(frozen=True, kw_only=True)
class Adam(Stepwise):
    """Adam with bias correction, as torch.optim.Adam."""

    lr: Annotated[float, Gt(0)] = 1e-2
    batch: Annotated[int, Ge(1)] = 1
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    epsilon: Annotated[float, Gt(0)] = 1e-8

    def step(self, state: Moments, grad: NDArray[np.float64]) -> Moments:
        """Go along the first moment over the root of the second."""
        first = self.beta1 * state.first + (1 - self.beta1) * grad
        second = self.beta2 * state.second + (1 - self.beta2) * grad**2
        time = state.turn + 1
        root = np.sqrt(second / (1 - self.beta2**time)) + self.epsilon
        return state._replace(x=state.x - self.lr * first / (1 - self.beta1**time) / root, first=first, second=second)


@optimizers.register("lamb", paper="You et al., ICLR 2020 (arXiv:1904.00962), as in 1-bit LAMB (arXiv:2104.06069)")
@dataclass(frozen=True, kw_only=True)
class LAMB(Stepwise):
    """LAMB: Adam's direction without bias correction, as long as the model times a clipped factor.

    x -= lr c u with u = m / (sqrt(v) + epsilon) and c = the norm of x over that of u, kept between `least` and `most`.
    A linear model is one tensor.
    """

    lr: Annotated[float, Gt(0)] = 1e-2
    batch: Annotated[int, Ge(1)] = 1
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    epsilon: Annotated[float, Gt(0)] = 1e-6
    least: Annotated[float, Ge(0)] = 0.01
    most: Annotated[float, Gt(0)] = 0.3

    def __post_init__(self) -> None:
        """Raise InputError where the bounds cross."""
        if self.least > self.most:
            raise InputError(f"least is {self.least}, more than most, {self.most}", "swap them", "least")

    def step(self, state: Moments, grad: NDArray[np.float64]) -> Moments:
        """Go along Adam's direction, as far as the model is long."""
        first = self.beta1 * state.first + (1 - self.beta1) * grad
        second = self.beta2 * state.second + (1 - self.beta2) * grad**2
        update = first / (np.sqrt(second) + self.epsilon)
        norm = float(np.linalg.norm(update))
        factor = float(np.clip(np.linalg.norm(state.x) / norm, self.least, self.most)) if norm else self.least
        return state._replace(x=state.x - self.lr * factor * update, first=first, second=second)
