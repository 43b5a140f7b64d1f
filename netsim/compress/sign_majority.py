"""signSGD and Signum with majority vote: signs up, the sign of their sum down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Lt

from netsim.compress.base import Exchange, Message, Op, Peer, Scheme, nothing, schemes
from netsim.compress.shards import join_shards, own_shards
from netsim.lazy import torch


@schemes.register("sign_majority", paper="Bernstein et al., ICML 2018 (arXiv:1802.04434), ICLR 2019 (arXiv:1810.05291)")
@dataclass(frozen=True, kw_only=True)
class SignMajority(Scheme):
    """Each worker sends the signs of its momentum, an owner returns what most of them say. Wire: d bits up, d down.

    The estimate is +1 or -1, whatever the gradient's size: the learning rate sets the length of a step. A tie and zero
    count as plus. `momentum: 0` is signSGD, more is Signum. At a constant rate it ends near the minimum, not in it.
    """

    costs_alike: ClassVar[tuple[str, ...]] = ("momentum",)
    scale_free: ClassVar[bool] = True
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    ops: ClassVar[frozenset[Op]] = frozenset({"owner", "shard"})

    def init(self, shape: torch.Size, peer: Peer) -> tuple[Peer, torch.Tensor]:
        """Return who the worker is, and a momentum of zeros."""
        return peer, nothing(shape)

    def exchange(self, grad: torch.Tensor, state: tuple[Peer, torch.Tensor]) -> Exchange:
        """Send signs to the owners, then their verdicts to everyone."""
        peer, before = state
        momentum = torch.lerp(grad, before.to(grad.device), self.momentum)
        signs = momentum.flatten() >= 0
        up = yield Message.of("owner", (signs, 1))
        vote = up.once(lambda: torch.stack([one for (one,) in up.parts]).int().sum(dim=0) * 2 >= peer.workers)
        down = yield Message.of("shard", (own_shards(vote, peer), 1))
        estimate = down.once(lambda: _signed(join_shards([one for (one,) in down.parts], grad.numel(), peer), grad))
        return estimate, _signed(signs, grad), (peer, momentum)


def _signed(plus: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return plus.to(like.dtype).mul_(2).sub_(1).reshape(like.shape)
