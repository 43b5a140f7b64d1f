"""Bit codecs: what a message's parts are as bytes, so that every `nbits` can be held against packed bytes.

A part is a tensor whose elements take a fixed number of bits each: floats all their bits (31 where none is negative),
signs (bool) one, whole numbers as many as their range needs. The parts of a message follow each other without padding;
within an element and within a byte the lowest bit comes first; the last byte is filled with zeros. A part whose length
depends on the gradient, as that of every variable-length code does, has its length in front of it.

`unpack` takes any bytes: it raises WireError or returns parts that every decoder can read. It needs at most 64 bytes of
memory for each bit of the message.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.errors import NetsimError
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


OPEN = -1
"""Stands for the length of a part that is known from the message alone."""
LENGTH_BITS = 32
"""Bits of the length in front of an open part."""


class WireError(NetsimError):
    """Bytes that are no message of the expected layout."""


@dataclass(frozen=True)
class Field:
    """One part of a message: its shape and type in memory, and the bits an element takes on the wire.

    Attributes:
        shape: of the part; `(OPEN,)` where its length travels with it.
        dtype: of the part.
        width: bits of an element.
        count: the elements are less than this; 0 where all of their bits may be used.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    width: int
    count: int = 0

    @property
    def open(self) -> bool:
        """Return whether the length travels with the part."""
        return self.shape == (OPEN,)

    def nbits(self, part: torch.Tensor) -> int:
        """Return the bits that a part of this layout takes."""
        return part.numel() * self.width + (LENGTH_BITS if self.open else 0)


def symbols(part: torch.Tensor, count: int) -> tuple[torch.Tensor, Field]:
    """Return a part of whole numbers below `count` with its field: ceil(log2 count) bits an element."""
    return part, Field(tuple(part.shape), part.dtype, bits_for(count), count)


def stream(part: torch.Tensor, width: int) -> tuple[torch.Tensor, Field]:
    """Return a part [n] of which only the sender knows the length, with its field."""
    return part, Field((OPEN,), part.dtype, width)


def bits_for(count: int) -> int:
    """Return the bits that tell `count` values apart: ceil(log2 count), and 0 for one value or none."""
    return max(count - 1, 0).bit_length()


def pack(parts: Iterable[torch.Tensor], layout: Sequence[Field]) -> bytes:
    """Return the parts as ceil(nbits / 8) bytes."""
    bits = [np.empty(0, np.uint8)]
    for part, field in zip(parts, layout, strict=True):
        if field.open:
            bits.append(_bits(torch.tensor(part.numel()), LENGTH_BITS))
        bits.append(_bits(part, field.width))
    return np.packbits(np.concatenate(bits), bitorder="little").tobytes()


def unpack(data: bytes, layout: Sequence[Field]) -> tuple[torch.Tensor, ...]:
    """Return the parts that `pack` made `data` from, on the CPU; raise WireError where it cannot have made it."""
    reader = _Reader(data)
    parts = tuple(reader.part(field) for field in layout)
    reader.end()
    return parts


class _Reader:
    """Takes parts from the front of a message."""

    def __init__(self, data: bytes) -> None:
        self.bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        self.at = 0

    def part(self, field: Field) -> torch.Tensor:
        """Return the next part."""
        shape = field.shape
        if field.open:
            shape = (int(_part(self._take(LENGTH_BITS), (), torch.int64, LENGTH_BITS)),)
        part = _part(self._take(math.prod(shape) * field.width), shape, field.dtype, field.width)
        if field.dtype.is_floating_point and not bool(torch.isfinite(part.float()).all()):
            raise WireError("a message holds NaN or infinity; no scheme sends these")
        if field.count and part.numel() and int(part.max()) >= field.count:
            raise WireError(f"a message holds symbol {int(part.max())} where there are {field.count}")
        return part

    def _take(self, count: int) -> NDArray[np.uint8]:
        if self.at + count > len(self.bits):
            raise WireError(f"a message of {len(self.bits)} bits ends before bit {self.at + count}")
        self.at += count
        return self.bits[self.at - count : self.at]

    def end(self) -> None:
        """Raise WireError where more follows than the zeros that fill the last byte."""
        rest = self.bits[self.at :]
        if len(rest) > 7 or rest.any():
            raise WireError(f"{len(rest)} bits follow the end of a message")


def _bits(part: torch.Tensor, width: int) -> NDArray[np.uint8]:
    """Return the bits [numel * width] of a part, one a byte."""
    size = part.element_size()
    stored = part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().reshape(part.numel(), size)
    return np.unpackbits(stored, axis=1, bitorder="little")[:, :width].reshape(-1)


def _part(bits: NDArray[np.uint8], shape: tuple[int, ...], dtype: torch.dtype, width: int) -> torch.Tensor:
    """Return the part whose bits these are."""
    count, size = math.prod(shape), dtype.itemsize
    stored = np.zeros((count, size * 8), np.uint8)
    stored[:, :width] = bits.reshape(count, width)
    packed = np.packbits(stored, axis=1, bitorder="little").reshape(-1)
    return torch.from_numpy(packed).view(dtype).reshape(shape)
