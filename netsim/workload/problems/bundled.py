"""Linear models on the data sets that come with scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from netsim.workload.base import workloads
from netsim.workload.live import Live, Problem, spread, standardised


@workloads.register("bundled", paper="Pedregosa et al., JMLR 12, 2011 (scikit-learn)")
@dataclass(frozen=True, kw_only=True)
class Bundled(Live):
    """A data set of scikit-learn, shared evenly among the workers, live: needs `train`.

    `breast_cancer` (569 x 30) and `digits` (1,797 x 61, even against odd digits) are classified with logistic loss;
    `diabetes` (442 x 10) is ridge regression with a standardised target. Features are standardised.
    """

    data: Literal["breast_cancer", "digits", "diabetes"] = "breast_cancer"
    penalty: Annotated[float, Ge(0)] = 1e-3

    def check(self) -> None:
        """Accept every data set: they come with scikit-learn."""

    def problem(self, workers: int, seed: int) -> Problem:
        """Return the problem; raise InputError where there are fewer samples than workers."""
        from sklearn import datasets

        features, classes = getattr(datasets, f"load_{self.data}")(return_X_y=True)
        targets = np.asarray(classes, dtype=np.float64)
        if self.data == "diabetes":
            targets = (targets - targets.mean()) / targets.std()
        else:
            targets = np.where(targets % 2 == 1, 1.0, -1.0)
        rows, wanted = spread(standardised(np.asarray(features, dtype=np.float64)), targets, workers, seed)
        return Problem(rows, wanted, "squared" if self.data == "diabetes" else "logistic", self.penalty, self.data)
