"""Natural compression: powers of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.cpu import array, compiled, on_cpu
from netsim.compress.wire import symbols
from netsim.lazy import torch

MANTISSA_BITS = 23
EXPONENTS = 255
"""Exponents of finite float32 numbers, that of zero and of numbers below 2^-126 included."""


@schemes.register("natural", paper="Horvath et al., MSML 2022 (arXiv:1905.10988)")
@dataclass(frozen=True, kw_only=True)
class Natural(OneShot):
    """Round each value at random to one of the two powers of two around it. Wire: 9 d bits. Unbiased, variance 1/8.

    What is sent is the sign and the exponent of the float32 number. Below 2^-126 values become that number or zero.
    """

    op: ClassVar[Op] = "gather"
    unbiased: ClassVar[bool] = True

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the exponents, with the sign as their lowest bit."""
        bits = grad.flatten().contiguous().view(torch.int32)
        if on_cpu(grad):
            code = torch.empty(bits.shape, dtype=torch.int16)
            compiled.round_powers(array(bits).view(np.uint32), key.own_seed(), array(code))
            return Message.of(self.op, symbols(code, 2 * EXPONENTS))
        noise = torch.randint(
            2**MANTISSA_BITS, bits.shape, generator=key.own(grad.device), device=grad.device, dtype=torch.int32
        )
        # The mantissa is the probability of the upper power; a carry into the exponent is that power.
        exponent = (bits & 0x7FFFFFFF).add_(noise).bitwise_right_shift_(MANTISSA_BITS).clamp_(max=EXPONENTS - 1)
        return Message.of(self.op, symbols(exponent.mul_(2).add_(bits < 0).short(), 2 * EXPONENTS))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the signed powers of two."""
        if parts[0].device.type == "cpu":
            values = torch.empty(parts[0].shape)
            compiled.powers(array(parts[0]), array(values).view(np.uint32))
            return values.reshape(shape)
        code = parts[0].int()
        power = (code >> 1).bitwise_left_shift_(MANTISSA_BITS).view(torch.float32)
        return torch.where(code & 1 == 1, -power, power).reshape(shape)
