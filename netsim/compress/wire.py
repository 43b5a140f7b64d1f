"""Bit codecs: what a message's parts are as bytes, so that every `nbits` can be held against packed bytes.

A part is a tensor whose elements take a fixed number of bits each: floats all their bits, signs (bool) one, whole
numbers as many as their range needs. The parts of a message follow each other without padding; within an element
and within a byte the lowest bit comes first; the last byte is filled with zeros.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Field:
    """One part of a message: its shape and type in memory, and the bits an element takes on the wire."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    width: int

    @property
    def numel(self) -> int:
        """Return the number of elements."""
        return math.prod(self.shape)

    @property
    def nbits(self) -> int:
        """Return the bits of the whole part."""
        return self.numel * self.width


def bits_for(count: int) -> int:
    """Return the bits that tell `count` values apart: ceil(log2 count), and 0 for one value or none."""
    return max(count - 1, 0).bit_length()


def pack(parts: Iterable[torch.Tensor], layout: Sequence[Field]) -> bytes:
    """Return the parts as ceil(nbits / 8) bytes."""
    bits = [_bits(part, field.width) for part, field in zip(parts, layout, strict=True)]
    return np.packbits(np.concatenate([np.empty(0, np.uint8), *bits]), bitorder="little").tobytes()


def unpack(data: bytes, layout: Sequence[Field]) -> tuple[torch.Tensor, ...]:
    """Return the parts that `pack` made `data` from, on the CPU."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    ends = np.cumsum([field.nbits for field in layout], dtype=np.int64)
    return tuple(_part(bits[end - field.nbits : end], field) for end, field in zip(ends, layout, strict=True))


def _bits(part: torch.Tensor, width: int) -> NDArray[np.uint8]:
    """Return the bits [numel * width] of a part, one a byte."""
    size = part.element_size()
    stored = part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().reshape(part.numel(), size)
    return np.unpackbits(stored, axis=1, bitorder="little")[:, :width].reshape(-1)


def _part(bits: NDArray[np.uint8], field: Field) -> torch.Tensor:
    """Return the part whose bits these are."""
    size = field.dtype.itemsize
    stored = np.zeros((field.numel, size * 8), np.uint8)
    stored[:, : field.width] = bits.reshape(field.numel, field.width)
    packed = np.packbits(stored, axis=1, bitorder="little").reshape(-1)
    return torch.from_numpy(packed).view(field.dtype).reshape(field.shape)
