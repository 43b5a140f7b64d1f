"""Natural dithering: stochastic rounding to levels that are powers of two of the norm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.codes import delta_decode, delta_encode
from netsim.compress.cpu import array, compiled, empty, on_cpu
from netsim.compress.levels import look_up
from netsim.compress.scale import peak, root_mean_square, tiny
from netsim.compress.wire import WireError, stream, symbols
from netsim.lazy import torch

NORM_BITS = 31
"""Of a float32 without its sign."""


@schemes.register("natural_dithering", paper="Horvath et al., MSML 2022 (arXiv:1905.10988)")
@dataclass(frozen=True, kw_only=True)
class NaturalDithering(OneShot):
    """Round each value at random to 0 or a level norm, norm/2, ..., norm 2^(1-s). Unbiased.

    Wire: 31 bits of the norm and ceil(log2(2 s + 1)) an element, which is the paper's 2 + log2 s for s a power of two.
    With `code: delta`, BytePS's, levels that are not 0 have a sign and Elias's delta codes of 2^(level - 1) and of
    the gap before it, in words of 32 bits. With `norm: l2` the variance is at most
    1/8 + sqrt(d) 2^(1-s) min(1, sqrt(d) 2^(1-s)) of the energy.
    """

    levels: Annotated[int, Ge(1), Le(64)] = 8
    norm: Literal["l2", "max"] = "l2"
    code: Literal["fixed", "delta"] = "fixed"
    op: ClassVar[Op] = "gather"
    unbiased: ClassVar[bool] = True

    def shipped(self, framework: str) -> NaturalDithering:
        """Return the scheme with the code of BytePS."""
        return replace(self, code="delta") if framework == "byteps" else self

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the norm and each element's level, counted from 0 for -norm."""
        flat = grad.flatten()
        norm = peak(flat) if self.norm == "max" else root_mean_square(flat) * flat.numel() ** 0.5
        norm = norm.clamp(max=torch.finfo(flat.dtype).max)
        if on_cpu(flat):
            code = empty(flat.shape, torch.uint8)
            size = max(float(norm), tiny(flat))
            compiled.dither(array(flat), size, self.levels, key.own_seed(), array(code))
            return self._message(norm, code)
        unit = (flat.abs() / norm.clamp(min=tiny(flat))).clamp_(max=1)
        mantissa, exponent = torch.frexp(unit)
        lower = (exponent - 1 + self.levels).clamp_(min=0).mul_(unit > 0)  # the exponent of zero is that of 1/2
        odds = torch.where(lower > 0, 2 * mantissa - 1, unit * 2.0 ** (self.levels - 1))
        up = torch.rand(flat.shape, generator=key.own(flat.device), device=flat.device) < odds
        level = (lower + up).clamp_(max=self.levels)
        return self._message(norm, torch.where(flat < 0, -level, level).add_(self.levels).byte())

    def _message(self, norm: torch.Tensor, code: torch.Tensor) -> Message:
        coded = symbols(code, 2 * self.levels + 1)
        if self.code == "delta":
            level = code.long() - self.levels
            coded = stream(delta_encode((level != 0) * (1 << (level.abs() - 1).clamp(min=0)), level < 0), 32)
        return Message.of(self.op, (norm.reshape(1), NORM_BITS), coded)

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the signed levels times the norm."""
        norm, code = parts
        if self.code == "delta":
            size, minus = delta_decode(code, shape.numel())
            step = torch.frexp(size.double()).exponent  # of 2^(step - 1); 2^63 is negative, of the same exponent
            if bool(((size & (size - 1)) != 0).any() | (step > self.levels).any()):
                raise WireError(f"a delta-coded part holds no level of {self.levels}")
            code = torch.where(minus, -step, step) + self.levels
        level = torch.arange(-self.levels, self.levels + 1, dtype=norm.dtype, device=norm.device)
        table = level.sign() * torch.exp2(level.abs() - self.levels)
        return look_up(code, table * norm).reshape(shape)
