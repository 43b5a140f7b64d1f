"""Adaptive quantization: thresholds for positive and negative elements that keep a proportion of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.indices import Index, decode_index, encode_index
from netsim.compress.sparse import kept, largest, scatter
from netsim.compress.wire import stream
from netsim.lazy import torch


@schemes.register("adaptive_threshold", paper="Dryden et al., MLHPC 2016 (doi 10.1109/MLHPC.2016.004)")
@dataclass(frozen=True, kw_only=True)
class AdaptiveThreshold(OneShot):
    """Keep the `ratio` largest of the positive and of the negative elements, each as the mean of its side.

    Wire: two float32 means, and for each of the k kept elements a sign and ceil(log2 d) bits, with two 32-bit counts.
    Thresholds are exact, not sampled. Biased: wrap in error_feedback.
    """

    ratio: Annotated[float, Gt(0), Le(1)] = 0.01
    index: Index = "log2"
    op: ClassVar[Op] = "gather"

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the means, the signs and the places."""
        flat = grad.flatten()
        sides = [side.nonzero().flatten() for side in (flat > 0, flat < 0)]
        chosen = [side[largest(flat[side], kept(len(side), self.ratio))] for side in sides]
        means = torch.stack([flat[side].div(max(len(side), 1)).sum() for side in chosen])
        index, part, field = encode_index(torch.cat(chosen), flat.numel(), self.index, counted=True)
        return Message.of(self.op, (means, 32), stream(flat[index] > 0, 1), (part, field))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the means at their places among zeros."""
        means, signs, part = parts
        index = decode_index(part, len(signs), shape.numel(), self.index)
        return scatter(torch.where(signs, means[0], means[1]), index, shape.numel()).reshape(shape)
