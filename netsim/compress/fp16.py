"""Half precision: every value rounded to 16 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.cpu import on_cpu
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Callable


class Rounded(OneShot):
    """Values rounded to nearest in a 16-bit type; what is beyond its largest number becomes that number.

    The sum over workers is kept in float32: the rounding of partial sums on the way is not part of the estimate.
    """

    op: ClassVar[Op] = "sum"
    dtype: ClassVar[Callable[[], torch.dtype]]

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the rounded values."""
        dtype = type(self).dtype()
        largest = torch.finfo(dtype).max
        if on_cpu(grad):
            half = grad.to(dtype)
            if not half.numel() or bool(torch.stack(torch.aminmax(half)).isfinite().all()):
                return Message.of(self.op, (half, 16))
        return Message.of(self.op, (grad.clamp(-largest, largest).to(dtype), 16))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the values in float32."""
        return parts[0].float().reshape(shape)


@schemes.register("fp16", paper="Micikevicius et al., ICLR 2018 (arXiv:1710.03740)")
@dataclass(frozen=True, kw_only=True)
class Fp16(Rounded):
    """IEEE half precision: 10-bit mantissa, largest number 65504. Wire: 16 d bits. Summable."""

    dtype: ClassVar[Callable[[], torch.dtype]] = staticmethod(lambda: torch.float16)
