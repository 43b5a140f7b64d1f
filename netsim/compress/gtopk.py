"""Global top-k: sparse messages are merged pairwise along a tree, each merge keeping the k largest sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netsim.compress.base import Exchange, Key, Op, schemes
from netsim.compress.sparse import kept, largest
from netsim.compress.topk import TopK
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence


@schemes.register("gtopk", paper="Shi et al., ICDCS 2019 (arXiv:1901.04359)")
@dataclass(frozen=True, kw_only=True)
class GTopK(TopK):
    """Keep the `ratio` largest magnitudes and merge messages pairwise: k elements of each sum go on, and none more.

    Wire: k (32 + ceil(log2 d)) bits at each of the log2 n merges, and as many on the way back. What a merge cuts off
    stays with the worker that merges, as what it has not contributed; so contributions still add up to the sum. Wrap in
    error_feedback.
    """

    op: ClassVar[Op] = "merge"

    def exchange(self, grad: torch.Tensor, state: Key) -> Exchange:
        """Send the largest elements up the tree; the estimate is what its root is left with, over the workers."""
        reply = yield self.encode(grad, state)
        mean, own = reply.once(
            lambda: self._merge([self.decode(parts, grad.shape, state).flatten() for parts in reply.parts])
        )
        return mean.reshape(grad.shape), own[state.rank].reshape(grad.shape), state.next()

    def _merge(self, sums: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the mean of what arrives at the root [d], and what each worker has contributed to it."""
        sums, own = list(sums), list(sums)
        count, distance = kept(len(sums[0]), self.ratio), 1
        while distance < len(sums):
            for rank in range(0, len(sums) - distance, 2 * distance):
                whole = sums[rank] + sums[rank + distance]
                index = largest(whole, count)
                sums[rank] = torch.zeros_like(whole).index_copy_(0, index, whole[index])
                own[rank] = own[rank] - (whole - sums[rank])
            distance *= 2
        return sums[0] / len(sums), own
