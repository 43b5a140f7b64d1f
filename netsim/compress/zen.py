"""Zen: non-zeros are spread over owners by a hash, and come back with a bitmap of the hash's own order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from netsim.compress.base import Parts, Support, schemes
from netsim.compress.cpu import array, compiled, empty
from netsim.compress.lossless import Lossless
from netsim.compress.shards import Cut
from netsim.compress.sparse import places_above, scatter
from netsim.compress.wire import stream, symbols
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.compress import wire

INDEX_BITS = 32
_HASH = 2654435761
"""2^32 over the golden ratio, for multiplicative hashing (Knuth, volume 3, section 6.4)."""


@schemes.register("zen", paper="Wang et al., OSDI 2025 (arXiv:2309.13254)")
@dataclass(frozen=True, kw_only=True)
class Zen(Lossless):
    """Push non-zeros as value and index to the owner that a shared hash names, pull the sums behind a bitmap. Lossless.

    Wire of the push: 64 bits a non-zero and two 32-bit counts. Of the pull: a bit for each element that the hash gives
    the owner (d bits in all, whatever the number of workers), 32 bits a non-zero and a count; with `pull: coo` as the
    push. Hashing spreads even clustered non-zeros evenly over the owners. Counts elements that are exactly zero.
    """

    pull: Literal["hash_bitmap", "coo"] = "hash_bitmap"

    def cut(self, numel: int, owners: int, device: torch.device) -> Cut:
        """Return the elements that the hash gives to each owner, in rising order."""
        if device.type == "cpu":
            order, counts = empty((numel,), torch.int64), torch.zeros(owners, dtype=torch.int64)
            compiled.by_owner(numel, owners, _HASH, array(order), array(counts))
            return torch.split(order, counts.tolist())
        owner = _owners(torch.arange(numel, device=device), owners)
        order = torch.argsort(owner, stable=True)
        return torch.split(order, torch.bincount(owner, minlength=owners).tolist())

    def weigh(self, values: torch.Tensor, owners: int) -> Sequence[float]:
        """Return the non-zeros that the hash gives each owner."""
        index = places_above(values, 0.0)
        counts: list[float] = torch.bincount(_owners(index, owners), minlength=owners).tolist()
        return counts

    def support(self, values: torch.Tensor, owners: int) -> Support:
        """Return the non-zeros, behind a bitmap or with their indices."""
        if self.pull == "coo":
            return Support(values != 0, 2 * INDEX_BITS * owners, INDEX_BITS + 32)
        return Support(values != 0, len(values) + INDEX_BITS * owners, 32)

    def code(self, values: torch.Tensor, *, pull: bool) -> Sequence[tuple[torch.Tensor, int | wire.Field]]:
        """Return the non-zeros and where they are."""
        present = values != 0
        index = places_above(values, 0.0)
        where = symbols(present, 2) if pull and self.pull == "hash_bitmap" else stream(index, INDEX_BITS)
        return [where, stream(values[index], 32)]

    def read(self, parts: Parts, numel: int, *, pull: bool) -> torch.Tensor:
        """Return the non-zeros at their places."""
        where, values = parts
        index = where.nonzero().flatten() if where.dtype == torch.bool else where
        return scatter(values, index, numel)


def _owners(index: torch.Tensor, owners: int) -> torch.Tensor:
    """Return the owner of each element."""
    return index * _HASH % 2**32 * owners >> 32
