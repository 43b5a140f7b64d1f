"""How far a training has come: the curve, and when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.scenario.schema import Train
    from netsim.workload.live import Objective

GOALS = {"gradient_norm": "relative_gradient_norm", "loss": "loss", "accuracy": "metric"}
"""The column of the curve that each kind of target is about."""

BLOW_UP = 1e6
"""A gradient this many times as long as the first one is a divergence, before it overflows."""


class Progress:
    """Evaluates the exact objective every `every` epochs of gradient evaluations, and ends a training."""

    def __init__(self, train: Train, problem: Objective) -> None:
        self.train, self.problem = train, problem
        self.evaluations = 0.0
        self.status = ""
        self.curve: list[dict[str, Any]] = []
        self._first_norm = 0.0
        if train.target_of == "accuracy" and not problem.accuracy:
            remedy = "choose `target_of: loss` or `gradient_norm`"
            raise InputError(f"{problem.label} is not classified", remedy, "train.target_of")
        self._due = 0.0

    @property
    def epoch(self) -> float:
        """Return gradient evaluations over all samples of all workers."""
        return self.evaluations / (self.problem.workers * self.problem.samples)

    def note(self, x: NDArray[Any], step: int, **more: float) -> bool:
        """Note a point of the curve, and what else is known, where one is due or epochs end; return if it is over."""
        if self.status:
            return True
        # Sums of evaluations are whole numbers, but their quotient may fall a little short of a round one.
        due = min(self._due, self.train.max_epochs)
        if self.epoch < due - 1e-9 and np.isfinite(x).all():
            return False
        self._due = max(self._due + self.train.every, self.epoch)
        loss, metric, norm = self.problem.evaluate(x)
        self._first_norm = self._first_norm or norm
        relative = norm / self._first_norm if self._first_norm else 0.0
        self.curve.append(
            {
                "step": step,
                "epoch": self.epoch,
                "gradient_evaluations": self.evaluations,
                **more,
                "loss": loss,
                "metric": metric,
                "gradient_norm": norm,
                "relative_gradient_norm": relative,
            }
        )
        if not np.isfinite(loss) or not np.isfinite(norm) or relative > BLOW_UP:
            self.stop("diverged")
        elif self.reached(self.curve[-1]):
            self.stop("target")
        elif self.epoch >= self.train.max_epochs - 1e-9:
            self.stop("max_epochs")
        return bool(self.status)

    def reached(self, point: dict[str, Any]) -> bool:
        """Return whether a point of the curve is at the target."""
        if self.train.target_of == "accuracy":
            return bool(point["metric"] >= self.train.target)
        return bool(point[GOALS[self.train.target_of]] <= self.train.target)

    def kept(self) -> dict[str, Any]:
        """Return how far it is."""
        return {
            "evaluations": self.evaluations,
            "status": self.status,
            "curve": self.curve,
            "first_norm": self._first_norm,
            "due": self._due,
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Go on where `kept` was taken."""
        self.evaluations, self.status, self.curve = kept["evaluations"], kept["status"], kept["curve"]
        self._first_norm, self._due = kept["first_norm"], kept["due"]

    def stop(self, status: str) -> None:
        """End the training."""
        self.status = self.status or status
