"""Warm-up: dense gradients for the first steps, compressed ones after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge

from netsim.compress.base import Exchange, Message, Op, Peer, Scheme, Wrapper, schemes

if TYPE_CHECKING:
    from typing import Self

    import torch

    from netsim.compress.base import State


@schemes.register("warm_up", paper="Tang et al., ICML 2021 (arXiv:2102.02888)")
@dataclass(frozen=True)
class WarmUp(Wrapper):
    """Send the first `steps` gradients in float32, then leave every step to the inner scheme.

    Wire of a warm-up step: 32 d bits, summable. State: (steps taken, state of the inner scheme).
    """

    costs_alike: ClassVar[tuple[str, ...]] = ("steps",)
    inner: Scheme
    steps: Annotated[int, Ge(1)]

    @property
    def ops(self) -> frozenset[Op]:
        """Return the inner scheme's ops and the dense sum."""
        return self.inner.ops | {"sum"}

    @property
    def unbiased(self) -> bool:
        """Return whether the inner scheme is unbiased."""
        return self.inner.unbiased

    @classmethod
    def example(cls) -> Self:
        """Return one step of warm-up around `none`."""
        return cls(schemes.get("none").example(), steps=1)

    def chain_at(self, step: int) -> list[Scheme]:
        """Return nothing while it lasts: float32 gradients need no coding."""
        return super().chain_at(step) if step >= self.steps else []

    def init(self, shape: torch.Size, peer: Peer) -> tuple[int, State]:
        """Return no steps taken and the inner state."""
        return 0, self.inner.init(shape, peer)

    def exchange(self, grad: torch.Tensor, state: tuple[int, Any]) -> Exchange:
        """Exchange the gradient itself, or as the inner scheme does once the warm-up is over."""
        taken, inner = state
        if taken >= self.steps:
            mean, own, inner = yield from self.inner.exchange(grad, inner)
            return mean, own, (taken, inner)
        reply = yield Message.of("sum", (grad, 32))
        return reply.once(lambda: reply.mean()[0]), grad, (taken + 1, inner)
