"""What public frameworks send today, which is often more than the method needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from netsim.compress.base import Exchange, Message, Op, Peer, Scheme, Wrapper, schemes
from netsim.compress.skip_small import SkipSmall
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.compress.wire import Field

WORDS = 8, 16, 32, 64
SIGN_BITS = {"grace_tensorflow": 8, "grace_torch": 8, "deepspeed": 1, "pytorch": 8, "byteps": 1}
INDEX_BITS = {"grace_tensorflow": 32, "grace_torch": 64, "deepspeed": 64, "pytorch": 64, "byteps": 32}
BYTEPS_LEAST = 2**16 // 4
"""Elements in float32 below which BytePS compresses nothing."""
BYTEPS_WORD = 32


@schemes.register(
    "as_shipped",
    paper="Xu et al., ICDCS 2021 (GRACE, its code); Rasley et al., KDD 2020 (DeepSpeed); Jiang et al., OSDI 2020 "
    "(BytePS, its code); Li et al., VLDB 2020 (PyTorch 2.13, its communication hooks)",
)
@dataclass(frozen=True)
class AsShipped(Wrapper):
    """Send the inner scheme's message as a framework does: whole bytes instead of bits. Results are mostly the same.

    GRACE takes a byte a sign and a level, 16 bits for more than 256 levels, and indices of 32 bits in TensorFlow and 64
    in PyTorch; `terngrad` sends a digit by itself, `natural` 7 bits of exponent, outside which values are cut, and
    `powersgd` cuts kernels after their height in TensorFlow. DeepSpeed packs signs. PyTorch's hooks are `fp16`, `bf16`,
    `powersgd` at a compression of at least 2, and `int8` with a zero point, a float32, beside each scale. BytePS sends
    tensors below 64 KiB as they are, signs in words of 32 bits and always with a scale, pairs of 32-bit index and value
    also for `randomk`, and both ditherings (`qsgd`, with a norm for 4,096,000 bytes, and `natural_dithering`) in
    Elias's delta code. What a framework lacks is sent as its tensors would hold it. Goes around schemes as they are,
    inside or outside other wrappers.
    """

    costs_alike: ClassVar[tuple[str, ...]] = ("framework",)
    inner: Scheme
    framework: Literal["grace_tensorflow", "grace_torch", "deepspeed", "pytorch", "byteps"] = "grace_tensorflow"

    @property
    def _running(self) -> Scheme:
        """Return what the framework runs."""
        scheme = self.inner.shipped(self.framework)
        return SkipSmall(scheme, BYTEPS_LEAST) if self.framework == "byteps" else scheme

    @property
    def ops(self) -> frozenset[Op]:
        """Return the ops of what the framework runs."""
        return self._running.ops

    @property
    def unbiased(self) -> bool:
        """Return whether the inner scheme is unbiased."""
        return self._running.unbiased

    def init(self, shape: torch.Size, peer: Peer) -> Any:
        """Return the inner state."""
        return self._running.init(shape, peer)

    def exchange(self, grad: torch.Tensor, state: Any) -> Exchange:
        """Exchange as the inner scheme does, with wider messages."""
        running = self._running.exchange(grad, state)
        message = next(running)
        while True:
            reply = yield self._shipped(message)
            try:
                message = running.send(reply)
            except StopIteration as end:
                result: tuple[torch.Tensor, torch.Tensor, Any] = end.value
                return result

    def _shipped(self, message: Message) -> Message:
        scaled = any(part.is_floating_point() for part in message.parts)
        layout = [self._wide(field, scaled=scaled) for field in message.layout]
        weigh = message.weigh
        if weigh and message.op == "shard":  # of which the weights are sizes on the wire
            sizes = [field.nbits(part) for part, field in zip(message.parts, layout, strict=True)]
            shards = len(weigh())
            weigh = partial(_totals, sizes, shards)
        return Message.of(message.op, *zip(message.parts, layout, strict=True), weigh=weigh, support=message.support)

    def _wide(self, field: Field, *, scaled: bool) -> Field:
        """Return the field with elements of whole words; int64 parts are indices."""
        if field.dtype == torch.bool:
            tail = 0
            if self.framework == "byteps" and not field.open:  # whole words, and a scale where the scheme has none
                tail = -math.prod(field.shape) % BYTEPS_WORD + (0 if scaled else BYTEPS_WORD)
            return replace(field, width=SIGN_BITS[self.framework], tail=tail)
        if field.dtype == torch.int64:
            return replace(field, width=max(INDEX_BITS[self.framework], _word(field.width)))
        return replace(field, width=_word(field.width))


def _totals(sizes: Sequence[int], shards: int) -> list[int]:
    """Return the sums over the parts of each shard, of which every one has as many."""
    each = len(sizes) // max(shards, 1)
    return [sum(sizes[shard * each : (shard + 1) * each]) for shard in range(shards)]


def _word(width: int) -> int:
    return next(word for word in WORDS if word >= width)
