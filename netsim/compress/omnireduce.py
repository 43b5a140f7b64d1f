"""OmniReduce: only the blocks that hold a non-zero travel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from netsim.compress.base import Parts, Support, schemes
from netsim.compress.lossless import Lossless
from netsim.compress.scale import in_rows
from netsim.compress.shards import Cut, equal_ranges
from netsim.compress.sparse import holds
from netsim.compress.wire import WireError, stream
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.compress import wire

OFFSET_BITS = 32


@schemes.register("omnireduce", paper="Fei et al., SIGCOMM 2021 (doi 10.1145/3452296.3472904)")
@dataclass(frozen=True, kw_only=True)
class OmniReduce(Lossless):
    """Send blocks of `block` elements that hold a non-zero to their aggregators, and get the summed blocks. Lossless.

    Wire, both ways: 32 bits an element of a block that is not zero, 32 for the offset of the next such block, and two
    32-bit counts. Aggregators own equal ranges; a last, shorter block is filled up with zeros. Counts elements that are
    exactly zero: put a sparsifier in front, or use gradients that are sparse by themselves.
    """

    block: Annotated[int, Ge(1)] = 256

    def cut(self, numel: int, owners: int, device: torch.device) -> Cut:
        """Return equal ranges."""
        return equal_ranges(numel, owners)

    def weigh(self, values: torch.Tensor, owners: int) -> Sequence[float]:
        """Return the blocks that are not zero in each range, each counted where it begins."""
        firsts = in_rows(values, self.block).any(dim=1).nonzero().flatten() * self.block
        ends = torch.tensor([part.stop for part in equal_ranges(len(values), owners)], device=values.device)
        counts: list[float] = torch.bincount(torch.bucketize(firsts, ends, right=True), minlength=owners).tolist()
        return counts

    def support(self, values: torch.Tensor, owners: int) -> Support:
        """Return the blocks that are not zero."""
        return Support(in_rows(values, self.block).any(dim=1), 2 * OFFSET_BITS * owners, OFFSET_BITS + 32 * self.block)

    def code(self, values: torch.Tensor, *, pull: bool) -> Sequence[tuple[torch.Tensor, int | wire.Field]]:
        """Return the offsets of the blocks that are not zero, and these blocks."""
        rows = in_rows(values, self.block)
        offsets = rows.any(dim=1).nonzero().flatten()
        return [stream(offsets, OFFSET_BITS), stream(rows[offsets].flatten(), 32)]

    def read(self, parts: Parts, numel: int, *, pull: bool) -> torch.Tensor:
        """Return the blocks at their places among zeros."""
        offsets, values = parts
        blocks = -(-numel // self.block)
        if len(values) != len(offsets) * self.block or not holds(offsets, blocks):
            raise WireError(f"{len(values)} values at {len(offsets)} places do not fit {blocks} blocks of {self.block}")
        rows = values.new_zeros(blocks, self.block).index_copy_(0, offsets, values.reshape(-1, self.block))
        return rows.flatten()[:numel]
