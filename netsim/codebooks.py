"""Codebooks for a Gaussian source of unit variance: the points that scalar and vector quantizers round to."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

LBG_SAMPLES, LBG_ROUNDS, LBG_STARTS = 120_000, 40, 4


def special() -> Any:
    """Return scipy.special, which takes longer to import than most commands to run."""
    import scipy.special

    return scipy.special


def density(x: Values) -> Values:
    """Return the normal density, 0 at infinity."""
    weight: Values = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return weight


def thresholds(points: Values, beyond: float = -np.inf) -> Values:
    """Return the midpoints between rising points, with the ends of the source around them."""
    return np.concatenate([[beyond], (points[1:] + points[:-1]) / 2, [np.inf]])


def cells(points: Values, beyond: float = -np.inf) -> Values:
    """Return the probabilities of the values nearest to each point, of those that lie beyond a threshold."""
    tail: Values = special().ndtr(-thresholds(points, beyond))
    return tail[:-1] - tail[1:]


@lru_cache(maxsize=64)
def lloyd_max(levels: int, beyond: float = -np.inf) -> Values:
    """Return the rising points [levels] of the scalar quantizer with the least mean squared error.

    Each point is the mean of its cell and each threshold the middle of two points (Max, IRE Trans. Inf. Theory 1960;
    Lloyd, IEEE Trans. Inf. Theory 1982). The fixed point is found by Newton's method from the companding quantizer.

    Args:
        levels: the number of points.
        beyond: quantize only values above this threshold, as the tail that top-k keeps.
    """
    share = special().ndtr(-beyond / np.sqrt(3)) * (1 - (np.arange(levels) + 0.5) / levels)
    points: Values = -np.sqrt(3) * special().ndtri(share)
    for _ in range(100):
        edges, probability = thresholds(points, beyond), cells(points, beyond)
        weight = density(edges)
        centroids = -np.diff(weight) / probability
        inner = edges[1:-1]
        up = weight[1:-1] * (inner - centroids[:-1]) / probability[:-1] / 2
        down = weight[1:-1] * (centroids[1:] - inner) / probability[1:] / 2
        diagonal = np.append(up, 0) + np.insert(down, 0, 0)
        slope = np.diag(diagonal) + np.diag(up, 1) + np.diag(down, -1)
        step = np.linalg.solve(np.eye(levels) - slope, centroids - points)
        points = points + step
        if np.abs(step).max() < 1e-13:  # float64 gives no more
            break
    if beyond == -np.inf:
        points = np.asarray((points - points[::-1]) / 2)
    points.flags.writeable = False
    return points


@lru_cache(maxsize=64)
def linde_buzo_gray(dimension: int, codewords: int) -> Values:
    """Return a codebook [codewords, dimension] trained on Gaussian vectors; `codewords` is a power of two.

    Codewords are split in two and moved to the means of their cells until there are enough (Linde, Buzo, Gray, IEEE
    Trans. Commun. 1980). Of a few such codebooks for a part of the training vectors, the best is trained on all. The
    120,000 training vectors are the same everywhere, so the codebook is too.
    """
    draw = np.random.default_rng(0)
    samples = draw.standard_normal((LBG_SAMPLES, dimension)).astype(np.float32)
    part = samples[: LBG_SAMPLES // 6]
    books = [_split(part, codewords, draw) for _ in range(LBG_STARTS)]
    book = min(books, key=lambda one: float(np.sum((part - one[nearest(part, one)]) ** 2)))
    for _ in range(LBG_ROUNDS // 2):
        book = _centroids(samples, book)
    found = book.astype(np.float64)
    found.flags.writeable = False
    return found


def _split(samples: NDArray[np.float32], codewords: int, draw: np.random.Generator) -> NDArray[np.float32]:
    book: NDArray[np.float32] = samples.mean(axis=0, keepdims=True)
    while len(book) < codewords:
        offset = 0.3 * draw.standard_normal(book.shape).astype(np.float32)
        book = np.concatenate([book + offset, book - offset])
        for _ in range(LBG_ROUNDS if len(book) == codewords else LBG_ROUNDS // 4):
            book = _centroids(samples, book)
    return book


def nearest(vectors: NDArray[np.float32], book: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return for each vector [m, n] the index of the nearest codeword."""
    found: NDArray[np.int64] = (vectors @ book.T - (book**2).sum(axis=1) / 2).argmax(axis=1)
    return found


def _centroids(samples: NDArray[np.float32], book: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of the cells; a codeword of which the cell is empty stays where it is."""
    cell = nearest(samples, book)
    count = np.bincount(cell, minlength=len(book))[:, None]
    sums = np.stack([np.bincount(cell, one, len(book)) for one in samples.T], axis=1)
    return np.where(count, sums / np.maximum(count, 1), book).astype(np.float32)
