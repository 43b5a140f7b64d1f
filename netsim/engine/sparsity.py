"""How sparse gradients of several workers overlap: measured on captured ones, extrapolated by a fitted curve.

Where `held` elements are non-zero at exactly c of m workers, the mean union of any k workers is known exactly, over all
choices of k at once (rarefaction: Hurlbert, Ecology 1971). Beyond m workers elements are taken to be found as features
are by the stable-beta process (Teh and Görür, NeurIPS 2009; Masoero et al., Biometrika 2022, predict new genetic
variants so): worker i + 1 finds again what many had, and new ones at a rate that falls as a power of i. An element
holds a Poisson number of features, so that independent supports and equal supports are the curve's two ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.compress.sparse import kept, largest
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.workload.base import Gradients

BLOCK = 256
"""Elements of a block of OmniReduce."""

COUNTED = 2**22
"""Elements of which the holders are counted at a time."""

_DISCOUNTS = np.linspace(0.0, 0.995, 200)
"""Discounts that are tried."""
_LEAST = 1e-9
"""Of what is never quite 0 or 1."""


def count_holders(supports: Sequence[torch.Tensor]) -> NDArray[np.int64]:
    """Return [m + 1] elements that are non-zero in exactly 0..m of the tensors, which have one shape."""
    flat, counts = [one.flatten() for one in supports], np.zeros(len(supports) + 1, dtype=np.int64)
    for first in range(0, len(flat[0]), COUNTED):
        holders = torch.stack([one[first : first + COUNTED] != 0 for one in flat]).sum(dim=0)
        counts += torch.bincount(holders, minlength=len(counts)).cpu().numpy()
    return counts


def union_densities(held: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return [m] mean densities of the union of 1..m workers, over all ways to choose them."""
    workers, total = len(held) - 1, held.sum()
    if not total:
        return np.zeros(workers)
    absent = workers - np.arange(workers + 1)
    missed = np.empty(workers)
    for chosen in range(1, workers + 1):
        inside = absent >= chosen
        ways = _log_choose(absent[inside], chosen) - _log_choose(np.array([workers]), chosen)
        missed[chosen - 1] = (held[inside] * np.exp(ways)).sum() / total
    return 1 - missed


def _log_choose(n: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    from scipy.special import gammaln

    return np.asarray(gammaln(n + 1.0) - gammaln(n - k + 1.0) - gammaln(k + 1.0))


@dataclass(frozen=True)
class Growth:
    """The union's density as workers join: 1 - (1 - density)^(n_k / n_1), n_k features at k workers in the mean.

    Worker i + 1 adds (i - 1 + c + s) / (i + c) as many new features as worker i, c the concentration and s the
    discount: as many for ever as c grows, none as c + s falls to 0.

    Attributes:
        density: of one worker.
        concentration: more than -discount, large where workers do not agree.
        discount: 0 to 1; the number of features grows in the end as this power of the number of workers.
    """

    density: float
    concentration: float
    discount: float = 0.0

    def __call__(self, workers: int) -> float:
        """Return the density of the union of so many workers."""
        return float(self.up_to(workers)[-1])

    def up_to(self, workers: int) -> NDArray[np.float64]:
        """Return [workers] the densities of the unions of 1, 2, ... workers."""
        if not 0 < self.density < 1:
            return np.full(workers, self.density)
        found = _found(np.array([self.concentration]), np.array([self.discount]), workers)[0]
        return np.asarray(-np.expm1(np.log1p(-self.density) * found))


def _found(concentration: NDArray[np.float64], discount: NDArray[np.float64], workers: int) -> NDArray[np.float64]:
    """Return [n, workers] the features of 1..workers workers over those of one, for n pairs of parameters."""
    before, c = np.arange(1, workers), concentration[:, None]
    less = (before - 1 + c + discount[:, None]) / (before + c)  # of new features than the worker before
    return np.cumprod(np.hstack([np.ones((len(c), 1)), less]), axis=1).cumsum(axis=1)


def fit_growth(densities: NDArray[np.float64]) -> Growth:
    """Return the curve through the densities of one and two workers, and nearest to the others of [m].

    For each discount one concentration leads through both; the one with the least squared relative error is taken, and
    no discount where there are two workers only.
    """
    first, second = float(densities[0]), float(densities[min(1, len(densities) - 1)])
    if len(densities) < 2 or not 0 < first < 1:
        return Growth(first, 1 / _LEAST)
    again = np.log1p(-min(second, 1 - _LEAST)) / np.log1p(-first) - 1  # (c + s) / (1 + c)
    again = min(max(again, _LEAST), 1 - _LEAST)
    discount = _DISCOUNTS if len(densities) > 2 else np.zeros(1)
    concentration = (again - discount) / (1 - again)
    curves = -np.expm1(np.log1p(-first) * _found(concentration, discount, len(densities)))
    best = int(np.argmin(((curves / densities - 1) ** 2).sum(axis=1)))
    return Growth(first, float(concentration[best]), float(discount[best]))


@dataclass(frozen=True)
class Sparsity:
    """How the gradients of one tensor at m workers are sparse.

    Attributes:
        density: [m] of each worker.
        union: [m] mean density of the union of 1..m workers.
        overlap: mean share of a worker's non-zeros that another one has too.
        ring: [m] largest density of a chunk of a ring reduce-scatter before its 1st..m-th addition.
        hash_imbalance: largest over mean number of non-zeros that a shared hash puts into one of m partitions.
        shard_skew: the same for m contiguous shards.
        blocks: for each block size, the mean share of blocks that are not all zero, and that of the union.
    """

    density: tuple[float, ...]
    union: tuple[float, ...]
    overlap: float
    ring: tuple[float, ...]
    hash_imbalance: float
    shard_skew: float
    blocks: dict[int, tuple[float, float]]

    @property
    def growth(self) -> Growth:
        """Return the curve fitted to the union."""
        return fit_growth(np.array(self.union))


def measure_sparsity(gradients: Sequence[torch.Tensor], blocks: Sequence[int] = (32, 64, 256, 1024)) -> Sparsity:
    """Return how the gradients of one tensor at several workers are sparse.

    Args:
        gradients: one tensor a worker, all of one shape; what is zero does not count.
        blocks: elements of a block.
    """
    supports = torch.stack([(one != 0).flatten() for one in gradients])
    workers, numel = supports.shape
    held = count_holders(list(supports))
    union = union_densities(held)
    one, two = union[0], union[min(1, workers - 1)]
    # Two workers' union is a + b - both, so what both have is 2 d(1) - d(2).
    overlap = (2 * one - two) / one if workers > 1 and one else 1.0
    everyone = supports.any(dim=0)
    return Sparsity(
        tuple(supports.double().mean(dim=1).tolist()) if numel else (0.0,) * workers,
        tuple(union.tolist()),
        float(overlap),
        _ring_densities(supports),
        max(_imbalance(row.nonzero().flatten() * 2654435761 % 2**32 * workers >> 32, workers) for row in supports),
        max(_imbalance(row.nonzero().flatten() * workers // max(numel, 1), workers) for row in supports),
        {size: (float(np.mean([_filled(row, size) for row in supports])), _filled(everyone, size)) for size in blocks},
    )


def supports(gradients: Gradients, step: int, ratio: float | None = None) -> list[torch.Tensor]:
    """Return for each captured worker which elements [d] of the model are not zero.

    Args:
        gradients: an open workload.
        step: a captured step, counted from 0.
        ratio: take the largest so many of each tensor instead, as top-k does.
    """
    return [
        torch.cat([_support(one.flatten(), ratio) for one in gradients.read(step, worker, 0, len(gradients.tensors))])
        for worker in range(gradients.num_workers)
    ]


def _support(flat: torch.Tensor, ratio: float | None) -> torch.Tensor:
    if ratio is None:
        return flat != 0
    chosen = largest(flat, kept(flat.numel(), ratio)) if flat.numel() else flat.long()
    return torch.zeros(flat.shape, dtype=torch.bool).index_fill_(0, chosen, True)


def sparsity_table(gradients: Gradients, ratio: float = 0.01) -> list[dict[str, Any]]:
    """Return rows of each captured step: the non-zeros of the whole model, and the `ratio` largest of each tensor.

    A row holds `step`, `elements` (which of the two), `density`, `union` of all workers, `overlap`, `hash_imbalance`,
    `shard_skew` and `blocks_256`, as in `Sparsity`.
    """
    rows = []
    for step in range(gradients.num_steps):
        for elements, share in (("not zero", None), (f"top {ratio:.3g}", ratio)):
            found = measure_sparsity(supports(gradients, step, share), blocks=(BLOCK,))
            facts = {"overlap": found.overlap, "hash_imbalance": found.hash_imbalance, "shard_skew": found.shard_skew}
            densities = {"density": float(np.mean(found.density)), "union": found.union[-1]}
            rows.append(
                {"step": step, "elements": elements} | densities | facts | {"blocks_256": found.blocks[BLOCK][0]}
            )
    return rows


def _ring_densities(supports: torch.Tensor) -> tuple[float, ...]:
    """Return the largest density of a chunk that has passed 0..m-1 workers, as a ring reduce-scatter sums them."""
    workers, steps = len(supports), []
    chunks = [supports[:, one] for one in torch.arange(supports.shape[1]).tensor_split(workers)]
    for passed in range(1, workers + 1):
        unions = [
            chunk[[(place + one) % workers for one in range(passed)]].any(dim=0)
            for place, chunk in enumerate(chunks)
            if chunk.shape[1]
        ]
        steps.append(max((float(one.double().mean()) for one in unions), default=0.0))
    return tuple(steps)


def _imbalance(part: torch.Tensor, parts: int) -> float:
    """Return the largest over the mean count of 0..parts-1 among the numbers; 1 where there are none."""
    counts = torch.bincount(part, minlength=parts).double()
    return float(counts.max() / counts.mean()) if len(part) else 1.0


def _filled(support: torch.Tensor, size: int) -> float:
    """Return the share of blocks of `size` elements that hold a non-zero."""
    rows = torch.nn.functional.pad(support, (0, -len(support) % size)).reshape(-1, size)
    return float(rows.any(dim=1).double().mean()) if len(rows) else 0.0
