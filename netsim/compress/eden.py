"""EDEN: a randomly rotated tensor, quantized as the Gaussian that its values then resemble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt, Le

from netsim import codebooks
from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.levels import look_up, nearest
from netsim.compress.rotation import SEED_BITS, draw_seed, padded, rotate, rotate_back
from netsim.compress.scale import peak, tiny
from netsim.compress.wire import symbols
from netsim.errors import InputError
from netsim.lazy import torch


@schemes.register("eden", paper="Vargaftik et al., ICML 2022 (arXiv:2108.08842)")
@dataclass(frozen=True, kw_only=True)
class Eden(OneShot):
    """Rotate at random, round to the 2^bits Lloyd-Max points of a Gaussian, scale so that it is unbiased.

    The scale is |x|^2 / <c, Rx>, c being the points. With less than one bit a share of as many points is sent, one bit
    each: m of the d, in a ring from a random one on, each as likely as any other, so that d / m times the scale keeps
    the mean. Unbiased for a uniform rotation; the Hadamard rotation's bias vanishes as the tensor grows. Wire: `bits`
    for each of d values, d rounded up to a power of two, 32 of scale, 32 of seed.
    """

    bits: Annotated[float, Gt(0), Le(8)] = 2.0
    op: ClassVar[Op] = "gather"
    unbiased: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raise InputError where there is more than one bit, but no whole number of them."""
        if self.bits > 1 and self.bits != int(self.bits):
            raise InputError(f"eden cannot send {self.bits:g} bits an element", "choose 1, 2, ..., 8 or less than 1")

    @property
    def _levels(self) -> int:
        return 1 << max(1, int(self.bits))

    def _sent(self, numel: int) -> int:
        size = padded(numel)
        return max(1, round(size * min(self.bits, 1.0)))

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the scale, the rotation's seed and the rotated values' points."""
        flat, seed = grad.flatten(), draw_seed(key)
        largest = peak(flat)
        unit = flat / largest.clamp(min=tiny(flat))
        energy = unit.square().sum()
        rotated = rotate(unit, seed)
        size, count = rotated.numel(), self._sent(flat.numel())
        deviation = (energy / size).sqrt().clamp(min=tiny(flat))
        code = nearest(rotated, deviation, codebooks.lloyd_max(self._levels))
        # Over all points: of a few the product with Rx may be zero, however long x is.
        ratio = size / count * energy / (look_up(code, self._points(flat)) @ rotated).clamp(min=tiny(flat))
        if count < size:
            code = code.roll(-_first(seed, size))[:count]
        number = torch.tensor([seed], device=flat.device)
        scale = (largest * ratio).clamp(max=torch.finfo(flat.dtype).max).reshape(1)
        return Message.of(self.op, (scale, 32), (number, SEED_BITS), symbols(code, self._levels))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the points rotated back, times the scale."""
        scale, seed, code = parts
        rotated = scale.new_zeros(padded(shape.numel()))
        rotated[: len(code)] = look_up(code, self._points(scale))
        if len(code) < len(rotated):
            rotated = rotated.roll(_first(int(seed), len(rotated)))
        return rotate_back(rotated, int(seed), shape.numel()).mul(scale).reshape(shape)

    def _points(self, like: torch.Tensor) -> torch.Tensor:
        return torch.tensor(codebooks.lloyd_max(self._levels)).to(like)


def _first(seed: int, size: int) -> int:
    """Return the rotated value from which on values are sent."""
    return int(np.random.default_rng((seed, 1)).integers(size))
