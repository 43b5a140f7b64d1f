"""1-bit SGD: signs with two values a matrix column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.lazy import torch


@schemes.register("onebit_columns", paper="Seide et al., Interspeech 2014")
@dataclass(frozen=True, kw_only=True)
class OneBitColumns(OneShot):
    """Each column's values become the mean of its negative or of its other values. Biased: wrap in error_feedback.

    Wire: d + 64 bits a column, that is 1 + 64 / rows bits an element. The rows of a tensor are its first dimension, the
    rest are columns; a vector is one column.
    """

    op: ClassVar[Op] = "gather"

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the two means [2, columns] and the signs."""
        matrix = grad.reshape(_rows(grad.shape), -1) if grad.numel() else grad.reshape(0, 0)
        plus = matrix >= 0
        count = plus.sum(dim=0)
        # Dividing before adding keeps the sums of finite values finite.
        above = (matrix.clamp(min=0) / count.clamp(min=1)).sum(dim=0)
        below = (matrix.clamp(max=0) / (len(matrix) - count).clamp(min=1)).sum(dim=0)
        return Message.of(self.op, (torch.stack([below, above]), 32), (plus, 1))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return each sign's mean in its column."""
        means, plus = parts
        return torch.where(plus, means[1], means[0]).reshape(shape)


def _rows(shape: torch.Size) -> int:
    return shape[0] if len(shape) > 1 else shape.numel()
