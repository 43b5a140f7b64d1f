"""No compression: the gradient as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes

if TYPE_CHECKING:
    import torch


@schemes.register("none", paper="Li et al., VLDB 2020 (PyTorch DistributedDataParallel)")
@dataclass(frozen=True, kw_only=True)
class Uncompressed(OneShot):
    """Gradients as they are. Wire: 32 d bits. Summable, exact."""

    op: ClassVar[Op] = "sum"
    unbiased: ClassVar[bool] = True

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the gradient itself."""
        return Message.of("sum", (grad, 32))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the tensor itself."""
        return parts[0].reshape(shape)
