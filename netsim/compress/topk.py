"""Top-k: the largest magnitudes and where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Gt, Le

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.wire import symbols

if TYPE_CHECKING:
    import torch


def kept(numel: int, ratio: float) -> int:
    """Return how many of `numel` elements a ratio keeps: round(ratio numel), at least 1 and at most all of them."""
    return min(numel, max(1, round(ratio * numel)))


@schemes.register("topk", paper="Aji and Heafield, EMNLP 2017 (arXiv:1704.05021)")
@dataclass(frozen=True, kw_only=True)
class TopK(OneShot):
    """Keep the `ratio` largest magnitudes. Wire: k (32 + ceil(log2 d)) bits. Biased: wrap in error_feedback.

    Workers keep different elements, so messages cannot be summed in flight.
    """

    ratio: Annotated[float, Gt(0), Le(1)] = 0.01
    op: ClassVar[Op] = "gather"

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the kept values and their indices, in no particular order."""
        flat = grad.flatten()
        index = flat.abs().topk(kept(flat.numel(), self.ratio), sorted=False).indices
        return Message.of(self.op, (flat[index], 32), symbols(index, flat.numel()))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the values at their places among zeros."""
        values, index = parts
        return values.new_zeros(shape.numel()).index_copy_(0, index, values).reshape(shape)
