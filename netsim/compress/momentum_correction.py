"""Momentum correction: momentum is accumulated before compression, at each worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Lt

from netsim.compress.base import Exchange, Peer, Scheme, nothing, schemes
from netsim.compress.feedback import Feedback

if TYPE_CHECKING:
    import torch

    from netsim.compress.base import State


@schemes.register("momentum_correction", paper="Lin et al., ICLR 2018 (arXiv:1712.01887), sections 3.1 and 3.3")
@dataclass(frozen=True)
class MomentumCorrection(Feedback):
    """Accumulate velocity u = m u + g and what is unsent v = v + u, exchange v, and keep what did not go.

    `masking` stops the velocity of elements that were sent (momentum factor masking); `nesterov` makes it u = m (u + g)
    and v = v + u + g. It takes the place of both error_feedback and the optimizer's momentum: the estimate is to be
    applied by plain SGD. State: (state of the inner scheme, u, v).
    """

    costs_alike: ClassVar[tuple[str, ...]] = ("momentum",)
    inner: Scheme
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    nesterov: bool = False
    masking: bool = True

    def init(self, shape: torch.Size, peer: Peer) -> tuple[State, torch.Tensor, torch.Tensor]:
        """Return the inner state, and velocity and unsent values of zeros."""
        return self.inner.init(shape, peer), nothing(shape), nothing(shape)

    def exchange(self, grad: torch.Tensor, state: tuple[Any, torch.Tensor, torch.Tensor]) -> Exchange:
        """Exchange the accumulated velocity."""
        inner, velocity, unsent = state
        velocity = velocity.to(grad.device)
        velocity = self.momentum * (velocity + grad) if self.nesterov else self.momentum * velocity + grad
        unsent = unsent.to(grad.device) + velocity + (grad if self.nesterov else 0)
        mean, own, inner = yield from self.inner.exchange(unsent, inner)
        if self.masking:
            velocity = velocity.masked_fill(own != 0, 0)
        return mean, own, (inner, velocity, unsent - own)
