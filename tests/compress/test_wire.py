"""The bit codecs, against bytes written by hand and on random layouts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsim.compress import wire
from netsim.compress.wire import Field, WireError, bits_for


def test_bits_for_counts() -> None:
    assert [bits_for(count) for count in (0, 1, 2, 3, 4, 5, 15, 16, 17, 2**20)] == [0, 0, 1, 2, 2, 3, 4, 4, 5, 20]


def test_bytes_by_hand() -> None:
    # 3-bit numbers 5, 1, 6 from the lowest bit up: 101 100 011; then signs + - : 1 0. Bytes 10110001 and 110.
    parts = torch.tensor([5, 1, 6]), torch.tensor([True, False])
    layout = Field((3,), torch.int64, 3), Field((2,), torch.bool, 1)
    assert wire.pack(parts, layout) == bytes([0b10001101, 0b00000011])
    assert [part.tolist() for part in wire.unpack(bytes([0b10001101, 0b00000011]), layout)] == [
        [5, 1, 6],
        [True, False],
    ]


def test_floats_are_little_endian_ieee() -> None:
    halves = torch.tensor([1.0, -2.0], dtype=torch.float16)
    assert wire.pack((halves,), (Field((2,), torch.float16, 16),)) == bytes([0x00, 0x3C, 0x00, 0xC0])


def test_zeros_follow_a_part_with_a_tail() -> None:
    part, field = torch.tensor([True, False, True]), Field((3,), torch.bool, 1, tail=29)
    assert field.nbits(part) == 32
    assert wire.pack((part, part), (field, field)) == bytes([5, 0, 0, 0] * 2)
    assert wire.unpack(bytes([5, 0, 0, 0]), (field,))[0].tolist() == [True, False, True]
    with pytest.raises(WireError, match="29 bits after a part"):
        wire.unpack(bytes([5, 0, 1, 0]), (field,))


KINDS = st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.bool, torch.int32, torch.int64])


@given(st.lists(st.tuples(KINDS, st.integers(0, 9), st.integers(0, 31)), max_size=5), st.integers(0, 2**31))
def test_any_parts_come_back(asked: list[tuple[torch.dtype, int, int]], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    parts, layout = [], []
    for dtype, count, width in asked:
        if dtype.is_floating_point:
            width = dtype.itemsize * 8
            parts.append(torch.randn(count, generator=draw).to(dtype))
        else:
            width = 1 if dtype is torch.bool else width
            parts.append(torch.randint(0, 2**width, (count,), generator=draw).to(dtype))
        layout.append(Field((count,), dtype, width))
    data = wire.pack(parts, layout)
    assert len(data) == -(-sum(field.nbits(part) for field, part in zip(layout, parts, strict=True)) // 8)
    assert all(torch.equal(*pair) for pair in zip(parts, wire.unpack(data, layout), strict=True))
