"""PacTrain: a pre-trained network is pruned once, and gradients of pruned weights are zero on every worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from annotated_types import Gt, Lt

from netsim.optim.base import Exchange, Synchronous, Turn, optimizers
from netsim.optim.sgd import Moments, Momentum, mean_gradients

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.workload.live import Objective

_GRADIENT_BATCH = 64


class Pruned(NamedTuple):
    """The moments of momentum SGD, and which weights are left [d]."""

    moments: Moments
    kept: NDArray[np.bool_]


@optimizers.register("pactrain", paper="Wang et al., DAC 2025 (arXiv:2505.18563); GraSP: Wang et al., ICLR 2020")
@dataclass(frozen=True, kw_only=True)
class PacTrain(Momentum):
    """Momentum SGD on a network pruned at the start, with gradient sparsity enforcing; use it with scheme pactrain.

    The share `pruned` of all weights of tensors with two or more dimensions goes to zero: the smallest (`magnitude`),
    or those without which the gradient's norm falls least (`grasp`: x H g). Every
    worker zeroes the gradients of pruned weights before they are sent, so that all have the same mask, which scheme
    `{kind: pactrain, pruned: 0}` finds, agrees on and packs. Prune what is `pretrained`.
    """

    matrices: ClassVar[bool] = True
    told: ClassVar[tuple[str, ...]] = ("pruned",)
    pruned: Annotated[float, Gt(0), Lt(1)] = 0.8
    score: Literal["magnitude", "grasp"] = "magnitude"

    @property
    def dense(self) -> Synchronous:
        """Return momentum SGD on all weights."""
        return Momentum(lr=self.lr, batch=self.batch, beta=self.beta)

    def init(self, problem: Objective, seed: int) -> Any:
        """Return the pruned model and a momentum of zeros."""
        moments = super().init(problem, seed)
        prunable = np.repeat([len(one.shape) > 1 for one in problem.tensors], [one.numel for one in problem.tensors])
        scores = np.abs(moments.x) if self.score == "magnitude" else grasp(problem, moments.x)
        scores = np.where(prunable, scores, np.inf)
        kept = np.ones(len(scores), dtype=bool)
        kept[np.argsort(scores, kind="stable")[: round(self.pruned * prunable.sum())]] = False
        return Pruned(moments._replace(x=np.where(kept, moments.x, 0).astype(moments.x.dtype)), kept)

    def turn(self, problem: Objective, state: Any) -> Turn:
        """Take one step."""
        moments = state.moments
        grads = mean_gradients(problem, moments, self.batch) * state.kept
        mean = yield Exchange.gradients(min(self.batch, problem.samples), grads)
        # What a lossy scheme puts where weights are pruned is dropped, too.
        done = self.step(problem, moments, mean * state.kept)._replace(turn=moments.turn + 1)
        return Pruned(done, state.kept)

    def model(self, state: Any) -> NDArray[Any]:
        """Return the model."""
        return np.asarray(state.moments.x)


def grasp(problem: Objective, x: NDArray[Any]) -> NDArray[Any]:
    """Return [d] x H g, over the first samples of every worker.

    To first order, half the squared norm of the gradient falls by as much when a weight goes to zero.
    """
    everyone = np.arange(problem.workers)
    rows = np.tile(np.arange(min(_GRADIENT_BATCH, problem.samples)), (problem.workers, 1))
    gradient = problem.batch_gradients(everyone, rows, np.tile(x, (problem.workers, 1))).mean(axis=0)
    return np.asarray(x * problem.curvature(rows, x, gradient))
