"""Local clipping: each worker bounds its own gradient's norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Gt

from netsim.compress.base import Exchange, Peer, Scheme, Wrapper, schemes
from netsim.lazy import torch

if TYPE_CHECKING:
    from netsim.compress.base import State


@schemes.register("local_clipping", paper="Lin et al., ICLR 2018 (arXiv:1712.01887), section 3.2")
@dataclass(frozen=True)
class LocalClipping(Wrapper):
    """Scale a worker's gradient down to norm / sqrt(workers), tensor by tensor, before anything else is done to it.

    The sum of n independent gradients is sqrt(n) times as long as one, so this bounds the sum's norm by `norm`. State:
    (largest norm, state of the inner scheme).
    """

    costs_alike: ClassVar[tuple[str, ...]] = ("norm",)
    inner: Scheme
    norm: Annotated[float, Gt(0)] = 1.0

    def init(self, shape: torch.Size, peer: Peer) -> tuple[float, State]:
        """Return this worker's largest norm and the inner state."""
        return self.norm * peer.workers**-0.5, self.inner.init(shape, peer)

    def exchange(self, grad: torch.Tensor, state: tuple[float, Any]) -> Exchange:
        """Exchange the clipped gradient."""
        most, inner = state
        norm = torch.linalg.vector_norm(grad.double()).clamp(min=most)
        mean, own, inner = yield from self.inner.exchange((grad * (most / norm)).float(), inner)
        return mean, own, (most, inner)
