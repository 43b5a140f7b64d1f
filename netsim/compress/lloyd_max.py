"""Lloyd-Max: the scalar quantizer with the least error on a Gaussian source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from netsim import codebooks
from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.codes import entropy_decode, entropy_encode
from netsim.compress.levels import look_up, nearest
from netsim.compress.scale import root_mean_square
from netsim.compress.wire import stream, symbols
from netsim.lazy import torch


@schemes.register("lloyd_max", paper="Max, IRE Trans. Inf. Theory 1960; Lloyd, IEEE Trans. Inf. Theory 1982")
@dataclass(frozen=True, kw_only=True)
class LloydMax(OneShot):
    """Round each value to the nearest of `levels` points, best for a Gaussian of the tensor's root mean square. Biased.

    Wire: a float32 scale and ceil(log2 levels) bits an element; with `code: entropy`, the symbols at their empirical
    entropy, 16 bits for the frequency of each level, and the length.
    """

    levels: Annotated[int, Ge(2), Le(256)] = 4
    code: Literal["fixed", "entropy"] = "fixed"
    op: ClassVar[Op] = "gather"

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the scale and each value's level."""
        flat = grad.flatten()
        scale = root_mean_square(flat)
        level = nearest(flat, scale, codebooks.lloyd_max(self.levels))
        if self.code == "entropy":
            return Message.of(self.op, (scale.reshape(1), 32), stream(entropy_encode(level, self.levels), 32))
        return Message.of(self.op, (scale.reshape(1), 32), symbols(level, self.levels))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the points times the scale."""
        scale, level = parts
        if self.code == "entropy":
            level = entropy_decode(level, self.levels, shape.numel())
        points = torch.tensor(codebooks.lloyd_max(self.levels), dtype=scale.dtype, device=scale.device)
        return look_up(level, points * scale).reshape(shape)
