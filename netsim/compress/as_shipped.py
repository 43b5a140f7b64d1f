"""What public frameworks send today, which is often more than the method needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from netsim.compress.base import Exchange, Message, Peer, Scheme, Wrapper, schemes
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.compress.wire import Field

WORDS = 8, 16, 32, 64
SIGN_BITS = {"grace_tensorflow": 8, "grace_torch": 8, "deepspeed": 1}
INDEX_BITS = {"grace_tensorflow": 32, "grace_torch": 64, "deepspeed": 64}


@schemes.register("as_shipped", paper="Xu et al., ICDCS 2021 (GRACE, its code); Rasley et al., KDD 2020 (DeepSpeed)")
@dataclass(frozen=True)
class AsShipped(Wrapper):
    """Send the inner scheme's message as a framework does: whole bytes instead of bits. Results are the same.

    GRACE takes a byte a sign and a level, 16 bits for more than 256 levels, and indices of 32 bits in TensorFlow and 64
    in PyTorch; DeepSpeed packs signs. `terngrad` sends a digit by itself, `natural` 7 bits of exponent, outside which
    values are cut; `powersgd` cuts kernels after their height in TensorFlow. Goes around schemes as they are, inside or
    outside other wrappers.
    """

    costs_alike: ClassVar[tuple[str, ...]] = ("framework",)
    inner: Scheme
    framework: Literal["grace_tensorflow", "grace_torch", "deepspeed"] = "grace_tensorflow"

    @property
    def unbiased(self) -> bool:
        """Return whether the inner scheme is unbiased."""
        return self.inner.shipped(self.framework).unbiased

    def init(self, shape: torch.Size, peer: Peer) -> Any:
        """Return the inner state."""
        return self.inner.shipped(self.framework).init(shape, peer)

    def exchange(self, grad: torch.Tensor, state: Any) -> Exchange:
        """Exchange as the inner scheme does, with wider messages."""
        running = self.inner.shipped(self.framework).exchange(grad, state)
        message = next(running)
        while True:
            reply = yield self._shipped(message)
            try:
                message = running.send(reply)
            except StopIteration as end:
                result: tuple[torch.Tensor, torch.Tensor, Any] = end.value
                return result

    def _shipped(self, message: Message) -> Message:
        layout = [self._wide(field) for field in message.layout]
        weigh = message.weigh
        if weigh and message.op == "shard":  # of which the weights are sizes on the wire
            sizes = [field.nbits(part) for part, field in zip(message.parts, layout, strict=True)]
            shards = len(weigh())
            weigh = partial(_totals, sizes, shards)
        return Message.of(message.op, *zip(message.parts, layout, strict=True), weigh=weigh, support=message.support)

    def _wide(self, field: Field) -> Field:
        """Return the field with elements of whole words; int64 parts are indices."""
        if field.dtype == torch.bool:
            return replace(field, width=SIGN_BITS[self.framework])
        if field.dtype == torch.int64:
            return replace(field, width=max(INDEX_BITS[self.framework], _word(field.width)))
        return replace(field, width=_word(field.width))


def _totals(sizes: Sequence[int], shards: int) -> list[int]:
    """Return the sums over the parts of each shard, of which every one has as many."""
    each = len(sizes) // max(shards, 1)
    return [sum(sizes[shard * each : (shard + 1) * each]) for shard in range(shards)]


def _word(width: int) -> int:
    return next(word for word in WORDS if word >= width)
