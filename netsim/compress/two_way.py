"""Two-way compression: owners of shards average what workers send and encode their shard again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from netsim.compress.base import Exchange, Key, Message, Op, Parts, Peer, Scheme, schemes
from netsim.compress.recoding import Recoding
from netsim.compress.shards import owned, shard_sizes
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class TwoWayState:
    """A worker's key, and the error of each shard [elements of the shard] that it owns."""

    peer: Peer
    key: Key
    errors: tuple[torch.Tensor, ...]


@schemes.register("two_way", paper="Tang et al., ICML 2021 (arXiv:2102.02888), compressed all-reduce")
@dataclass(frozen=True)
class TwoWay(Recoding):
    """Compress on the way up and on the way down, with the owner's own error kept at the owner.

    The flat tensor is cut into `peer.owners` shards; worker r owns shards r, r + workers, ... An owner decodes and
    averages its shard, adds its error, encodes the sum, keeps the new error, and hands the code to every worker.
    Wire: the inner scheme's message up, and one for each shard down. The inner scheme has to be one of a single
    message that all decode; error_feedback goes around two_way, not inside.
    """

    inner: Scheme
    ops: ClassVar[frozenset[Op]] = frozenset({"owner", "shard"})

    @property
    def unbiased(self) -> bool:
        """Return False: the owner's error makes later estimates depend on earlier gradients."""
        return False

    def init(self, shape: torch.Size, peer: Peer) -> TwoWayState:
        """Return the first key and errors of zeros."""
        sizes = shard_sizes(shape.numel(), peer.owners)
        errors = tuple(torch.zeros(sizes[shard]) for shard in owned(peer, peer.rank))
        return TwoWayState(peer, self.coder.init(shape, peer), errors)

    def exchange(self, grad: torch.Tensor, state: TwoWayState) -> Exchange:
        """Send the coded gradient to the owners, then the coded shards to everyone."""
        sent = self.coder.encode(grad, state.key)
        own = self.coder.decode(sent.parts, grad.shape, state.key)
        up = yield replace(sent, op="owner")
        mean = up.decoded_mean(lambda parts: self.coder.decode(parts, grad.shape, state.key))
        message, errors = self._encode_shards(mean.flatten().tensor_split(state.peer.owners), state)
        down = yield message
        estimate = down.once(lambda: self._assemble(down.parts, grad, state))
        return estimate, own, TwoWayState(state.peer, state.key.next(), errors)

    def _encode_shards(
        self, shards: Sequence[torch.Tensor], state: TwoWayState
    ) -> tuple[Message, tuple[torch.Tensor, ...]]:
        """Return the message of the shards this worker owns, and their errors after it."""
        messages, errors = [], []
        for shard, error in zip(owned(state.peer, state.peer.rank), state.errors, strict=True):
            if not error.numel():
                errors.append(error)
                continue
            key = _owner_key(state.key, shard)
            target = shards[shard] + error.to(shards[shard].device)
            messages.append(self.coder.encode(target, key))
            errors.append(target - self.coder.decode(messages[-1].parts, target.shape, key))
        parts = tuple(part for one in messages for part in one.parts)
        layout = tuple(field for one in messages for field in one.layout)
        return Message(parts, sum(one.nbits for one in messages), "shard", layout), tuple(errors)

    def _assemble(self, replies: Sequence[Parts], grad: torch.Tensor, state: TwoWayState) -> torch.Tensor:
        """Return the tensor whose shards all owners have sent."""
        sizes = shard_sizes(grad.numel(), state.peer.owners)
        decoded = [grad.new_zeros(size) for size in sizes]
        for rank, parts in enumerate(replies):
            held = [shard for shard in owned(state.peer, rank) if sizes[shard]]
            each = len(parts) // max(len(held), 1)
            for index, shard in enumerate(held):
                coded = parts[index * each : (index + 1) * each]
                decoded[shard] = self.coder.decode(coded, torch.Size([sizes[shard]]), _owner_key(state.key, shard))
        return torch.cat(decoded).reshape(grad.shape)


def _owner_key(key: Key, shard: int) -> Key:
    """Return the key by which a shard is encoded again; everyone knows it."""
    return replace(key, rank=shard, phase=1)
