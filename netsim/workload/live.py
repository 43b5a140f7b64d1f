"""Live workloads: a convex problem whose samples are spread over virtual workers, to be solved in simulated time."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from netsim.errors import InputError
from netsim.workload.base import Gradients, Workload

if TYPE_CHECKING:
    from numpy.typing import NDArray

Loss = Literal["squared", "logistic"]
_BLOCK_ELEMENTS = 2**24


@dataclass(frozen=True, eq=False)
class Problem:
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

    @abstractmethod
    def problem(self, workers: int, seed: int) -> Problem:
        """Return the problem over `workers` workers, the same for the same seed.

        Raises:
            InputError: there are fewer samples than workers.
        """

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
