"""Two binary trees, each reducing and broadcasting half of the bytes, in slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge

from netsim.network.base import Round
from netsim.sync.base import Collective, Payload, Sync, syncs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.sync.base import Nodes


@syncs.register("double_binary_tree", paper="Sanders, Speck, Träff 2009, doi 10.1016/j.parco.2009.09.001")
@dataclass(frozen=True, kw_only=True)
class DoubleBinaryTree(Sync):
    """Two binary trees, half of the bytes each: who is inside one is a leaf of the other. Full bandwidth, log n hops.

    Slices follow one another: a node adds and passes on slice j while slice j + 1 comes. With k slices and depth d the
    all-reduce takes 2d + k - 1 rounds of S/2k bytes. More slices use the links better and pay more latencies. What
    cannot be summed in flight goes by ring all-gather.
    """

    slices: Annotated[int, Ge(1)] = 8

    carries = frozenset[Collective]({"sum"})
    fallback = "all_gather"

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds; in each, both trees send up and down what is at hand."""
        count = len(workers)
        trees = [(parent, _depths(parent)) for parent in _parents(count)]
        deepest = max(int(depth.max()) for _, depth in trees)
        nbytes = float(payload.up_bytes.max()) / 2 / self.slices
        found = []
        for number in range(2 * deepest + self.slices - 1 if count > 1 else 0):
            sends = [self._at(number, parent, depth, deepest) for parent, depth in trees]
            src, dst = (np.concatenate([one[end] for one in sends]) for end in (0, 1))
            found.append(Round(workers[src], workers[dst], np.full(len(src), nbytes)))
        return found

    def _at(
        self, number: int, parent: NDArray[np.int64], depth: NDArray[np.int64], deepest: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return who sends to whom in one tree and round: slice j goes up from depth d in round deepest - d + j."""
        child = np.flatnonzero(parent >= 0)
        up, down = number - (deepest - depth[child]), number - (deepest + depth[child] - 1)
        rising, falling = child[(up >= 0) & (up < self.slices)], child[(down >= 0) & (down < self.slices)]
        return np.concatenate([rising, parent[falling]]), np.concatenate([parent[rising], falling])

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return 1."""
        return 1

    def describe(self, op: Collective) -> str:
        """Name the collective."""
        return "double binary tree all-reduce"


def _parents(count: int) -> list[NDArray[np.int64]]:
    """Return [n] the parent of each rank (-1 for the root) in both trees.

    In the first, odd ranks are leaves: rank r with lowest bit b hangs on r - b or r + b, whichever is a multiple of 2b
    and of more levels. The second is its mirror image, or, for odd n, the first moved on by one.
    """
    first = np.full(count, -1, dtype=np.int64)
    for rank in range(1, count):
        bit = rank & -rank
        above = (rank ^ bit) | (bit << 1)
        first[rank] = above if above < count else rank ^ bit
    ranks = np.arange(count)
    other = (count - 1 - ranks) if count % 2 == 0 else (ranks + 1) % count
    second = np.full(count, -1, dtype=np.int64)
    second[other] = np.where(first >= 0, other[first], -1)
    return [first, second]


def _depths(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return [n] the hops from each rank to its root."""
    depth, above = np.zeros(len(parent), dtype=np.int64), parent.copy()
    while (above >= 0).any():
        depth += above >= 0
        above = np.where(above >= 0, parent[above], -1)
    return depth
