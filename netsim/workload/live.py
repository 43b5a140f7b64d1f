"""Live workloads: what is to be minimised, its samples spread over virtual workers, to be solved in simulated time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from netsim.errors import InputError
from netsim.workload.base import Gradients, Tensor, Timing, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Loss = Literal["squared", "logistic"]
_BLOCK_ELEMENTS = 2**24


class Objective(ABC):
    """What W workers minimise together: the mean over all their samples, in a model that is one flat vector [d].

    Models and gradients have the objective's own dtype: float64 of linear models, float32 of networks.
    """

    label: str
    """How results call it."""

    @property
    @abstractmethod
    def accuracy(self) -> bool:
        """Return whether the metric is a share of right answers."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """Return W."""

    @property
    @abstractmethod
    def samples(self) -> int:
        """Return n, the samples of each worker."""

    @property
    @abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """Return the tensors that the flat model is made of, in their order, which is that of the backward pass."""

    @property
    def size(self) -> int:
        """Return d, the elements of the model."""
        return sum(one.numel for one in self.tensors)

    @abstractmethod
    def start(self) -> NDArray[Any]:
        """Return the model [d] that training begins with."""

    @abstractmethod
    def batch_gradients(self, workers: NDArray[np.int64], rows: NDArray[np.int64], x: NDArray[Any]) -> NDArray[Any]:
        """Return [k, d] the mean gradients over samples `rows` [k, m] of some workers, each at its model [k, d]."""

    @abstractmethod
    def curvature(self, rows: NDArray[np.int64], x: NDArray[Any], along: NDArray[Any]) -> NDArray[Any]:
        """Return [d] the Hessian times `along` [d], at a model [d], over samples `rows` [W, m] of all workers."""

    @abstractmethod
    def evaluate(self, x: NDArray[Any]) -> tuple[float, float, float]:
        """Return loss, metric and gradient norm at a model [d]."""


@dataclass(frozen=True, eq=False)
class Problem(Objective):
    """A linear model over W workers: mean over all samples of loss(a.x, b), plus `penalty` / 2 of the norm squared.

    The gradient of sample i is slope_i a_i + penalty x, so that a table of gradients needs one number a sample.

    Attributes:
        features: [W, n, d] the samples a of each worker.
        targets: [W, n] what they should give: a value, or -1 and 1 for logistic loss.
        loss: `squared`, half the squared difference, or `logistic`.
        penalty: weight of the squared norm, which is never sent and always exact.
        label: how results call the problem.
    """

    features: NDArray[np.float64]
    targets: NDArray[np.float64]
    loss: Loss
    penalty: float
    label: str

    @property
    def accuracy(self) -> bool:
        """Return whether samples are classified."""
        return self.loss == "logistic"

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Return the one vector."""
        return (Tensor("x", (self.size,)),)

    def start(self) -> NDArray[np.float64]:
        """Return zeros."""
        return np.zeros(self.size)

    def batch_gradients(
        self, workers: NDArray[np.int64], rows: NDArray[np.int64], x: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return [k, d] the mean gradients, penalty included."""
        a, targets = self.features[workers[:, None], rows], self.targets[workers[:, None], rows]
        mean = np.einsum("km,kmd->kd", self.slopes(a, targets, x), a) / rows.shape[1]
        return np.asarray(mean + self.penalty * x)

    def curvature(
        self, rows: NDArray[np.int64], x: NDArray[np.float64], along: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return [d] the Hessian times `along`."""
        a = np.take_along_axis(self.features, rows[:, :, None], axis=1)
        outputs = a @ x
        # The logistic loss is as curved for either target.
        bend = np.ones_like(outputs) if self.loss == "squared" else 1 / (2 + 2 * np.cosh(outputs))
        return np.asarray(np.einsum("wm,wmd->d", bend * (a @ along), a) / rows.size + self.penalty * along)

    def evaluate(self, x: NDArray[np.float64]) -> tuple[float, float, float]:
        """Return the exact objective over all samples, the metric, and the norm of the exact gradient."""
        loss, metric = self.value(x)
        return loss, metric, float(np.linalg.norm(self.gradient(x)))

    @property
    def workers(self) -> int:
        """Return W."""
        return int(self.features.shape[0])

    @property
    def samples(self) -> int:
        """Return n, the samples of each worker."""
        return int(self.features.shape[1])

    @property
    def size(self) -> int:
        """Return d, the elements of the model."""
        return int(self.features.shape[2])

    def slopes(
        self, rows: NDArray[np.float64], targets: NDArray[np.float64], x: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return [k, m] the derivatives of the loss at samples [k, m, d] for models [k, d]."""
        return self.slope(np.einsum("kmd,kd->km", rows, x), targets)

    def slope(self, outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivative of the loss by the model's output."""
        if self.loss == "squared":
            return outputs - targets
        # exp overflows to infinity for what is far on the right side, and 1 / infinity is the right slope.
        with np.errstate(over="ignore"):
            return np.asarray(-targets / (1.0 + np.exp(targets * outputs)))

    def gradients(self, workers: NDArray[np.int64], x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [k, d] the gradients of the loss (without the penalty) over all samples of `workers`, at [k, d]."""
        found = np.empty((len(workers), self.size))
        for place, worker in enumerate(workers):
            rows = self.features[worker]
            found[place] = self.slope(rows @ x[place], self.targets[worker]) @ rows / self.samples
        return found

    def gradient(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [d] the exact gradient of the whole objective at a model [d]."""
        everyone = np.arange(self.workers)
        each = self.gradients(everyone, np.broadcast_to(x, (self.workers, self.size)))
        return np.asarray(each.mean(axis=0) + self.penalty * x)

    def value(self, x: NDArray[np.float64]) -> tuple[float, float]:
        """Return the objective at a model [d], and the metric: share of right signs, or the mean squared error."""
        total = right = 0.0
        block = max(1, _BLOCK_ELEMENTS // (self.samples * self.size))
        for first in range(0, self.workers, block):
            outputs = self.features[first : first + block] @ x
            targets = self.targets[first : first + block]
            if self.loss == "squared":
                right += float(np.square(outputs - targets).sum())
                total += float(np.square(outputs - targets).sum()) / 2
            else:
                total += float(np.logaddexp(0.0, -targets * outputs).sum())
                right += float((targets * outputs > 0).sum())
        count = self.workers * self.samples
        return total / count + self.penalty / 2 * float(x @ x), right / count


class Live(Workload):
    """A registered workload that is solved while the cluster is simulated, which `train` asks for."""

    linear: ClassVar[bool] = True
    """Whether it is a `Problem`, of which a gradient is one number a sample."""

    @abstractmethod
    def problem(self, workers: int, seed: int) -> Objective:
        """Return the problem over `workers` workers, the same for the same seed.

        Raises:
            InputError: there are fewer samples than workers.
        """

    def pass_timing(self, tensors: Sequence[Tensor], samples: float, gradient_time_s: float) -> Timing:
        """Return the seconds of a pass over some samples: as many as their gradients take, one by one."""
        seconds = samples * gradient_time_s
        return Timing(0.0, seconds, 0.0, (seconds,) * len(tensors))

    @property
    def device(self) -> str:
        """Return the device whose seconds they are, empty where they are stated."""
        return ""

    def open(self) -> Gradients:
        """Raise InputError: nothing is recorded here that could be replayed."""
        raise InputError(
            f"workload {self.kind!r} holds no recorded gradients",
            "add `train:` with an optimizer to solve it, or replay a trace with `kind: recorded`",
        )


def spread(
    features: NDArray[np.float64], targets: NDArray[np.float64], workers: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return samples [N, d] and targets [N], shuffled, in equal shares of N // workers; what is left over is not used.

    Raises:
        InputError: there are fewer samples than workers.
    """
    each = len(targets) // workers
    if not each:
        raise InputError(f"{len(targets)} samples are too few for {workers} workers", "use fewer workers")
    chosen = np.random.default_rng((seed, 0)).permutation(len(targets))[: each * workers]
    return features[chosen].reshape(workers, each, -1), targets[chosen].reshape(workers, each)


def standardised(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return samples [N, d] with columns of mean 0, scaled so that a sample's mean squared norm is 1."""
    centred = features - features.mean(axis=0)
    deviation = centred.std(axis=0)
    varying = deviation > 0
    return np.asarray(centred[:, varying] / deviation[varying] / np.sqrt(max(varying.sum(), 1)))
