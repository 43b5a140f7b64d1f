"""Linear models on a file that the user brings: LIBSVM or CSV."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge

from netsim.errors import InputError
from netsim.registry import FileField
from netsim.workload.base import workloads
from netsim.workload.live import Live, Problem, spread, standardised

if TYPE_CHECKING:
    from numpy.typing import NDArray


@workloads.register("table", paper="Chang and Lin, ACM TIST 2011 (LIBSVM's text format)")
@dataclass(frozen=True, kw_only=True)
class Table(Live):
    """A LIBSVM file (`label index:value ...`) or a CSV file of numbers, label first, live: needs `train`.

    A file whose name ends in `.csv` is read as CSV, without a heading; any other as LIBSVM. For `logistic` loss there
    must be two labels; the larger one becomes 1 and the other -1. For `squared` loss targets are standardised.
    """

    path: Annotated[str, FileField(folders=("data",))]
    loss: Literal["squared", "logistic"] = "logistic"
    penalty: Annotated[float, Ge(0)] = 1e-4

    def check(self) -> None:
        """Raise InputError where the file cannot be read."""
        self._read()

    def problem(self, workers: int, seed: int) -> Problem:
        """Return the problem; raise InputError where the file cannot be read or has too few samples."""
        features, targets = self._read()
        if self.loss == "logistic":
            targets = np.where(targets == targets.max(), 1.0, -1.0)
        else:
            targets = (targets - targets.mean()) / (targets.std() or 1.0)
        rows, wanted = spread(standardised(features), targets, workers, seed)
        return Problem(rows, wanted, self.loss, self.penalty, Path(self.path).stem)

    def _read(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if not os.path.isfile(self.path) or not os.path.getsize(self.path):
            raise InputError("is empty or no file", "write a sample a line, label first", "path", self.path)
        try:
            if self.path.endswith(".csv"):
                numbers = np.loadtxt(self.path, delimiter=",", ndmin=2)
                features, targets = numbers[:, 1:], numbers[:, 0]
            else:
                from sklearn.datasets import load_svmlight_file

                sparse, labels = load_svmlight_file(self.path)
                features, targets = np.asarray(sparse.toarray()), np.asarray(labels)
        except (OSError, ValueError) as error:
            remedy = "write `label index:value ...` lines, or comma-separated numbers in a file named *.csv"
            raise InputError(f"is not a table of samples: {error}", remedy, "path", self.path) from error
        if not features.size or not np.isfinite(features).all() or not np.isfinite(targets).all():
            raise InputError("holds no features, or NaN or infinity", "clean the file", "path", self.path)
        if (features == features[0]).all():
            problem = "holds the same features in all samples, from which nothing can be learned"
            raise InputError(problem, "check that the label stands first, and features behind it", "path", self.path)
        if self.loss == "logistic" and len(np.unique(targets)) != 2:
            problem = f"has {len(np.unique(targets))} different labels where logistic loss needs two"
            raise InputError(problem, "use `loss: squared`, or keep two classes", "path", self.path)
        return features, targets
