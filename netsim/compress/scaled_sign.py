"""Signs with one scale a tensor: the mean magnitude (scaled sign) or the root mean square (1-bit)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.cpu import array, compiled, empty, on_cpu
from netsim.compress.scale import mean_magnitude, root_mean_square
from netsim.lazy import torch


class Signs(OneShot):
    """One bit an element, the sign of zero being plus, and one float32 scale a tensor."""

    op: ClassVar[Op] = "gather"
    squared: ClassVar[bool]
    """Whether the scale is the root mean square instead of the mean magnitude."""

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the scale and the signs."""
        flat = grad.flatten()
        if on_cpu(flat):
            plus = empty(flat.shape, torch.bool)
            total, squares = compiled.signs(array(flat), array(plus))
            count = max(flat.numel(), 1)
            scale = flat.new_tensor([(squares / count) ** 0.5 if self.squared else total / count])
            return Message.of(self.op, (scale, 32), (plus, 1))
        scale = root_mean_square(flat) if self.squared else mean_magnitude(flat)
        return Message.of(self.op, (scale.reshape(1), 32), (flat >= 0, 1))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return plus or minus the scale."""
        scale, signs = parts
        return signed(signs, scale).reshape(shape)


def signed(plus: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return plus or minus the scale [1], a float32 for each sign."""
    if not on_cpu(scale):
        return torch.where(plus, scale, -scale)
    out = empty(plus.shape, torch.float32)
    compiled.choose(array(plus), float(scale), -float(scale), array(out))
    return out


@schemes.register("scaled_sign", paper="Karimireddy et al., ICML 2019 (arXiv:1901.09847)")
@dataclass(frozen=True, kw_only=True)
class ScaledSign(Signs):
    """Sign times the mean magnitude, the best 1-bit scale. Wire: d + 32 bits. Biased: wrap in error_feedback.

    On a Gaussian source the distortion is 1 - 2/pi of the variance.
    """

    squared: ClassVar[bool] = False
