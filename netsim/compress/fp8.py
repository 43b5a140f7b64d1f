"""8-bit floating point with one scale a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.scale import peak, tiny
from netsim.lazy import torch


@schemes.register("fp8", paper="Micikevicius et al. 2022 (arXiv:2209.05433)")
@dataclass(frozen=True, kw_only=True)
class Fp8(OneShot):
    """Values over a scale, rounded to 8-bit floats; the largest becomes the largest number. Wire: 8 d + 32 bits.

    `e4m3` has 3 bits of mantissa and reaches 448, `e5m2` has 2 and reaches 57344. Scales differ, so messages cannot be
    summed in flight.
    """

    format: Literal["e4m3", "e5m2"] = "e4m3"
    op: ClassVar[Op] = "gather"

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float8_e4m3fn if self.format == "e4m3" else torch.float8_e5m2

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the scale and the rounded values."""
        flat, largest = grad.flatten(), torch.finfo(self._dtype).max
        top = peak(flat).clamp(min=tiny(flat))
        return Message.of(self.op, (top.reshape(1), 32), ((flat / top).mul_(largest).to(self._dtype), 8))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the values times the scale."""
        top, values = parts
        return values.float().div_(torch.finfo(self._dtype).max).mul_(top).reshape(shape)
