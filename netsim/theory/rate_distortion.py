"""Rate and distortion of gradient quantizers on a Gaussian source.

The source is i.i.d. N(0, 1); distortion is the mean squared error of an element, rate is in bits an element. The
schemes are those that Adikari (arXiv 2108.09899) compares with Shannon's limit; the formulas follow from the moments of
the normal density phi and its tail.
"""

from __future__ import annotations

from math import ceil, e, inf, lgamma, log, log2, pi, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.special import ndtr

from netsim import codebooks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

IndexCode = Literal["entropy", "enumerative", "naive", "bitmap", "elias", "free"]
_NORMAL = NormalDist()
_SAMPLES = 200_000

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


def index_rate(ratio: float, code: IndexCode = "entropy", numel: int | None = None) -> float:
    """Return the bits an element that say which share of the elements is kept.

    Args:
        ratio: the kept share k.
        code: `entropy` h(k); `enumerative` log2 C(d, k d) / d; `naive` k ceil(log2 d); `bitmap` 1; `elias` gamma-coded
            gaps, k (1 + 2 sum_j (1 - k)^(2^j - 1)); `free` 0.
        numel: elements d of the tensor, for `enumerative` and `naive`.
    """
    if code in {"enumerative", "naive"}:
        if numel is None:
            raise ValueError(f"the rate of {code} indices depends on the number of elements")
        if code == "naive":
            return ratio * ceil(log2(numel))
        kept = round(ratio * numel)
        return (lgamma(numel + 1) - lgamma(kept + 1) - lgamma(numel - kept + 1)) / log(2) / numel
    if code == "elias":
        return ratio * (1 + 2 * float(np.sum((1 - ratio) ** (2.0 ** np.arange(1, 64) - 1))))
    return {"entropy": binary_entropy(ratio), "bitmap": 1.0}.get(code, 0.0)


def top_k_rate(ratio: float, value_bits: float = 32.0, index: IndexCode = "entropy", numel: int | None = None) -> float:
    """Return the rate of positions and values: h(k) + 32 k for entropy-coded positions and full values."""
    return index_rate(ratio, index, numel) + value_bits * ratio


def quantized_top_k_distortion(ratio: float, value_bits: int) -> float:
    """Return the distortion of a kept share k of which each value has a sign and the best b - 1 bits of magnitude.

    The magnitudes beyond the threshold are quantized by Lloyd-Max, so that D = 1 - 2 sum p c^2 over its cells; b = 1 is
    ternary top-k. Rate: h(k) + b k.
    """
    threshold = _NORMAL.inv_cdf(1 - ratio / 2)
    points = codebooks.lloyd_max(2 ** (value_bits - 1), threshold)
    return 1 - 2 * float(codebooks.cells(points, threshold) @ points**2)


def ternary_top_k_distortion(ratio: float) -> float:
    """Return 1 - 4 phi(t)^2 / k: kept elements become their sign times one common magnitude; rate h(k) + k."""
    threshold = _NORMAL.inv_cdf(1 - ratio / 2)
    return 1 - 4 * _NORMAL.pdf(threshold) ** 2 / ratio


def random_k_distortion(ratio: float, *, rescaled: bool = False) -> float:
    """Return 1 - k, or 1/k - 1 where the kept values are scaled to be unbiased."""
    return 1 / ratio - 1 if rescaled else 1 - ratio


class Point(NamedTuple):
    """What a scalar quantizer does: its rate with all symbols of one length and entropy-coded, and its distortion."""

    rate: float
    entropy: float
    distortion: float


def lloyd_max(levels: int) -> Point:
    """Return the rates and the distortion of the best quantizer of so many levels."""
    points = codebooks.lloyd_max(levels)
    share = codebooks.cells(points)
    return Point(log2(levels), entropy(share), 1 - float(share @ points**2))


def uniform(step: float) -> Point:
    """Return the rates and the distortion of rounding to multiples of a step, decoded to the means of the cells.

    Entropy-coded, it is at most 0.255 bit from Shannon's limit (Gish, Pierce, IEEE Trans. Inf. Theory 1968). The levels
    counted for the rate are those of which the middle is within 6 standard deviations.
    """
    reach = ceil(12 / step) + 1
    edges: Values = (np.arange(-reach, reach + 2, dtype=np.float64) - 0.5) * step
    outside = np.abs(edges)
    # Tails are subtracted on the side where they are small.
    share = np.where(edges[1:] > 0, ndtr(-edges[:-1]) - ndtr(-edges[1:]), ndtr(edges[1:]) - ndtr(edges[:-1]))
    first = codebooks.density(edges[:-1]) - codebooks.density(edges[1:])
    used = share > 0
    energy = float(np.sum(first[used] ** 2 / share[used]))
    return Point(log2(int(np.sum(outside <= 6 + step / 2))), entropy(share), 1 - energy)


def entropy(share: Values) -> float:
    """Return the entropy in bits of some probabilities."""
    used = share[share > 0]
    return -float(used @ np.log2(used))


def vector_quantizer_distortion(dimension: int, codewords: int) -> float:
    """Return the distortion of an LBG codebook on 200,000 fresh vectors; rate: log2(codewords) / dimension."""
    book = codebooks.linde_buzo_gray(dimension, codewords).astype(np.float32)
    vectors = np.random.default_rng(1).standard_normal((_SAMPLES, dimension)).astype(np.float32)
    return float(np.mean((vectors - book[codebooks.nearest(vectors, book)]) ** 2))


def shannon_lower_bound(entropy_bits: float, distortion: float) -> float:
    """Return max(0, h - log2(2 pi e D) / 2): no code of a source of differential entropy h needs less."""
    return max(0.0, entropy_bits - 0.5 * log2(2 * pi * e * distortion)) if distortion > 0 else inf


def blahut_arimoto(share: Values, values: Values, slope: float, rounds: int = 300) -> tuple[float, float]:
    """Return a point (rate in bits, distortion) of the rate-distortion function of a discrete source.

    Args:
        share: [n] probabilities of the source's values.
        values: [n] the values, which are also those that a decoder may return; distortion is the squared error.
        slope: minus dR/dD at the point, in nats; a Gaussian of unit variance reaches distortion 1 / (2 slope).
        rounds: of the algorithm (Blahut, IEEE Trans. Inf. Theory 1972).
    """
    cost = (values[:, None] - values[None, :]) ** 2
    kernel = np.exp(-slope * cost)
    output = share.copy()
    # Where a value is too rare for float64, so is what decodes to it.
    smallest = np.finfo(np.float64).tiny
    for _ in range(rounds):
        output = output * (kernel.T @ (share / np.maximum(kernel @ output, smallest)))
    total = np.maximum(kernel @ output, smallest)
    distortion = float(share / total @ ((kernel * cost) @ output))
    rate = -slope * distortion - float(share @ np.log(total))
    return max(0.0, rate / log(2)), distortion
