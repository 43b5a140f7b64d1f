"""Variable-length and block codes: they come back exactly, take the bits they claim, and refuse what is no code."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsim.compress.codes import (
    TRITS,
    delta_decode,
    delta_encode,
    entropy_decode,
    entropy_encode,
    gamma_decode,
    gamma_encode,
    pack_trits,
    unpack_trits,
)
from netsim.compress.wire import WireError

COUNTS = st.integers(2, 300)


@given(st.integers(0, 100), st.integers(0, 2**31))
def test_trits_come_back(count: int, seed: int) -> None:
    trits = torch.randint(3, (count,), generator=torch.Generator().manual_seed(seed))
    blocks = pack_trits(trits)
    assert len(blocks) == math.ceil(count / TRITS)
    assert not count or int(blocks.max()) < 3**TRITS < 2**46
    assert torch.equal(unpack_trits(blocks, count), trits)


@given(COUNTS, st.integers(0, 400), st.integers(0, 2**31))
def test_entropy_coded_symbols_come_back(count: int, size: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = torch.from_numpy(draw.choice(count, size, p=draw.dirichlet(np.full(count, 0.2))))
    assert torch.equal(entropy_decode(entropy_encode(values, count), count, size), values)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.98, 0.02), (0.7, 0.2, 0.06, 0.04), (0.001,) * 200 + (0.8,)])
def test_entropy_coder_reaches_the_entropy(shares: tuple[float, ...]) -> None:
    size = 1_000_000
    values = np.random.default_rng(0).choice(len(shares), size, p=shares)
    found = np.bincount(values, minlength=len(shares)) / size
    entropy = -sum(one * math.log2(one) for one in found if one)
    assert 32 * len(entropy_encode(torch.from_numpy(values), len(shares))) / size == pytest.approx(entropy, rel=0.01)


@given(st.lists(st.integers(1, 2**50), max_size=50))
def test_gamma_codes_come_back_in_their_length(values: list[int]) -> None:
    bits = gamma_encode(torch.tensor(values, dtype=torch.int64))
    assert len(bits) == sum(2 * value.bit_length() - 1 for value in values)
    assert gamma_decode(bits, len(values)).tolist() == values


def test_gamma_code_by_hand() -> None:
    # 1, 2, 5: lengths 1, 01, 001 in front, then the digits below the leading one, 0 and 01, lowest first.
    assert gamma_encode(torch.tensor([1, 2, 5])).int().tolist() == [1, 0, 1, 0, 0, 1, 0, 1, 0]


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1) | st.just(0), st.booleans()), max_size=50))
def test_delta_codes_come_back_in_their_length(values: list[tuple[int, bool]]) -> None:
    sizes = torch.tensor([size for size, _ in values], dtype=torch.int64)
    minus = torch.tensor([sign and size > 0 for size, sign in values], dtype=torch.bool)
    places = [-1, *sizes.nonzero().flatten().tolist()]
    gaps = [later - one for one, later in pairwise(places)]
    total = len(gaps) + sum(_delta_bits(one) for one in [*gaps, *sizes[sizes > 0].tolist()])
    words = delta_encode(sizes, minus)
    assert len(words) == math.ceil(total / 32)
    found = delta_decode(words, len(values))
    assert torch.equal(found[0], sizes)
    assert torch.equal(found[1], minus)


def _delta_bits(value: int) -> int:
    """Elias, IEEE Trans. Inf. Theory 1975: floor(log2 v) + 2 floor(log2(floor(log2 v) + 1)) + 1."""
    below = value.bit_length() - 1
    return below + 2 * ((below + 1).bit_length() - 1) + 1


def test_delta_code_by_hand() -> None:
    # Nothing, then -4: the distance 2 is 0100, the sign 1, the size 4 is 01100.
    words = delta_encode(torch.tensor([0, 4]), torch.tensor([False, True]))
    assert words.tolist() == [0b0100101100 << 22]
    with pytest.raises(WireError, match="hold 1 numbers"):
        delta_decode(words, 1)
    with pytest.raises(WireError, match="hold 2 numbers"):
        delta_decode(torch.cat([words, words * 0]), 2)


def test_what_is_no_code_is_refused() -> None:
    with pytest.raises(WireError, match="0 values instead of 1"):
        gamma_decode(torch.zeros(9, dtype=torch.bool), 1)
    with pytest.raises(WireError, match="more or fewer digits"):
        gamma_decode(torch.ones(9, dtype=torch.bool), 8)
    good = entropy_encode(torch.tensor([0, 1, 1, 2] * 20), 3)
    for words in (good[:1], torch.zeros_like(good), good[:-1], torch.cat([good, good])):
        with pytest.raises(WireError, match="entropy-coded part"):
            entropy_decode(words, 3, 80)
