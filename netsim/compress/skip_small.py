"""Small tensors go uncompressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge

from netsim.compress.base import Exchange, Message, Op, Peer, Scheme, Wrapper, schemes

if TYPE_CHECKING:
    import torch


@schemes.register("skip_small", paper="Alistarh et al., NeurIPS 2017 (arXiv:1610.02132), section 5")
@dataclass(frozen=True)
class SkipSmall(Wrapper):
    """Send tensors of fewer than `below` elements in float32, and leave all others to the inner scheme.

    Wire of a small tensor: 32 d bits, summable. The default is the paper's.
    """

    costs_alike: ClassVar[tuple[str, ...]] = ("below",)
    inner: Scheme
    below: Annotated[int, Ge(1)] = 10_000

    @property
    def ops(self) -> frozenset[Op]:
        """Return the inner scheme's ops and the dense sum."""
        return self.inner.ops | {"sum"}

    @property
    def unbiased(self) -> bool:
        """Return whether the inner scheme is unbiased."""
        return self.inner.unbiased

    def init(self, shape: torch.Size, peer: Peer) -> Any:
        """Return the inner state, or None for a small tensor."""
        return None if shape.numel() < self.below else self.inner.init(shape, peer)

    def exchange(self, grad: torch.Tensor, state: Any) -> Exchange:
        """Exchange the gradient itself, or as the inner scheme does."""
        if grad.numel() >= self.below:
            return (yield from self.inner.exchange(grad, state))
        reply = yield Message.of("sum", (grad, 32))
        return reply.once(lambda: reply.mean()[0]), grad, None
