"""EF21: compress the change of the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netsim.compress.base import Exchange, Peer, Scheme, nothing, schemes
from netsim.compress.feedback import Feedback

if TYPE_CHECKING:
    import torch

    from netsim.compress.base import State


@schemes.register("ef21", paper="Richtarik et al., NeurIPS 2021 (arXiv:2106.05203)")
@dataclass(frozen=True)
class EF21(Feedback):
    """Keep an estimate of each worker's gradient and send what it lacks; the mean of the estimates is the result.

    Each worker's estimate grows by its own contribution to the inner exchange, their mean by what all agree on. Wire:
    the inner scheme's. State: (state of the inner scheme, own estimate, mean of the estimates), from zeros.
    """

    inner: Scheme

    def init(self, shape: torch.Size, peer: Peer) -> tuple[State, torch.Tensor, torch.Tensor]:
        """Return the inner state and estimates of zeros."""
        return self.inner.init(shape, peer), nothing(shape), nothing(shape)

    def exchange(self, grad: torch.Tensor, state: tuple[Any, torch.Tensor, torch.Tensor]) -> Exchange:
        """Exchange the difference to the own estimate."""
        inner, known, shared = state
        known = known.to(grad.device)
        mean, own, inner = yield from self.inner.exchange(grad - known, inner)
        known, shared = known + own, shared.to(grad.device) + mean
        return shared, known, (inner, known, shared)
