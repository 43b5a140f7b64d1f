"""1-bit Adam and 1-bit LAMB: after a warm-up the variance is frozen, and momentum travels at one bit an element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Le

from netsim.compress.compressed_all_reduce import CompressedAllReduce
from netsim.errors import InputError
from netsim.optim.base import Exchange, Synchronous, Turn, optimizers
from netsim.optim.sgd import LAMB, Adam, Beta, mean_gradients, norms, spread, starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.compress.base import Scheme
    from netsim.workload.live import Objective

STABLE = 0.96
"""The automatic warm-up ends when, of the variance's 1-norm and that of 1 / (1 - beta2) steps ago, the lesser is this
share of the greater."""


class Frozen(NamedTuple):
    """The model [d], its moments [d], steps done, whether the variance is frozen, and its 1-norms of late."""

    x: NDArray[Any]
    first: NDArray[Any]
    second: NDArray[Any]
    turn: int
    seed: int
    frozen: bool = False
    sizes: tuple[float, ...] = ()


def settled(state: Frozen, warm_up: int | None, beta2: float) -> tuple[bool, tuple[float, ...]]:
    """Return whether the variance is to be frozen now, and its 1-norms of the last 1 / (1 - beta2) steps."""
    if warm_up is not None:
        return state.turn >= warm_up, ()
    back = max(1, round(1 / (1 - beta2)))
    sizes = (*state.sizes, float(np.abs(state.second).sum(dtype=np.float64)))[-back - 1 :]
    ends = sizes[0], sizes[-1]
    return len(sizes) > back and min(ends) >= STABLE * max(ends) > 0, sizes


def masked(values: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Return values [..., d] with zeros where there has been no variance [d], as DeepSpeed's masks make them.

    There the gradient was zero: signs of zero are noise, and the root of the variance is no measure of a step.
    """
    return np.asarray(values * (second > 0))


@optimizers.register("onebit_adam", paper="Tang et al., ICML 2021 (arXiv:2102.02888); DeepSpeed at 38327e0")
@dataclass(frozen=True, kw_only=True)
class OneBitAdam(Synchronous):
    """1-bit Adam: Adam without bias correction for `warm_up` steps, then with its variance frozen.

    Warm-up gradients go through the scenario's scheme (`fp16` in mixed precision). Later every worker adds its own
    gradient to the common momentum, and the compressed all-reduce, tensor by tensor, gives the next one; elements whose
    gradients were all zero until then stay where they are. Without `warm_up` it ends by itself: when the variance's
    1-norm and that of 1 / (1 - beta2) steps before are within 0.96 of each other.
    """

    linear: ClassVar[bool] = False
    coded: ClassVar[bool] = True
    lr: Annotated[float, Gt(0)] = 1e-3
    batch: Annotated[int, Ge(1)] = 1
    beta1: Beta = 0.9
    beta2: Beta = 0.999
    epsilon: Annotated[float, Gt(0)] = 1e-8
    warm_up: Annotated[int, Ge(1)] | None = None

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """Return the compressed all-reduce."""
        return (CompressedAllReduce(),)

    @property
    def dense(self) -> Synchronous:
        """Return Adam without bias correction."""
        return Adam(
            lr=self.lr,
            batch=self.batch,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            bias_correction=False,
        )

    def init(self, problem: Objective, seed: int) -> Frozen:
        """Return the first model and moments of zeros."""
        x = problem.start()
        return Frozen(x, np.zeros_like(x), np.zeros_like(x), 0, seed)

    def turn(self, problem: Objective, state: Frozen) -> Turn:
        """Take one step."""
        grads = mean_gradients(problem, state, self.batch)
        evaluations = min(self.batch, problem.samples)
        if state.frozen:
            local = self.beta1 * state.first + (1 - self.beta1) * grads
            sent = yield Exchange(evaluations, local, CompressedAllReduce())
            first, second, frozen = masked(sent, state.second), state.second, True
            sizes: tuple[float, ...] = ()
        else:
            grad = yield Exchange.gradients(evaluations, grads)
            first = self.beta1 * state.first + (1 - self.beta1) * grad
            second = self.beta2 * state.second + (1 - self.beta2) * grad**2
            frozen, sizes = settled(state._replace(second=second, turn=state.turn + 1), self.warm_up, self.beta2)
        x = state.x - self.lr * first / (np.sqrt(second) + self.epsilon)
        return Frozen(x, first, second, state.turn + 1, state.seed, frozen, sizes)

    def model(self, state: Frozen) -> NDArray[Any]:
        """Return the model."""
        return state.x


class FrozenLayers(NamedTuple):
    """1-bit LAMB's state: that of 1-bit Adam and, for each tensor, what sets the length of its step.

    `average` of the factors of warm-up, `ratio` by which they are corrected since, `scale` of the momentum on the wire,
    all [tensors]; `fresh` is the variance [d] that goes on.
    """

    adam: Frozen
    fresh: NDArray[Any]
    average: NDArray[Any]
    ratio: NDArray[Any]
    scale: NDArray[Any]


@optimizers.register("onebit_lamb", paper="Li et al. 2021 (arXiv:2104.06069); DeepSpeed at 38327e0")
@dataclass(frozen=True, kw_only=True)
class OneBitLAMB(LAMB):
    """1-bit LAMB: LAMB for `warm_up` steps, then frozen variance, fused 1-bit momentum and corrected factors.

    Warm-up averages each tensor's factor c (`beta3`). Then all momentum goes through the compressed all-reduce as one
    buffer, each tensor scaled to the common root mean square, and the factor is r c: r = the largest ratio of frozen to
    fresh root of variance, the fresh one made of gradients reconstructed from the momentum, kept between `ratio_least`
    and `ratio_most`, and then within `ratio_change` of the last r, as in DeepSpeed. `corrected: false` leaves r at 1:
    the 1-bit compression of LAMB that the paper improves on. Warm-up ends by itself, and elements without a variance
    stay where they are and set no ratio, as in onebit_adam.
    """

    coded: ClassVar[bool] = True
    warm_up: Annotated[int, Ge(1)] | None = None
    beta3: Beta = 0.9
    ratio_least: Annotated[float, Gt(0)] = 0.5
    ratio_most: Annotated[float, Gt(0)] = 4.0
    ratio_change: Annotated[float, Gt(0), Le(1)] = 0.1
    corrected: bool = True

    def __post_init__(self) -> None:
        """Raise InputError where bounds cross, of the factor or of the ratio."""
        super().__post_init__()
        if self.ratio_least > self.ratio_most:
            problem = f"ratio_least is {self.ratio_least}, more than ratio_most, {self.ratio_most}"
            raise InputError(problem, "swap them", "ratio_least")

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """Return the compressed all-reduce."""
        return (CompressedAllReduce(),)

    @property
    def dense(self) -> Synchronous:
        """Return LAMB."""
        same = {name: getattr(self, name) for name in ("lr", "batch", "beta1", "beta2", "epsilon", "least", "most")}
        return LAMB(**same)

    def init(self, problem: Objective, seed: int) -> Any:
        """Return the first model, moments of zeros, and factors of nothing."""
        x = problem.start()
        zeros, ones = np.zeros_like(x), np.ones(len(problem.tensors), dtype=x.dtype)
        return FrozenLayers(Frozen(x, zeros, zeros, 0, seed), zeros, 0 * ones, ones, ones)

    def turn(self, problem: Objective, state: Any) -> Turn:
        """Take one step."""
        adam = state.adam
        grads = mean_gradients(problem, adam, self.batch)
        evaluations = min(self.batch, problem.samples)
        if adam.frozen:
            local = self.beta1 * adam.first + (1 - self.beta1) * grads
            scaled = local * spread(problem, state.scale)
            sent = yield Exchange(evaluations, scaled, CompressedAllReduce(), fused=True)
            return self._compressed(problem, state, masked(sent / spread(problem, state.scale), adam.second))
        grad = yield Exchange.gradients(evaluations, grads)
        return self._warm(problem, state, grad)

    def _warm(self, problem: Objective, state: FrozenLayers, grad: NDArray[Any]) -> FrozenLayers:
        adam = state.adam
        first = self.beta1 * adam.first + (1 - self.beta1) * grad
        second = self.beta2 * adam.second + (1 - self.beta2) * grad**2
        update = first / (np.sqrt(second) + self.epsilon)
        factors = self.factors(problem, adam.x, update)
        x = adam.x - self.lr * spread(problem, factors) * update
        done = adam._replace(x=x, first=first, second=second, turn=adam.turn + 1)
        frozen, sizes = settled(done, self.warm_up, self.beta2)
        average = self.beta3 * state.average + (1 - self.beta3) * factors
        done = done._replace(frozen=frozen, sizes=sizes)
        return state._replace(
            adam=done, fresh=second, average=average, scale=scales(problem, first) if frozen else state.scale
        )

    def _compressed(self, problem: Objective, state: FrozenLayers, first: NDArray[Any]) -> FrozenLayers:
        adam = state.adam
        grad = (first - self.beta1 * adam.first) / (1 - self.beta1)
        fresh = self.beta2 * state.fresh + (1 - self.beta2) * grad**2
        root = np.sqrt(adam.second) + self.epsilon
        ratio = masked(root / (np.sqrt(fresh) + self.epsilon), adam.second)
        ratio = np.maximum.reduceat(ratio, starts(problem))
        ratio = np.clip(ratio, self.ratio_least, self.ratio_most)
        ratio = np.clip(ratio, (1 - self.ratio_change) * state.ratio, (1 + self.ratio_change) * state.ratio)
        ratio = ratio if self.corrected else state.ratio
        x = adam.x - self.lr * spread(problem, ratio * state.average) * first / root
        done = adam._replace(x=x, first=first, turn=adam.turn + 1)
        return state._replace(adam=done, fresh=fresh, ratio=ratio)

    def model(self, state: Any) -> NDArray[Any]:
        """Return the model."""
        return np.asarray(state.adam.x)


def scales(problem: Objective, first: NDArray[Any]) -> NDArray[Any]:
    """Return [tensors] what brings each tensor's momentum to the mean of their root mean squares."""
    sizes = norms(problem, first) / np.sqrt([one.numel for one in problem.tensors])
    scale = np.divide(sizes.mean(), sizes, out=np.ones_like(sizes), where=sizes > 0)
    return np.asarray(scale, dtype=first.dtype)
