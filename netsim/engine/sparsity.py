"""How sparse gradients of several workers overlap: measured on captured ones, extrapolated by a fitted curve.

Where `held` elements are non-zero at exactly c of m workers, the mean union of any k workers is known exactly, over all
choices of k at once (rarefaction: Hurlbert, Ecology 1971). Beyond m workers some elements are taken to be non-zero at
all of them, and each other one with a probability of its own, beta-distributed over the elements: independent supports
and equal supports are its two ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaln

from netsim.compress.sparse import kept, largest
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.workload.base import Gradients

BLOCK = 256
"""Elements of a block of OmniReduce."""

_LEAST, _MOST = -14.0, 25.0
"""Logarithms of the concentrations that are tried: from equal supports to independent ones."""
_SHARES = 1001


def count_holders(supports: Sequence[torch.Tensor]) -> NDArray[np.int64]:
    """Return [m + 1] elements that are non-zero in exactly 0..m of the tensors, which have one shape."""
    holders = torch.stack([(one != 0).flatten() for one in supports]).sum(dim=0)
    return np.asarray(torch.bincount(holders, minlength=len(supports) + 1).cpu().numpy(), dtype=np.int64)


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
    return np.asarray(gammaln(n + 1.0) - gammaln(n - k + 1.0) - gammaln(k + 1.0))


@dataclass(frozen=True)
class Growth:
    """The union's density as workers join: shared + (1 - shared) (1 - product over i < k of (b + i) / (a + b + i)).

    Attributes:
        density: of one worker.
        concentration: a + b, small where workers agree on what is not shared, large where they do not.
        shared: density of what every worker holds.
    """

    density: float
    concentration: float
    shared: float = 0.0

    def __call__(self, workers: float) -> float:
        """Return the density of the union of so many workers."""
        if not 0 < self.density < 1:
            return self.density
        return float(_union(self.density, np.array(self.shared), np.array(self.concentration), workers))


def _union(
    density: float, shared: NDArray[np.float64], whole: NDArray[np.float64], workers: float
) -> NDArray[np.float64]:
    empty = (1 - density) / (1 - shared) * whole
    log_missed = gammaln(empty + workers) - gammaln(empty) - gammaln(whole + workers) + gammaln(whole)
    return np.asarray(1 - (1 - shared) * np.exp(log_missed))


def fit_growth(densities: NDArray[np.float64]) -> Growth:
    """Return the curve through the densities of one and two workers, and nearest to the others of [m].

    What is shared settles the concentration with which the curve passes through both; of a thousand shares that leave
    the rest no more apart than independent supports, the one with the least squared relative error is taken. Nothing
    is shared where there are two workers only.
    """
    first, second = float(densities[0]), float(densities[min(1, len(densities) - 1)])
    if len(densities) < 2 or not 0 < first < 1:
        return Growth(first, float(np.exp(_MOST)))
    most = 1 - (1 - first) ** 2 / (1 - second) if second < 1 and len(densities) > 2 else 0.0
    shared = np.linspace(0.0, max(most, 0.0), _SHARES)
    one, both = (1 - first) / (1 - shared), (1 - second) / (1 - shared)
    apart = np.maximum(both - one**2, np.finfo(float).tiny)
    whole = np.clip((one - both) / apart, np.exp(_LEAST), np.exp(_MOST))
    error = sum(
        ((_union(first, shared, whole, k) / density - 1) ** 2 for k, density in enumerate(densities.tolist(), start=1)),
        start=np.zeros(_SHARES),
    )
    best = int(np.argmin(error))
    return Growth(first, float(whole[best]), float(shared[best]))


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
