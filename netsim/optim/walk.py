"""Stochastic steps of several workers side by side, with the corrections that make their variance small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.workload.live import Problem


@dataclass(frozen=True, eq=False)
class Walk:
    """Where k workers stand: models [k, d], tables of slopes [k, n], the means [k, d] that correct them.

    A step goes along slope_i a_i - table_i a_i + mean + penalty x. With tables and means of zero it is plain SGD.
    """

    x: NDArray[np.float64]
    table: NDArray[np.float64]
    mean: NDArray[np.float64]


def walk(
    problem: Problem,
    workers: NDArray[np.int64],
    start: Walk,
    order: NDArray[np.int64],
    lr: float,
    *,
    table: Literal["keep", "refresh", "refresh mean"] = "keep",
) -> Walk:
    """Return where workers stand after a step at each of the samples `order` [k, steps].

    `table` says what becomes of a visited sample's slope: nothing (SVRG, SGD), it is stored (CentralVR), or it is
    stored and the mean follows at once (SAGA).
    """
    # What is compiled is imported where something is trained: a scenario is checked without paying for it.
    from netsim.optim import steps

    end = Walk(start.x.copy(), start.table.copy(), start.mean.copy())
    what = {"keep": steps.KEEP, "refresh": steps.REFRESH, "refresh mean": steps.REFRESH_MEAN}[table]
    samples, state = (problem.features, problem.targets), (end.x, end.table, end.mean)
    squared, penalty = problem.loss == "squared", float(problem.penalty)
    steps.go(samples, squared, penalty, (workers, order), float(lr), what, state)
    return end


def table_mean(problem: Problem, workers: NDArray[np.int64], table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [k, d] the mean over each worker's samples of the gradients that a table [k, n] stands for."""
    found = np.empty((len(workers), problem.size))
    for place, worker in enumerate(workers):
        found[place] = table[place] @ problem.features[worker] / problem.samples
    return found


def permutations(draws: list[np.random.Generator], samples: int) -> NDArray[np.int64]:
    """Return [k, n] an order of all samples for each worker."""
    return np.stack([draw.permutation(samples) for draw in draws])


def choices(draws: list[np.random.Generator], samples: int, count: int) -> NDArray[np.int64]:
    """Return [k, count] samples drawn with replacement for each worker."""
    return np.stack([draw.integers(0, samples, count) for draw in draws])
