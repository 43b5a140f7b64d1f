"""Count sketch: a few random sums of all values, which add up over workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from netsim.compress.base import Exchange, Key, Message, Op, Peer, Scheme, schemes
from netsim.compress.cpu import array, compiled, empty, on_cpu
from netsim.compress.sparse import kept, largest, scatter
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

HASH_BITS = 31


@schemes.register("count_sketch", paper="Ivkin et al., NeurIPS 2019 (arXiv:1903.04488); Charikar et al., ICALP 2002")
@dataclass(frozen=True, kw_only=True)
class CountSketch(Scheme):
    """Sum values with random signs into `rows` of counters; recover the largest from their medians. Summable.

    Wire: 32 bits a counter; there are `counters` times as many as elements. Every value is estimated by the median of
    its counters over the rows, of which the `recovered` share with the largest magnitudes are kept. Biased: wrap in
    error_feedback, which converges only where few elements hold most of the energy; elsewhere estimates are noise. As
    in PowerSGD, what a worker has contributed is the common estimate.
    """

    counters: Annotated[float, Gt(0), Le(1)] = 0.1
    rows: Annotated[int, Ge(1), Le(99)] = 5
    recovered: Annotated[float, Gt(0), Le(1)] = 0.01
    ops: ClassVar[frozenset[Op]] = frozenset({"sum"})

    def init(self, shape: torch.Size, peer: Peer) -> Key:
        """Return the key of the first step."""
        return Key(peer.seed, peer.rank)

    def exchange(self, grad: torch.Tensor, state: Key) -> Exchange:
        """Send the sketch; recover the estimate from the mean sketch."""
        flat = grad.flatten()
        reply = yield Message.of("sum", (self._sketch(flat, state), 32))
        mean = reply.once(lambda: self._recover(reply.mean()[0], grad, state))
        return mean, mean, state.next()

    def _sketch(self, flat: torch.Tensor, key: Key) -> torch.Tensor:
        """Return the counters [rows, columns]."""
        columns = max(1, round(self.counters * flat.numel() / self.rows))
        sketch = flat.new_zeros(self.rows, columns)
        if on_cpu(flat):
            compiled.sketch(array(flat), self._factors(key), sketch.numpy())
            return sketch
        for row, (column, sign) in zip(sketch, self._hashes(flat, columns, key), strict=True):
            row.index_add_(0, column, flat * sign)
        return sketch

    def _recover(self, sketch: torch.Tensor, grad: torch.Tensor, key: Key) -> torch.Tensor:
        """Return the values of the largest estimated magnitudes among zeros."""
        flat = grad.flatten()
        if not flat.numel():
            return torch.zeros_like(grad)
        values = self._estimates(sketch, flat, key)
        index = largest(values, kept(flat.numel(), self.recovered))
        return scatter(values[index], index, flat.numel()).reshape(grad.shape)

    def _estimates(self, sketch: torch.Tensor, flat: torch.Tensor, key: Key) -> torch.Tensor:
        """Return the lower median over the rows of every element's counters, with its signs."""
        if on_cpu(flat):
            values = empty(flat.shape, torch.float32)
            compiled.sketch_medians(sketch.numpy(), self._factors(key), array(values))
            return values
        hashes = self._hashes(flat, sketch.shape[1], key)
        return _middle(torch.stack([row[column] * sign for row, (column, sign) in zip(sketch, hashes, strict=True)]))

    def _factors(self, key: Key) -> NDArray[np.int64]:
        """Return a and b [rows, 2] of each row's hash: the upper bits of a i + b, a odd (Dietzfelbinger, 1996)."""
        drawn: NDArray[np.int64] = key.shared().integers(-(2**63), 2**63 - 1, (self.rows, 2))
        drawn[:, 0] |= 1
        return drawn

    def _hashes(self, flat: torch.Tensor, columns: int, key: Key) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield for each row every element's column and sign."""
        index = torch.arange(flat.numel(), device=flat.device)
        for factor, offset in self._factors(key).tolist():
            hashed = (index * factor).add_(offset).bitwise_right_shift_(64 - HASH_BITS - 1)
            sign = (hashed & 1).to(flat.dtype).mul_(2).sub_(1)
            column = hashed.bitwise_right_shift_(1).bitwise_and_(2**HASH_BITS - 1).mul_(columns)
            yield column.bitwise_right_shift_(HASH_BITS), sign


def _middle(rows: torch.Tensor) -> torch.Tensor:
    """Return the lower median [d] of rows [r, d], by odd-even transposition: much faster than sorting columns."""
    count = len(rows)
    for first in (place % 2 for place in range(count)):
        upper, lower = rows[first : count - 1 : 2], rows[first + 1 :: 2]
        least, most = torch.minimum(upper, lower), torch.maximum(upper, lower)
        upper.copy_(least)
        lower.copy_(most)
    return rows[(count - 1) // 2]
