"""Half precision: every value rounded to 16 bits."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.cpu import array, compiled, empty, on_cpu
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class Rounded(OneShot):
    """Values rounded to nearest in a 16-bit type; what is beyond its largest number becomes that number.

    The sum over workers is kept in float32: the rounding of partial sums on the way is not part of the estimate.
    """

    op: ClassVar[Op] = "sum"
    dtype: ClassVar[Callable[[], torch.dtype]]

    @staticmethod
    @abstractmethod
    def round(values: NDArray[np.float32], out: NDArray[np.uint16]) -> None:
        """Set the bits of the rounded values."""

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the rounded values."""
        dtype = type(self).dtype()
        if on_cpu(grad):
            half = empty(grad.shape, dtype)
            self.round(array(grad), array(half.view(torch.int16)).view(np.uint16))
            return Message.of(self.op, (half, 16))
        largest = torch.finfo(dtype).max
        return Message.of(self.op, (grad.clamp(-largest, largest).to(dtype), 16))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the values in float32."""
        if parts[0].device.type != "cpu":
            return parts[0].float().reshape(shape)
        return empty(shape, torch.float32).copy_(parts[0].reshape(shape))


@schemes.register("fp16", paper="Micikevicius et al., ICLR 2018 (arXiv:1710.03740)")
@dataclass(frozen=True, kw_only=True)
class Fp16(Rounded):
    """IEEE half precision: 10-bit mantissa, largest number 65504. Wire: 16 d bits. Summable."""

    dtype: ClassVar[Callable[[], torch.dtype]] = staticmethod(lambda: torch.float16)

    @staticmethod
    def round(values: NDArray[np.float32], out: NDArray[np.uint16]) -> None:
        """Set the bits of the rounded values."""
        compiled.halves(values, values.view(np.uint32), out)
