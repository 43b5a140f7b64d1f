"""Top-k: the largest magnitudes and where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Le

from netsim.compress.base import Key, schemes
from netsim.compress.sparse import Sparse, kept, largest

if TYPE_CHECKING:
    import torch


@schemes.register("topk", paper="Aji and Heafield, EMNLP 2017 (arXiv:1704.05021)")
@dataclass(frozen=True, kw_only=True)
class TopK(Sparse):
    """Keep the `ratio` largest magnitudes. Wire: k (32 + ceil(log2 d)) bits. Biased: wrap in error_feedback.

    Workers keep different elements, so messages cannot be summed in flight. `index` chooses another code of the places.
    """

    ratio: Annotated[float, Gt(0), Le(1)] = 0.01

    def select(self, flat: torch.Tensor, key: Key) -> torch.Tensor:
        """Return the indices of the largest magnitudes."""
        return largest(flat, kept(flat.numel(), self.ratio))
