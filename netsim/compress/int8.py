"""8-bit integers with one scale a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.levels import level_values, round_levels
from netsim.compress.wire import symbols

if TYPE_CHECKING:
    import torch

LARGEST = 127


@schemes.register(
    "int8", paper="Dettmers, ICLR 2016 (arXiv:1511.04561); in blocks, Wang et al. 2023 (arXiv:2306.10209)"
)
@dataclass(frozen=True, kw_only=True)
class Int8(OneShot):
    """Round each value to the nearest of 255 multiples of its bucket's largest magnitude / 127.

    Wire: 8 bits an element and a float32 scale a bucket. The rounding is not random, so it is biased, by at most half a
    multiple.
    """

    bucket: Annotated[int, Ge(1)] = 2048
    op: ClassVar[Op] = "gather"

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the buckets' largest magnitudes and each value's multiple, counted from -127."""
        top, code = round_levels(grad.flatten(), self.bucket, LARGEST)
        return Message.of(self.op, (top, 32), symbols(code, 2 * LARGEST + 1))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return each multiple of its bucket's scale."""
        top, code = parts
        return level_values(code, top, self.bucket, LARGEST).reshape(shape)
