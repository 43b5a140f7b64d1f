"""Block top-k: the blocks with the largest norms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.cpu import array, compiled, on_cpu
from netsim.compress.indices import Index, decode_index, encode_index
from netsim.compress.scale import in_rows
from netsim.compress.sparse import kept, largest
from netsim.lazy import torch


@schemes.register("block_topk", paper="Eghlidi and Jaggi 2020 (arXiv:2009.09271)")
@dataclass(frozen=True, kw_only=True)
class BlockTopK(OneShot):
    """Keep the `ratio` of blocks with the largest Euclidean norms. Wire: 32 bits a kept element, and places.

    A block has `block` consecutive elements; d elements make ceil(d / block) blocks, the last one filled with zeros.
    Biased: wrap in error_feedback.
    """

    ratio: Annotated[float, Gt(0), Le(1)] = 0.01
    block: Annotated[int, Ge(1)] = 32
    index: Index = "log2"
    op: ClassVar[Op] = "gather"

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the kept blocks and their places."""
        flat = grad.flatten()
        rows = in_rows(flat, self.block)
        chosen = largest(_squares(rows), kept(len(rows), self.ratio))
        index, part, field = encode_index(chosen, len(rows), self.index)
        return Message.of(self.op, (rows[index], 32), (part, field))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the blocks at their places among zeros."""
        rows, part = parts
        blocks = -(-shape.numel() // self.block)
        index = decode_index(part, len(rows), blocks, self.index)
        flat = rows.new_zeros(blocks, self.block).index_copy_(0, index, rows).flatten()
        return flat[: shape.numel()].reshape(shape)


def _squares(rows: torch.Tensor) -> torch.Tensor:
    """Return the sum of squares of each row, in float64."""
    if not on_cpu(rows):
        return rows.double().square().sum(dim=1)
    squares = torch.empty(len(rows), dtype=torch.float64)
    compiled.block_squares(array(rows), rows.shape[1], array(squares))
    return squares
