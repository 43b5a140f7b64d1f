"""Mini-batch gradients averaged every step: SGD, momentum, Adam and LAMB."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Protocol

import numpy as np
from annotated_types import Ge, Gt, Lt

from netsim.errors import InputError
from netsim.optim.base import Exchange, Synchronous, Turn, generator, optimizers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.workload.live import Objective


class Stepped(Protocol):
    """A state with a common model [d], the number of steps done, and the seed of the samples' order."""

    @property
    def x(self) -> NDArray[Any]:
        """Return the model."""

    @property
    def turn(self) -> int:
        """Return the steps done."""

    @property
    def seed(self) -> int:
        """Return the seed."""


Beta = Annotated[float, Ge(0), Lt(1)]


class Moments(NamedTuple):
    """The model [d], its first and second moments [d], and the number of steps done."""

    x: NDArray[Any]
    first: NDArray[Any]
    second: NDArray[Any]
    turn: int
    seed: int


def batch_rows(problem: Objective, seed: int, turn: int, batch: int) -> NDArray[np.int64]:
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


def mean_gradients(problem: Objective, state: Stepped, batch: int) -> NDArray[Any]:
    """Return [W, d] each worker's mean gradient of its next batch, all at the common model."""
    x = np.broadcast_to(state.x, (problem.workers, problem.size))
    rows = batch_rows(problem, state.seed, state.turn, batch)
    return np.asarray(problem.batch_gradients(np.arange(problem.workers), rows, x))


class Stepwise(Synchronous):
    """All workers average their gradient of a mini-batch at every step; a member says what becomes of the mean.

    Wire: d floats up and d down a step, or what the scenario's scheme makes of them.
    """

    linear: ClassVar[bool] = False
    coded: ClassVar[bool] = True
    lr: float
    batch: int

    def init(self, problem: Objective, seed: int) -> Moments:
        """Return the first model and moments of zeros."""
        x = problem.start()
        return Moments(x, np.zeros_like(x), np.zeros_like(x), 0, seed)

    def turn(self, problem: Objective, state: Moments) -> Turn:
        """Take one step."""
        grads = mean_gradients(problem, state, self.batch)
        mean = yield Exchange.gradients(min(self.batch, problem.samples), grads)
        return self.step(problem, state, mean)._replace(turn=state.turn + 1)

    @abstractmethod
    def step(self, problem: Objective, state: Moments, grad: NDArray[Any]) -> Moments:
        """Return the moments and the model after a step along a mean gradient."""

    def model(self, state: Moments) -> NDArray[Any]:
        """Return the model."""
        return state.x


@optimizers.register("sgd", paper="Robbins and Monro, Ann. Math. Statist. 1951")
@dataclass(frozen=True, kw_only=True)
class SGD(Stepwise):
    """Stochastic gradient descent on mini-batches of `batch` samples a worker."""

    lr: Annotated[float, Gt(0)] = 0.1
    batch: Annotated[int, Ge(1)] = 1

    def step(self, problem: Objective, state: Moments, grad: NDArray[Any]) -> Moments:
        """Go along the gradient."""
        return state._replace(x=state.x - self.lr * grad)


@optimizers.register("momentum", paper="Polyak 1964; form of torch.optim.SGD")
@dataclass(frozen=True, kw_only=True)
class Momentum(Stepwise):
    """SGD with momentum: m = beta m + g, x -= lr m."""

    lr: Annotated[float, Gt(0)] = 0.1
    batch: Annotated[int, Ge(1)] = 1
    beta: Beta = 0.9

    def step(self, problem: Objective, state: Moments, grad: NDArray[Any]) -> Moments:
        """Go along the momentum."""
        first = self.beta * state.first + grad
        return state._replace(x=state.x - self.lr * first, first=first)


@optimizers.register("adam", paper="Kingma and Ba, ICLR 2015 (arXiv:1412.6980)")
@dataclass(frozen=True, kw_only=True)
class Adam(Stepwise):
    """Adam, as torch.optim.Adam; without `bias_correction` as DeepSpeed's 1-bit Adam begins."""

    lr: Annotated[float, Gt(0)] = 1e-2
    batch: Annotated[int, Ge(1)] = 1
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    epsilon: Annotated[float, Gt(0)] = 1e-8
    bias_correction: bool = True

    def step(self, problem: Objective, state: Moments, grad: NDArray[Any]) -> Moments:
        """Go along the first moment over the root of the second."""
        first = self.beta1 * state.first + (1 - self.beta1) * grad
        second = self.beta2 * state.second + (1 - self.beta2) * grad**2
        time = state.turn + 1 if self.bias_correction else np.inf
        root = np.sqrt(second / (1 - self.beta2**time)) + self.epsilon
        return state._replace(x=state.x - self.lr / (1 - self.beta1**time) * first / root, first=first, second=second)


@optimizers.register("lamb", paper="You et al., ICLR 2020 (arXiv:1904.00962), as in 1-bit LAMB (arXiv:2104.06069)")
@dataclass(frozen=True, kw_only=True)
class LAMB(Stepwise):
    """LAMB: Adam's direction without bias correction, in each tensor as long as the model times a clipped factor.

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

    def step(self, problem: Objective, state: Moments, grad: NDArray[Any]) -> Moments:
        """Go along Adam's direction, in each tensor as far as it is long."""
        first = self.beta1 * state.first + (1 - self.beta1) * grad
        second = self.beta2 * state.second + (1 - self.beta2) * grad**2
        update = first / (np.sqrt(second) + self.epsilon)
        factor = spread(problem, self.factors(problem, state.x, update))
        return state._replace(x=state.x - self.lr * factor * update, first=first, second=second)

    def factors(self, problem: Objective, x: NDArray[Any], update: NDArray[Any]) -> NDArray[Any]:
        """Return [tensors] the norm of each tensor over that of its update, clipped; `least` where nothing moves."""
        lengths, updates = norms(problem, x), norms(problem, update)
        found = np.divide(lengths, updates, out=np.full_like(lengths, self.least), where=updates > 0)
        return np.asarray(np.clip(found, self.least, self.most))


def norms(problem: Objective, flat: NDArray[Any]) -> NDArray[Any]:
    """Return [tensors] the Euclidean norm of each tensor of a flat vector [d]."""
    return np.asarray(np.sqrt(np.add.reduceat(flat * flat, starts(problem))))


def starts(problem: Objective) -> NDArray[np.int64]:
    """Return [tensors] where each tensor of the model begins in a flat vector."""
    return np.cumsum([0, *(one.numel for one in problem.tensors[:-1])])


def spread(problem: Objective, values: NDArray[Any]) -> NDArray[Any]:
    """Return [d] the value [tensors] of the tensor that each element belongs to."""
    return np.repeat(values, [one.numel for one in problem.tensors])
