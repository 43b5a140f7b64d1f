"""QSGD: stochastic rounding to a few levels of a bucket's norm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.codes import delta_decode, delta_encode, gamma_decode, gamma_encode
from netsim.compress.levels import level_values, round_levels
from netsim.compress.wire import WireError, stream, symbols
from netsim.lazy import torch

PARTITION = 1_024_000
"""Elements in float32 of a piece of 4,096,000 bytes, which is what BytePS compresses by itself."""


@schemes.register("qsgd", paper="Alistarh et al., NeurIPS 2017 (arXiv:1610.02132)")
@dataclass(frozen=True, kw_only=True)
class QSGD(OneShot):
    """Round each value at random to one of 2 s + 1 levels of its bucket's norm. Unbiased.

    Wire: a float32 norm a bucket and ceil(log2(2 s + 1)) bits an element, the paper's practical format; with
    `code: elias`, Elias's gamma code of level and sign, which pays for `norm: l2`. With `code: delta`, BytePS's, levels
    that are not 0 have a sign and Elias's delta codes of level and gap, in words of 32 bits. With `norm: l2` the
    variance is at most min(d / s^2, sqrt(d) / s) of the bucket's energy, d being its size; `max` has lower variance in
    practice and is the default, with 4 bits and buckets of 512, as in the paper's runs.
    """

    levels: Annotated[int, Ge(1), Le(2**15)] = 7
    bucket: Annotated[int, Ge(1)] = 512
    norm: Literal["max", "l2"] = "max"
    code: Literal["fixed", "elias", "delta"] = "fixed"
    op: ClassVar[Op] = "gather"
    unbiased: ClassVar[bool] = True

    def shipped(self, framework: str) -> QSGD:
        """Return the scheme as BytePS's linear dithering: a norm a partition, and its code."""
        return replace(self, bucket=PARTITION, code="delta") if framework == "byteps" else self

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the buckets' norms and each element's level, counted from -s."""
        flat = grad.flatten()
        norms, code = round_levels(flat, self.bucket, self.levels, squared=self.norm == "l2", key=key)
        if self.code == "elias":
            return Message.of(self.op, (norms, 32), stream(gamma_encode(self._natural(code.long() - self.levels)), 1))
        if self.code == "delta":
            level = code.long() - self.levels
            return Message.of(self.op, (norms, 32), stream(delta_encode(level.abs(), level < 0), 32))
        return Message.of(self.op, (norms, 32), symbols(code, 2 * self.levels + 1))

    @staticmethod
    def _natural(level: torch.Tensor) -> torch.Tensor:
        """Return 0, 1, -1, 2, -2, ... counted from 1: the sign is the lowest bit."""
        return torch.where(level > 0, 2 * level, 1 - 2 * level)

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return each level's share of its bucket's norm."""
        norms, code = parts
        if self.code == "elias":
            natural = gamma_decode(code, shape.numel())
            code = torch.where(natural % 2 == 0, natural // 2, -(natural // 2)) + self.levels
        elif self.code == "delta":
            size, minus = delta_decode(code, shape.numel())
            if len(size) and not 0 <= int(size.min()) <= int(size.max()) <= self.levels:
                raise WireError(f"a delta-coded part holds a level beyond {self.levels}")
            code = torch.where(minus, -size, size) + self.levels
        return level_values(code, norms, self.bucket, self.levels).reshape(shape)
