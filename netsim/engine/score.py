"""What is lost of gradients: relative error and cosine, of one step and of all steps added up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netsim.compress.drive import relative

if TYPE_CHECKING:
    from netsim.lazy import torch


class Score:
    """Sums, over tensors, what relative error and cosine are made of, in float64."""

    def __init__(self, error2: float = 0.0, mean2: float = 0.0, estimate2: float = 0.0, dot: float = 0.0) -> None:
        self.error2, self.mean2, self.estimate2, self.dot = error2, mean2, estimate2, dot

    def add(self, estimate: torch.Tensor, mean: torch.Tensor, *, sized: bool = True) -> None:
        """Add a tensor, of which the estimate has a size or is a direction alone."""
        error = estimate - mean
        self.error2 += float(error @ error) if sized else float("nan")
        self.mean2 += float(mean @ mean)
        self.estimate2 += float(estimate @ estimate)
        self.dot += float(estimate @ mean)

    def join(self, other: Score) -> None:
        """Add the sums of another score."""
        self.error2 += other.error2
        self.mean2 += other.mean2
        self.estimate2 += other.estimate2
        self.dot += other.dot

    @property
    def rel_error(self) -> float:
        """Return the norm of the error over that of the mean; NaN where an estimate has no size."""
        return float(np.sqrt(relative(self.error2, self.mean2)))

    @property
    def cosine(self) -> float:
        """Return the cosine of the angle between estimate and mean."""
        norms = np.sqrt(self.mean2 * self.estimate2)
        return float(self.dot / norms) if norms else 0.0


class Update:
    """Estimates, with a size or without, and mean gradients added up over the steps, for each coded unit."""

    def __init__(self, *, sized: bool = True) -> None:
        self.sized = sized
        self.sums: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.settled = Score()
        """What is lost of units of which no more is added, and nothing kept."""

    def add(self, key: int, estimate: torch.Tensor, mean: torch.Tensor) -> None:
        """Add the estimate and the mean gradient [d] of the unit `key`, which may be kept."""
        if key in self.sums:
            before = self.sums[key]
            before[0].add_(estimate)
            before[1].add_(mean)
        else:
            self.sums[key] = estimate.clone(), mean

    def settle(self) -> None:
        """Judge what has been added of all units so far, and forget it."""
        self.settled = self.score()
        self.sums.clear()

    def score(self) -> Score:
        """Return what is lost of all that was added."""
        score = Score()
        score.join(self.settled)
        for estimate, mean in self.sums.values():
            score.add(estimate, mean, sized=self.sized)
        return score
