"""Natural compression: powers of two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.cpu import array, compiled, empty, on_cpu
from netsim.compress.wire import symbols
from netsim.lazy import torch

MANTISSA_BITS, WHOLE_BITS = 23, 8
SHORT_ZERO, SHORT_EXPONENTS = 18, 128
"""Of GRACE's code: the exponent, as a float32 stores it, that it takes for zero, and how many it has."""
EXPONENTS = 255
"""Exponents of finite float32 numbers, that of zero and of numbers below 2^-126 included."""


@schemes.register("natural", paper="Horvath et al., MSML 2022 (arXiv:1905.10988)")
@dataclass(frozen=True, kw_only=True)
class Natural(OneShot):
    """Round each value at random to one of the two powers of two around it. Wire: 9 d bits. Unbiased, variance 1/8.

    What is sent is the sign and the exponent of the float32 number. Below 2^-126 values become that number or zero.
    With 7 `exponent_bits`, as GRACE sends, values from 2^18 on become 2^18 and those below 2^-108 zero.
    """

    exponent_bits: Literal[7, 8] = 8
    op: ClassVar[Op] = "gather"

    @property
    def unbiased(self) -> bool:
        """Return whether no value is cut."""
        return self.exponent_bits == WHOLE_BITS

    def shipped(self, framework: str) -> Natural:
        """Return the scheme with a byte an element, for GRACE."""
        return replace(self, exponent_bits=7) if framework.startswith("grace") else self

    @property
    def _range(self) -> tuple[int, int]:
        """Return the exponent that stands for zero, and how many there are."""
        return (0, EXPONENTS) if self.exponent_bits == WHOLE_BITS else (SHORT_ZERO, SHORT_EXPONENTS)

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the exponents, with the sign as their lowest bit."""
        zero, count = self._range
        bits = grad.flatten().contiguous().view(torch.int32)
        if on_cpu(grad):
            code = empty(bits.shape, torch.int16)
            compiled.round_powers(array(bits).view(np.uint32), key.own_seed(), zero, count, array(code))
            return Message.of(self.op, symbols(code, 2 * count))
        noise = torch.randint(
            2**MANTISSA_BITS, bits.shape, generator=key.own(grad.device), device=grad.device, dtype=torch.int32
        )
        # The mantissa is the probability of the upper power; a carry into the exponent is that power.
        exponent = (bits & 0x7FFFFFFF).add_(noise).bitwise_right_shift_(MANTISSA_BITS).sub_(zero).clamp_(0, count - 1)
        return Message.of(self.op, symbols(exponent.mul_(2).add_(bits < 0).short(), 2 * count))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the signed powers of two."""
        if parts[0].device.type == "cpu":
            values = empty(parts[0].shape, torch.float32)
            compiled.powers(array(parts[0]), self._range[0], array(values).view(np.uint32))
            return values.reshape(shape)
        code = parts[0].int()
        exponent = code >> 1
        exponent = torch.where(exponent > 0, exponent + self._range[0], 0)
        power = exponent.bitwise_left_shift_(MANTISSA_BITS).view(torch.float32)
        return torch.where(code & 1 == 1, -power, power).reshape(shape)
