"""DRIVE: the signs of a randomly rotated tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.rotation import SEED_BITS, draw_seed, rotate, rotate_back
from netsim.compress.scale import peak, tiny
from netsim.lazy import torch


@schemes.register("drive", paper="Vargaftik et al., NeurIPS 2021 (arXiv:2105.08339)")
@dataclass(frozen=True, kw_only=True)
class Drive(OneShot):
    """Send the signs of a random rotation Rx and one scale. Unbiased, or with the least error.

    `scale: unbiased` is |x|_2^2 / |Rx|_1, unbiased for a uniform rotation; the Hadamard rotation's bias vanishes as the
    tensor grows. `least_error` is |Rx|_1 / d. Wire: d bits, d rounded up to a power of two, 32 of scale, 32 of seed.
    """

    scale: Literal["unbiased", "least_error"] = "unbiased"
    op: ClassVar[Op] = "gather"

    @property
    def unbiased(self) -> bool:
        """Return whether the scale is the unbiased one."""
        return self.scale == "unbiased"

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the scale, the rotation's seed and the signs."""
        flat, seed = grad.flatten(), draw_seed(key)
        largest = peak(flat)
        unit = flat / largest.clamp(min=tiny(flat))
        rotated = rotate(unit, seed)
        total = rotated.abs().sum()
        ratio = unit.square().sum() / total.clamp(min=tiny(flat)) if self.unbiased else total / rotated.numel()
        number = torch.tensor([seed], device=flat.device)
        return Message.of(self.op, ((largest * ratio).reshape(1), 32), (number, SEED_BITS), (rotated >= 0, 1))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the signs rotated back, times the scale."""
        scale, seed, signs = parts
        return rotate_back(signs.float().mul_(2).sub_(1), int(seed), shape.numel()).mul(scale).reshape(shape)
