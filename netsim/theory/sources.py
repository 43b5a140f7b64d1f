"""Sources fitted to gradients: a generalised Gaussian, its entropy and its rate-distortion function."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, gamma, lgamma, log, log2, sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from netsim.theory.rate_distortion import blahut_arimoto

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_SHAPE, MOST_SHAPE = 0.3, 8.0
GRID = 401
REACH = 10.0
"""Standard deviations of the source that the grid covers."""


@dataclass(frozen=True)
class GeneralizedGaussian:
    """Density proportional to exp(-|x / a|^shape), with variance 1: shape 2 is Gaussian, shape 1 is Laplace."""

    shape: float

    @property
    def entropy_bits(self) -> float:
        """Return the differential entropy, in bits."""
        return (1 / self.shape + log(2 * self._width * gamma(1 / self.shape) / self.shape)) / log(2)

    @property
    def _width(self) -> float:
        return sqrt(exp(lgamma(1 / self.shape) - lgamma(3 / self.shape)))

    def on_grid(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return probabilities and values of the source made discrete, denser where it is."""
        # Cells grow with the distance from the centre: the peak of a heavy-tailed source is narrow.
        place = np.linspace(-1, 1, GRID)
        values = REACH * np.sign(place) * np.abs(place) ** max(1.0, 2 / self.shape)
        width = np.gradient(values)
        share = np.exp(-((np.abs(values) / self._width) ** self.shape)) * width
        return share / share.sum(), values


def fit(values: NDArray[np.float64]) -> GeneralizedGaussian:
    """Return the source with the same ratio of mean magnitude to root mean square (Mallat, IEEE TPAMI 1989).

    The shape is kept between 0.3 and 8, and rounded to tenths.
    """
    scale = float(np.sqrt(np.mean(values**2)))
    ratio = float(np.mean(np.abs(values))) / scale if scale else sqrt(2 / np.pi)
    if ratio <= _ratio(LEAST_SHAPE):
        return GeneralizedGaussian(LEAST_SHAPE)
    if ratio >= _ratio(MOST_SHAPE):
        return GeneralizedGaussian(MOST_SHAPE)
    shape = brentq(lambda one: _ratio(one) - ratio, LEAST_SHAPE, MOST_SHAPE)
    return GeneralizedGaussian(round(shape, 1))


def _ratio(shape: float) -> float:
    return exp(lgamma(2 / shape) - (lgamma(1 / shape) + lgamma(3 / shape)) / 2)


@lru_cache(maxsize=256)
def _curve(source: GeneralizedGaussian) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return falling log2 distortions and rising rates of the source's rate-distortion function."""
    share, values = source.on_grid()
    slopes = np.geomspace(0.1, 60, 18)
    points = [(0.0, 1.0), *(blahut_arimoto(share, values, float(slope)) for slope in slopes)]
    rates, distortions = np.maximum.accumulate([one[0] for one in points]), [min(one[1], 1.0) for one in points]
    return np.log2(np.minimum.accumulate(distortions)), rates


def least_rate(source: GeneralizedGaussian, distortion: float) -> float:
    """Return the least rate, in bits, at a distortion relative to the variance, by the Blahut-Arimoto algorithm.

    Below its last point, at about 3.5 bits, the curve is continued with 6.02 dB a bit.
    """
    if distortion >= 1:
        return 0.0
    levels, rates = _curve(source)
    wanted = log2(distortion) if distortion > 0 else -np.inf
    if wanted < levels[-1]:
        return float(rates[-1] + (levels[-1] - wanted) / 2)
    return float(np.interp(-wanted, -levels, rates))


def least_distortion(source: GeneralizedGaussian, rate: float) -> float:
    """Return the least distortion, relative to the variance, at a rate in bits: the inverse of `least_rate`."""
    levels, rates = _curve(source)
    if rate > rates[-1]:
        return float(2.0 ** (levels[-1] - 2 * (rate - rates[-1])))
    return float(2.0 ** np.interp(rate, rates, levels))
