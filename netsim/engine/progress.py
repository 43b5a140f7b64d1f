"""How far a training has come: the curve, and when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.scenario.schema import Train
    from netsim.workload.live import Problem

BLOW_UP = 1e6
"""A gradient this many times as long as the first one is a divergence, before it overflows."""


class Progress:
    """Evaluates the exact objective every `every` epochs of gradient evaluations, and ends a training."""

    def __init__(self, train: Train, problem: Problem) -> None:
        self.train, self.problem = train, problem
        self.evaluations = 0.0
        self.status = ""
        self.curve: list[dict[str, Any]] = []
        self._first_norm = 0.0
        self._due = 0.0

    @property
    def epoch(self) -> float:
        """Return gradient evaluations over all samples of all workers."""
        return self.evaluations / (self.problem.workers * self.problem.samples)

    def note(self, x: NDArray[np.float64], step: int, now_s: float, sent_bytes: float) -> bool:
        """Note a point of the curve where one is due; return whether the training is over."""
        if self.status:
            return True
        # Sums of evaluations are whole numbers, but their quotient may fall a little short of a round one.
        if self.epoch < self._due - 1e-9 and np.isfinite(x).all():
            return False
        self._due = max(self._due + self.train.every, self.epoch)
        norm = float(np.linalg.norm(self.problem.gradient(x)))
        loss, metric = self.problem.value(x)
        self._first_norm = self._first_norm or norm
        relative = norm / self._first_norm if self._first_norm else 0.0
        self.curve.append(
            {
                "step": step,
                "epoch": self.epoch,
                "gradient_evaluations": self.evaluations,
                "time_s": now_s,
                "wire_bytes_per_worker": sent_bytes,
                "loss": loss,
                "metric": metric,
                "gradient_norm": norm,
                "relative_gradient_norm": relative,
            }
        )
        if not np.isfinite(loss) or not np.isfinite(norm) or relative > BLOW_UP:
            self.stop("diverged")
        elif relative <= self.train.target:
            self.stop("target")
        elif self.epoch >= self.train.max_epochs - 1e-9:
            self.stop("max_epochs")
        return bool(self.status)

    def stop(self, status: str) -> None:
        """End the training."""
        self.status = self.status or status
