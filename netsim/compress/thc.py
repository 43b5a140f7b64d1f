"""THC: indices into a table up, sums of table values down, so that a server adds without decoding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from netsim.codebooks import density, special
from netsim.compress.base import Exchange, Key, Message, Op, Peer, Scheme, schemes
from netsim.compress.rotation import padded, rotate, rotate_back
from netsim.compress.scale import root_mean_square, tiny
from netsim.compress.shards import join_shards, own_shards
from netsim.compress.wire import bits_for, symbols
from netsim.errors import InputError
from netsim.lazy import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOWN_BITS = 8


@schemes.register("thc", paper="Li et al., NSDI 2024 (arXiv:2302.08545)")
@dataclass(frozen=True, kw_only=True)
class THC(Scheme):
    """Rotate, clamp to a shared range, round at random to table points on an integer grid. Wrap in error_feedback.

    Workers first gather their norms, 32 bits; the largest sets the range, beyond which a Gaussian has `clipped` of its
    probability. Owners look up and add. Wire: `bits` an element up, 8 down, or as many as the sum of all workers needs,
    elements being rounded up to a power of two. The 2^bits table points, on a grid of `granularity` steps, are those
    with the least error of stochastic rounding on a Gaussian.
    """

    bits: Annotated[int, Ge(1), Le(8)] = 4
    granularity: Annotated[int, Ge(1), Le(1023)] = 30
    clipped: Annotated[float, Gt(0), Lt(1)] = 1 / 32
    ops: ClassVar[frozenset[Op]] = frozenset({"gather", "owner", "shard"})
    agrees: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raise InputError where the grid has fewer points than the table."""
        if self.granularity < 2**self.bits - 1:
            raise InputError(
                f"a grid of {self.granularity} steps has no {2**self.bits} points",
                f"choose a granularity of at least {2**self.bits - 1}, or fewer bits",
            )

    def init(self, shape: torch.Size, peer: Peer) -> tuple[Peer, Key]:
        """Return who the worker is and the key of the first step."""
        return peer, Key(peer.seed, peer.rank)

    def exchange(self, grad: torch.Tensor, state: tuple[Peer, Key]) -> Exchange:
        """Agree on the range, send indices to the owners, then sums to everyone."""
        peer, key = state
        flat, seed = grad.flatten(), int(key.shared().integers(2**32))
        norms = yield Message.of("gather", (root_mean_square(flat).reshape(1), 32))
        largest = norms.once(lambda: torch.cat([one for (one,) in norms.parts]).amax())
        edge = NormalDist().inv_cdf(1 - self.clipped / 2)
        # The root mean square of the rotated values, which include the padding.
        limit = (largest * (edge * sqrt(flat.numel() / padded(flat.numel())))).clamp(max=torch.finfo(flat.dtype).max)
        table = torch.tensor(_table(2**self.bits, self.granularity, edge), device=flat.device)
        code = self._encode(rotate(flat / limit.clamp(min=tiny(flat)), seed), table, key)

        def decode(mean: torch.Tensor) -> torch.Tensor:
            rotated = mean.float().mul(2 / self.granularity).sub_(1)
            return rotate_back(rotated, seed, flat.numel()).mul(limit).reshape(grad.shape)

        up = yield Message.of("owner", symbols(code.byte(), 2**self.bits))
        total = up.once(lambda: torch.stack([table[one.int()] for (one,) in up.parts]).sum(dim=0))
        top = self.granularity * peer.addends
        down = yield Message.of("shard", (own_shards(total, peer), max(DOWN_BITS, bits_for(top + 1))))
        joined = [one for (one,) in down.parts]
        mean = down.once(lambda: decode(join_shards(joined, total.numel(), peer) / peer.workers))
        return mean, decode(table[code]), (peer, key.next())

    def _encode(self, unit: torch.Tensor, table: torch.Tensor, key: Key) -> torch.Tensor:
        """Return the index of one of the two table points around each value."""
        place = unit.clamp_(-1, 1).add_(1).mul_(self.granularity / 2)
        lower = torch.bucketize(place, table.float(), right=True).sub_(1).clamp_(0, len(table) - 2)
        odds = (place - table[lower]) / (table[lower + 1] - table[lower])
        noise = torch.rand(place.shape, generator=key.own(place.device), device=place.device)
        return lower + (noise < odds)


@lru_cache(maxsize=16)
def _table(points: int, granularity: int, edge: float) -> NDArray[np.int64]:
    """Return the rising grid points with the least expected squared error, the ends of the range among them.

    Rounding x between a and b at random costs (b - x)(x - a); the best points follow by dynamic programming.
    """
    grid = np.linspace(-edge, edge, granularity + 1)
    mass, first = special().ndtr(grid), -density(grid)
    second = mass - grid * density(grid)
    a, b = grid[:, None], grid[None, :]
    moment = [one[None, :] - one[:, None] for one in (mass, first, second)]
    cost = np.where(b > a, (a + b) * moment[1] - moment[2] - a * b * moment[0], inf)
    best, before = np.where(np.arange(granularity + 1) == 0, 0.0, inf), []
    for _ in range(points - 1):
        total = best[:, None] + cost
        before.append(total.argmin(axis=0))
        best = total.min(axis=0)
    chosen = [granularity]
    for one in reversed(before):
        chosen.append(int(one[chosen[-1]]))
    return np.array(chosen[::-1], dtype=np.int64)
