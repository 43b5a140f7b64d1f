"""8-bit integers with one scale a bucket."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Ge

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.levels import level_values, round_levels
from netsim.compress.scale import bucket_size
from netsim.compress.wire import symbols
from netsim.lazy import torch

LARGEST = 127
HIGHEST = 255
LEAST_SCALE = 2.0**-23
"""Of what PyTorch's observers find."""


@schemes.register(
    "int8", paper="Dettmers, ICLR 2016 (arXiv:1511.04561); in blocks, Wang et al. 2023 (arXiv:2306.10209)"
)
@dataclass(frozen=True, kw_only=True)
class Int8(OneShot):
    """Round each value to the nearest of 255 multiples of its bucket's largest magnitude / 127.

    Wire: 8 bits an element and a float32 scale a bucket. The rounding is not random, so it is biased, by at most half a
    multiple. With `zero_point` it is what PyTorch's quantization hooks send: 256 multiples of the range of values and
    zero, over 255 and at least 2^-23, and a second float32, the multiple that stands for zero; where a tensor has
    several buckets, the last one is filled up, and is a whole one more where none is missing.
    """

    bucket: Annotated[int, Ge(1)] = 2048
    zero_point: bool = False
    op: ClassVar[Op] = "gather"

    def shipped(self, framework: str) -> Int8:
        """Return the scheme with the zero points of PyTorch's hooks."""
        return replace(self, zero_point=True) if framework == "pytorch" else self

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the buckets' largest magnitudes and each value's multiple, counted from -127."""
        if self.zero_point:
            return self._with_zero_points(grad.flatten())
        top, code = round_levels(grad.flatten(), self.bucket, LARGEST)
        return Message.of(self.op, (top, 32), symbols(code, 2 * LARGEST + 1))

    def _with_zero_points(self, flat: torch.Tensor) -> Message:
        """Return scales [c], zero points [c] and multiples [c size]."""
        size, limit = bucket_size(flat.numel(), self.bucket), torch.finfo(flat.dtype).max
        more = size - flat.numel() % size if self.bucket < flat.numel() else 0
        rows = torch.nn.functional.pad(flat, (0, more)).reshape(-1, size)
        if not len(rows):
            return Message.of(self.op, (flat, 32), (flat, 32), symbols(flat.byte(), HIGHEST + 1))
        low, high = rows.aminmax(dim=1)
        low, high = low.clamp(max=0), high.clamp(min=0)
        scale = ((high - low) / HIGHEST).clamp(LEAST_SCALE, limit)
        zero = (-(low / scale).round()).clamp(0, HIGHEST)
        code = (rows / scale[:, None]).round().add_(zero[:, None]).clamp_(0, HIGHEST).byte()
        return Message.of(self.op, (scale, 32), (zero, 32), symbols(code.flatten(), HIGHEST + 1))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return each multiple of its bucket's scale."""
        if self.zero_point:
            scale, zero, code = parts
            rows = code.reshape(len(scale), -1 if len(scale) else 0).float()
            values = (rows - zero[:, None]).mul_(scale[:, None])
            return values.flatten()[: shape.numel()].reshape(shape)
        top, code = parts
        return level_values(code, top, self.bucket, LARGEST).reshape(shape)
