"""Lossless sparse synchronisation: non-zeros go to the owners of parts, who add them and hand the sums to everyone."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netsim.compress.base import Exchange, Message, Op, Parts, Peer, Scheme, Support, average
from netsim.compress.shards import Cut, owned, size_of
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netsim.compress import wire


@dataclass(frozen=True, kw_only=True)
class Lossless(Scheme):
    """A scheme that leaves out zeros only: a member codes what goes to owners and what comes back, and cuts the parts.

    The push is an `owner` message and the pull a `shard` message, as those of two_way, with the sizes that the
    gradients give them. The estimate is the exact mean. State: the peer.
    """

    @property
    def ops(self) -> frozenset[Op]:
        """Return `owner` and `shard`."""
        return frozenset({"owner", "shard"})

    def init(self, shape: torch.Size, peer: Peer) -> Peer:
        """Return the peer: nothing else is kept."""
        return peer

    @abstractmethod
    def cut(self, numel: int, owners: int, device: torch.device) -> Cut:
        """Return the elements of each owner, the same on all workers."""

    def weigh(self, values: torch.Tensor, owners: int) -> Sequence[float]:
        """Return [owners] how much of what is sent of values [d] goes to each owner."""
        cut = self.cut(len(values), owners, values.device)
        counts: list[float] = torch.stack([values[part].count_nonzero() for part in cut]).tolist()
        return counts

    @abstractmethod
    def support(self, values: torch.Tensor, owners: int) -> Support:
        """Return what is sent of values [d], and the size of sums as their owners hand them out."""

    @abstractmethod
    def code(self, values: torch.Tensor, *, pull: bool) -> Sequence[tuple[torch.Tensor, int | wire.Field]]:
        """Return the coded parts of values [p], on the way to their owners or from them."""

    @abstractmethod
    def read(self, parts: Parts, numel: int, *, pull: bool) -> torch.Tensor:
        """Return the values [numel] that coded parts stand for."""

    def exchange(self, grad: torch.Tensor, state: Peer) -> Exchange:
        """Push to the owners, who average, and pull what they hold."""
        numel, flat = grad.numel(), grad.flatten()
        up = yield Message.of(
            "owner",
            *self.code(flat, pull=False),
            weigh=lambda: self.weigh(flat, state.owners),
            support=lambda: self.support(flat, state.owners),
        )
        total, cut = up.once(
            lambda: (
                average(self.read(parts, numel, pull=False) for parts in up.parts),
                self.cut(numel, state.owners, grad.device),
            )
        )
        down = yield shards([self.code(total[cut[one]], pull=True) for one in owned(state, state.rank)])
        mean = down.once(lambda: join(down.parts, cut, state, lambda parts, size: self.read(parts, size, pull=True)))
        return mean.reshape(grad.shape), grad, state


def shards(coded: Sequence[Sequence[tuple[torch.Tensor, int | wire.Field]]]) -> Message:
    """Return the message of the shards of one owner, each of its own parts and size."""
    each = [Message.of("shard", *one) for one in coded]
    return Message.of("shard", *(part for one in coded for part in one), weigh=lambda: [one.nbits for one in each])


def join(replies: Sequence[Parts], cut: Cut, peer: Peer, read: Callable[[Parts, int], torch.Tensor]) -> torch.Tensor:
    """Return the tensor [d] of which every worker, in order of rank, has sent the parts of `cut` that it owns."""
    pieces = [replies[0][0]] * len(cut)
    for rank, parts in enumerate(replies):
        held = owned(peer, rank)
        each = len(parts) // max(len(held), 1)
        for place, one in enumerate(held):
            pieces[one] = read(parts[place * each : (place + 1) * each], size_of(cut[one]))
    if all(isinstance(part, slice) for part in cut):
        return torch.cat(pieces) if len(pieces) > 1 else pieces[0]
    joined = torch.zeros(sum(map(len, pieces)), device=pieces[0].device)
    for part, piece in zip(cut, pieces, strict=True):
        joined[part] = piece
    return joined
