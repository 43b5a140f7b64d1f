"""Error feedback: what was not sent is added to the next gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netsim.compress.base import Exchange, Peer, Scheme, nothing, schemes
from netsim.compress.feedback import Feedback

if TYPE_CHECKING:
    import torch

    from netsim.compress.base import State


@schemes.register(
    "error_feedback", paper="Seide et al., Interspeech 2014; Karimireddy et al., ICML 2019 (arXiv:1901.09847)"
)
@dataclass(frozen=True)
class ErrorFeedback(Feedback):
    """Add what the last steps left unsent before compressing, so that nothing is lost, only delayed.

    State: (state of the inner scheme, residual). After each step, own contribution + residual = gradient + residual
    before. Around `two_way` the residual is the worker error of 1-bit Adam.
    """

    inner: Scheme

    def init(self, shape: torch.Size, peer: Peer) -> tuple[State, torch.Tensor]:
        """Return the inner state and a residual of zeros."""
        return self.inner.init(shape, peer), nothing(shape)

    def exchange(self, grad: torch.Tensor, state: tuple[Any, torch.Tensor]) -> Exchange:
        """Exchange gradient + residual; keep what the inner scheme did not contribute."""
        inner, residual = state
        accumulated = grad + residual.to(grad.device)
        mean, own, inner = yield from self.inner.exchange(accumulated, inner)
        return mean, own, (inner, accumulated - own)
