"""Cast: the numbers of another scheme's messages in half precision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from netsim.compress.base import Exchange, Message, Parts, Peer, Scheme, schemes
from netsim.compress.recoding import Recoding
from netsim.lazy import torch


@schemes.register("cast", paper="Micikevicius et al., ICLR 2018 (arXiv:1710.03740), of what another scheme sends")
@dataclass(frozen=True)
class Cast(Recoding):
    """Send the float32 numbers of the inner scheme's message as fp16 or bf16: 16 bits each instead of 32.

    The inner scheme has to be one of a single message that all decode; error_feedback goes around cast, where it sees
    the rounding.
    """

    inner: Scheme
    dtype: Literal["fp16", "bf16"] = "fp16"

    def init(self, shape: torch.Size, peer: Peer) -> Any:
        """Return the inner state."""
        return self.inner.init(shape, peer)

    def exchange(self, grad: torch.Tensor, state: Any) -> Exchange:
        """Send the inner message with rounded numbers; what was contributed is what is decoded from them."""
        coder = self.coder
        message = self._cast(coder.encode(grad, state))
        own = coder.decode(_wide(message.parts), grad.shape, state)
        reply = yield message
        if coder.op == "sum":
            mean = reply.once(lambda: coder.decode(reply.mean(), grad.shape, state))
        else:
            mean = reply.decoded_mean(lambda parts: coder.decode(_wide(parts), grad.shape, state))
        return mean, own, state.next()

    def _cast(self, message: Message) -> Message:
        half = torch.float16 if self.dtype == "fp16" else torch.bfloat16
        most, coded = torch.finfo(half).max, []
        for part, field in zip(message.parts, message.layout, strict=True):
            if part.dtype == torch.float32:
                coded.append((part.clamp(-most, most).to(half), replace(field, dtype=half, width=16)))
            else:
                coded.append((part, field))
        return Message.of(message.op, *coded)


def _wide(parts: Parts) -> Parts:
    """Return the parts with half precision widened to float32."""
    return tuple(part.float() if part.is_floating_point() else part for part in parts)
