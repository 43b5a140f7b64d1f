"""The compiled core of a walk: one worker's steps after the other's, a row of samples at a time. See `walk`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEEP, REFRESH, REFRESH_MEAN = range(3)
"""What becomes of the slope of a visited sample."""


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def go(
    samples: tuple[NDArray[np.float64], NDArray[np.float64]],
    squared: bool,
    penalty: float,
    visits: tuple[NDArray[np.int64], NDArray[np.int64]],
    lr: float,
    what: int,
    state: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
) -> None:
    """Move `state`, models [k, d], tables [k, n] and means [k, d], in place.

    `samples` are features [W, n, d] and targets [W, n]; `visits` are workers [k] and their samples in turn [k, steps].
    """
    (features, targets), (workers, order), (x, table, mean) = samples, visits, state
    for place in range(len(workers)):
        rows, wanted = features[workers[place]], targets[workers[place]]
        at, stored, correction = x[place], table[place], mean[place]
        for sample in order[place]:
            row = rows[sample]
            output = 0.0
            for j in range(row.size):
                output += row[j] * at[j]
            target = wanted[sample]
            slope = output - target if squared else -target / (1.0 + np.exp(target * output))
            change = slope - stored[sample]
            for j in range(row.size):
                at[j] -= lr * (change * row[j] + correction[j] + penalty * at[j])
            if what != KEEP:
                stored[sample] = slope
            if what == REFRESH_MEAN:
                for j in range(row.size):
                    correction[j] += change * row[j] / rows.shape[0]
