"""SparCML: streams of indices and values that turn dense where this is shorter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from netsim.compress.base import Exchange, Message, Op, Parts, Peer, Support, schemes
from netsim.compress.lossless import Lossless
from netsim.compress.shards import Cut, equal_ranges, size_of
from netsim.compress.sparse import places_above, scatter
from netsim.compress.wire import stream
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.compress import wire

INDEX_BITS = VALUE_BITS = 32


@schemes.register("sparcml", paper="Renggli et al., SC 2019 (arXiv:1802.08021)")
@dataclass(frozen=True, kw_only=True)
class SparCML(Lossless):
    """Split by ranges of indices, add at their owners, gather the sums, each stream sparse or dense. Lossless.

    `ssar` gathers sparse sums (static sparse all-reduce, split all-gather), `dsar` dense ones (dynamic sparse
    all-reduce). With `recursive` (static sparse all-reduce, too) nobody owns anything: partners exchange all
    that they hold, log2 n times, and streams grow as they meet. Wire of a sparse stream: 64 bits a non-zero, of a dense
    one 32 bits an element, both with two 32-bit counts; a stream turns dense beyond d / 2 non-zeros. Counts elements
    that are exactly zero.
    """

    form: Literal["ssar", "dsar", "recursive"] = "ssar"

    @property
    def ops(self) -> frozenset[Op]:
        """Return `owner` and `shard`, or `union`."""
        return frozenset({"union"}) if self.form == "recursive" else super().ops

    def cut(self, numel: int, owners: int, device: torch.device) -> Cut:
        """Return equal ranges."""
        return equal_ranges(numel, owners)

    def weigh(self, values: torch.Tensor, owners: int) -> Sequence[float]:
        """Return the non-zeros in each range, or the elements of each where the stream is dense."""
        counts = super().weigh(values, owners)
        if _is_dense(int(sum(counts)), values):
            return [size_of(part) for part in self.cut(len(values), owners, values.device)]
        return counts

    def support(self, values: torch.Tensor, owners: int) -> Support:
        """Return the non-zeros, and streams that turn dense."""
        fixed, most = 2 * INDEX_BITS * owners, 2 * INDEX_BITS * owners + VALUE_BITS * len(values)
        return Support(values != 0, most if self.form == "dsar" else fixed, INDEX_BITS + VALUE_BITS, most)

    def exchange(self, grad: torch.Tensor, state: Peer) -> Exchange:
        """Exchange by way of owners, or of partners."""
        return self._meet(grad, state) if self.form == "recursive" else super().exchange(grad, state)

    def _meet(self, grad: torch.Tensor, state: Peer) -> Exchange:
        flat = grad.flatten()
        reply = yield Message.of("union", *self.code(flat, pull=False), support=lambda: self.support(flat, 1))
        mean = reply.decoded_mean(lambda parts: self.read(parts, len(flat), pull=False))
        return mean.reshape(grad.shape), grad, state

    def code(self, values: torch.Tensor, *, pull: bool) -> Sequence[tuple[torch.Tensor, int | wire.Field]]:
        """Return a sparse stream, or a dense one, which has no indices."""
        index = places_above(values, 0.0)
        if (pull and self.form == "dsar") or _is_dense(len(index), values):
            return [stream(index[:0], INDEX_BITS), stream(values, VALUE_BITS)]
        return [stream(index, INDEX_BITS), stream(values[index], VALUE_BITS)]

    def read(self, parts: Parts, numel: int, *, pull: bool) -> torch.Tensor:
        """Return the values at their places."""
        index, values = parts
        if not len(index) and len(values) == numel:
            return values
        return scatter(values, index, numel)


def _is_dense(count: int, values: torch.Tensor) -> bool:
    """Return whether the values themselves are shorter than so many pairs of index and value."""
    return count * (INDEX_BITS + VALUE_BITS) > len(values) * VALUE_BITS
