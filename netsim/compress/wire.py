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
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.compress.cpu import compiled
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
        tail: zero bits that follow the part.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    width: int
    count: int = 0
    tail: int = 0

    @property
    def open(self) -> bool:
        """Return whether the length travels with the part."""
        return self.shape == (OPEN,)

    def nbits(self, part: torch.Tensor) -> int:
        """Return the bits that a part of this layout takes."""
        return part.numel() * self.width + (LENGTH_BITS if self.open else 0) + self.tail


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
    whole = [
        one
        for part, field in zip(parts, layout, strict=True)
        for one in (
            *([(_length(part), LENGTH_BITS)] if field.open else []),
            (_elements(part), field.width),
            (np.zeros(field.tail, np.uint8), 1),
        )
    ]
    data, at = np.zeros(-(-sum(len(elements) * width for elements, width in whole) // 8), np.uint8), 0
    for elements, width in whole:
        _write(data, at, elements, width)
        at += len(elements) * width
    return data.tobytes()


def unpack(data: bytes, layout: Sequence[Field]) -> tuple[torch.Tensor, ...]:
    """Return the parts that `pack` made `data` from, on the CPU; raise WireError where it cannot have made it."""
    reader = _Reader(data)
    parts = tuple(reader.part(field) for field in layout)
    reader.end()
    return parts


class _Reader:
    """Takes parts from the front of a message."""

    def __init__(self, data: bytes) -> None:
        self.data = np.frombuffer(data, np.uint8)
        self.at = 0

    def part(self, field: Field) -> torch.Tensor:
        """Return the next part."""
        shape = field.shape
        if field.open:
            shape = (int(self._take((), torch.int64, LENGTH_BITS)),)
            if not field.width and shape[0] > 8 * len(self.data):  # or four bytes would ask for gigabytes
                raise WireError(f"a message of {8 * len(self.data)} bits holds no {shape[0]} elements")
        part = self._take(shape, field.dtype, field.width)
        if field.dtype.is_floating_point and not bool(torch.isfinite(part.float()).all()):
            raise WireError("a message holds NaN or infinity; no scheme sends these")
        if field.count and part.numel() and int(part.max()) >= field.count:
            raise WireError(f"a message holds symbol {int(part.max())} where there are {field.count}")
        if field.tail and bool(self._take((field.tail,), torch.uint8, 1).any()):
            raise WireError(f"the {field.tail} bits after a part are not zero")
        return part

    def _take(self, shape: tuple[int, ...], dtype: torch.dtype, width: int) -> torch.Tensor:
        count, end = math.prod(shape), self.at + math.prod(shape) * width
        if end > 8 * len(self.data):
            raise WireError(f"a message of {8 * len(self.data)} bits ends before bit {end}")
        part = torch.empty(count, dtype=dtype)
        _read(self.data, self.at, _elements(part), width)
        self.at = end
        return part.reshape(shape)

    def end(self) -> None:
        """Raise WireError where more follows than the zeros that fill the last byte."""
        left = 8 * len(self.data) - self.at
        if left > 7 or (left and self.data[-1] >> (8 - left)):
            raise WireError(f"{left} bits follow the end of a message")


def _elements(part: torch.Tensor) -> NDArray[Any]:
    """Return the elements as whole numbers, of the bits that they have in memory."""
    flat = part.detach().cpu().contiguous().reshape(-1)
    stored = flat.as_strided(flat.shape, (1,)).view(torch.uint8).numpy()  # up to one element has any stride
    return stored.view(f"u{part.element_size()}")


def _length(part: torch.Tensor) -> NDArray[Any]:
    return np.array([part.numel()], np.uint32)


def _write(data: NDArray[np.uint8], at: int, elements: NDArray[Any], width: int) -> None:
    """Put the lowest `width` bits of the elements into zeroed data from bit `at` on."""
    count, first = len(elements) * width, at // 8
    if at % 8 == 0 and width == 8 * elements.itemsize:
        data[first : first + count // 8] = elements.view(np.uint8)
    elif at % 8 == 0 and width == 1:
        data[first : first + -(-count // 8)] = np.packbits(
            (elements & 1).astype(np.uint8, copy=False), bitorder="little"
        )
    elif count:
        compiled.pack(elements, width, data, at)


def _read(data: NDArray[np.uint8], at: int, elements: NDArray[Any], width: int) -> None:
    """Set the elements to `width` bits each of data from bit `at` on."""
    count, first = len(elements) * width, at // 8
    if at % 8 == 0 and width == 8 * elements.itemsize:
        elements.view(np.uint8)[:] = data[first : first + count // 8]
    elif at % 8 == 0 and width == 1 and elements.itemsize == 1:
        elements[:] = np.unpackbits(data[first:], count=count, bitorder="little")
    elif count:
        compiled.unpack(data, at, width, elements)
    else:
        elements[:] = 0
