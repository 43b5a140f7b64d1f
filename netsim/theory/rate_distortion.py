"""Rate and distortion of gradient quantizers on a Gaussian source.

The source is i.i.d. N(0, 1); distortion is the mean squared error of an element, rate is in bits an element. The
schemes are those that Adikari (arXiv 2108.09899) compares with Shannon's limit; the formulas follow from the moments of
the normal density phi and its tail.
"""

from __future__ import annotations

from math import log2, pi, sqrt
from statistics import NormalDist

_NORMAL = NormalDist()

SCALED_SIGN_DISTORTION = 1 - 2 / pi
"""Of sign(x) times the mean magnitude, at 1 bit: the optimal 1-bit scalar quantizer."""

RMS_SIGN_DISTORTION = 2 - 2 * sqrt(2 / pi)
"""Of sign(x) times the root mean square, at 1 bit: what 1-bit optimizers send."""


def shannon_distortion(rate: float) -> float:
    """Return the least distortion at a rate: 2^(-2R) (Cover, Thomas 2006, theorem 10.3.2)."""
    return float(2.0 ** (-2 * rate))


def shannon_rate(distortion: float) -> float:
    """Return the least rate at a distortion: max(0, log2(1/D) / 2)."""
    return max(0.0, 0.5 * log2(1 / distortion))


def binary_entropy(p: float) -> float:
    """Return the entropy, in bits, of an event of probability p."""
    return 0.0 if p in {0.0, 1.0} else -p * log2(p) - (1 - p) * log2(1 - p)


def top_k_distortion(ratio: float) -> float:
    """Return 1 - k - 2 t phi(t) for a kept share k with exact values, t its two-sided threshold."""
    if ratio >= 1:
        return 0.0
    threshold = _NORMAL.inv_cdf(1 - ratio / 2)
    return 1 - ratio - 2 * threshold * _NORMAL.pdf(threshold)


def top_k_rate(ratio: float, value_bits: float = 32.0) -> float:
    """Return h(k) + 32 k: entropy-coded positions and full values."""
    return binary_entropy(ratio) + value_bits * ratio


def ternary_top_k_distortion(ratio: float) -> float:
    """Return 1 - 4 phi(t)^2 / k: kept elements become their sign times one common magnitude; rate h(k) + k."""
    threshold = _NORMAL.inv_cdf(1 - ratio / 2)
    return 1 - 4 * _NORMAL.pdf(threshold) ** 2 / ratio


def random_k_distortion(ratio: float, *, rescaled: bool = False) -> float:
    """Return 1 - k, or 1/k - 1 where the kept values are scaled to be unbiased."""
    return 1 / ratio - 1 if rescaled else 1 - ratio
