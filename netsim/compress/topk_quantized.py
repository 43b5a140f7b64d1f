"""Top-k with coarse values: signs with one magnitude, or a few levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.indices import Index, decode_index, encode_index
from netsim.compress.sparse import kept, largest, scatter
from netsim.compress.wire import symbols
from netsim.lazy import torch


@schemes.register("topk_quantized", paper="Adikari and Draper, JSAIT 2021 (arXiv:2108.07827), Top-K-Q")
@dataclass(frozen=True, kw_only=True)
class TopKQuantized(OneShot):
    """Keep the `ratio` largest magnitudes as `bits` bits each; one bit makes it ternary. Wrap in error_feedback.

    One bit is the sign, with the mean of the kept magnitudes as the value: the best there is. More bits split the range
    of the kept magnitudes evenly into 2^(bits - 1) cells, each standing for its middle. Wire: k (bits + ceil(log2 d))
    bits and one float32, or two for the range.
    """

    ratio: Annotated[float, Gt(0), Le(1)] = 0.01
    bits: Annotated[int, Ge(1), Le(16)] = 1
    index: Index = "log2"
    op: ClassVar[Op] = "gather"

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the range, the signs, the cells and the places."""
        flat = grad.flatten()
        chosen = largest(flat, kept(flat.numel(), self.ratio))
        index, part, field = encode_index(chosen, flat.numel(), self.index)
        values = flat[index]
        span = self._span(values.abs())
        signs = symbols(values >= 0, 2)
        if self.bits == 1:
            return Message.of(self.op, (span, 32), signs, (part, field))
        cells = 2 ** (self.bits - 1)
        width = (span[1] - span[0]).clamp(min=torch.finfo(span.dtype).tiny)
        cell = ((values.abs() - span[0]) / width * cells).int().clamp_(0, cells - 1)
        return Message.of(self.op, (span, 32), signs, symbols(cell, cells), (part, field))

    def _span(self, sizes: torch.Tensor) -> torch.Tensor:
        if not len(sizes):
            return sizes.new_zeros(1 if self.bits == 1 else 2)
        if self.bits == 1:
            peak = sizes.amax().clamp(min=torch.finfo(sizes.dtype).tiny)
            return (peak * (sizes / peak).mean()).reshape(1)
        return torch.stack(list(torch.aminmax(sizes)))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return signed magnitudes at their places among zeros."""
        span, signs, *cell, part = parts
        size = span[0]
        if cell:
            size = span[0] + (span[1] - span[0]) * ((cell[0] + 0.5) / 2 ** (self.bits - 1))
        index = decode_index(part, len(signs), shape.numel(), self.index)
        return scatter(torch.where(signs, size, -size), index, shape.numel()).reshape(shape)
