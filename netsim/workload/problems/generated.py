"""Ridge and logistic regression on generated data that grows with the workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge

from netsim.workload.base import workloads
from netsim.workload.live import Live, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Generated(Live):
    """Gaussian samples, each worker's drawn by itself, so that more workers mean more data.

    `samples` are those of a worker. The covariance of the features has eigenvalues that fall geometrically from the
    largest to the smallest, which is `conditioning` times smaller, and trace 1. `noise` is the deviation of what is
    added to the outputs of a hidden model of norm about 1.
    """

    samples: Annotated[int, Ge(1)] = 5000
    features: Annotated[int, Ge(1)] = 20
    conditioning: Annotated[float, Ge(1)] = 10.0
    noise: Annotated[float, Ge(0)] = 1.0
    penalty: Annotated[float, Ge(0)] = 1e-4

    def check(self) -> None:
        """Accept any sizes."""

    def _drawn(self, workers: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return features [W, n, d] and outputs [W, n] of the hidden model with noise."""
        eigenvalues = np.geomspace(1.0, 1.0 / self.conditioning, self.features)
        scale = np.sqrt(eigenvalues / eigenvalues.sum())
        hidden = np.random.default_rng((seed, 0)).normal(size=self.features)
        drawn = np.empty((workers, self.samples, self.features))
        outputs = np.empty((workers, self.samples))
        for worker in range(workers):
            draw = np.random.default_rng((seed, 1 + worker))
            drawn[worker] = draw.normal(size=(self.samples, self.features)) * scale
            outputs[worker] = drawn[worker] @ hidden + self.noise * draw.normal(size=self.samples)
        return drawn, outputs


@workloads.register("ridge", paper="De and Goldstein, ICDM 2016 (arXiv:1512.02970): toy ridge")
@dataclass(frozen=True, kw_only=True)
class Ridge(Generated):
    """Ridge regression on generated data, live: needs `train`."""

    def problem(self, workers: int, seed: int) -> Problem:
        """Return the problem; targets are the noisy outputs."""
        features, outputs = self._drawn(workers, seed)
        return Problem(features, outputs, "squared", self.penalty, "ridge")


@workloads.register("logistic", paper="De and Goldstein, ICDM 2016 (arXiv:1512.02970): toy logistic")
@dataclass(frozen=True, kw_only=True)
class Logistic(Generated):
    """Logistic regression on generated data, live: needs `train`."""

    def problem(self, workers: int, seed: int) -> Problem:
        """Return the problem; targets are the signs of the noisy outputs."""
        features, outputs = self._drawn(workers, seed)
        return Problem(features, np.where(outputs > 0, 1.0, -1.0), "logistic", self.penalty, "logistic")
