"""Vector quantization: a few values at once become the nearest codeword of a trained codebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from netsim import codebooks
from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.scale import root_mean_square, tiny
from netsim.compress.wire import symbols
from netsim.errors import InputError
from netsim.lazy import torch

CHUNK = 2**22
"""Distances that are held at once."""


@schemes.register(
    "vector_quantizer", paper="Linde, Buzo, Gray, IEEE Trans. Commun. 1980; Adikari 2021 (arXiv:2108.09899)"
)
@dataclass(frozen=True, kw_only=True)
class VectorQuantizer(OneShot):
    """Send the nearest of `codewords` for every `dimension` values, over the tensor's root mean square. Biased.

    Wire: a float32 scale and log2(codewords) bits for every vector. The codebook is trained on Gaussian vectors by LBG
    and known to all. A tensor is a product of such vectors: consecutive values, the last ones filled with zeros.
    """

    dimension: Annotated[int, Ge(1), Le(64)] = 4
    codewords: Annotated[int, Ge(2), Le(4096)] = 16
    op: ClassVar[Op] = "gather"

    def __post_init__(self) -> None:
        """Raise InputError where codewords are no power of two."""
        if self.codewords & (self.codewords - 1):
            raise InputError(f"codewords must be a power of two, not {self.codewords}", "choose 2, 4, 8, ..., 4096")

    def _book(self, like: torch.Tensor) -> torch.Tensor:
        return torch.tensor(codebooks.linde_buzo_gray(self.dimension, self.codewords)).to(like)

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the scale and each vector's codeword."""
        flat = grad.flatten()
        scale, book = root_mean_square(flat), self._book(flat)
        unit = flat / scale.clamp(min=tiny(flat))
        vectors = torch.nn.functional.pad(unit, (0, -flat.numel() % self.dimension)).reshape(-1, self.dimension)
        half = book.square().sum(dim=1) / 2
        index = [
            (one @ book.T).sub_(half).argmax(dim=1) for one in torch.split(vectors, max(1, CHUNK // self.codewords))
        ]
        code = torch.cat(index or [flat.new_zeros(0, dtype=torch.int64)])
        return Message.of(self.op, (scale.reshape(1), 32), symbols(code.short(), self.codewords))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the codewords times the scale."""
        scale, code = parts
        return self._book(scale)[code.long()].flatten()[: shape.numel()].mul(scale).reshape(shape)
