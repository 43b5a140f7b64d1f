"""Codes of index sets: where the kept elements are, from raw 64-bit numbers to within half a bit of the entropy."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from netsim.compress.wire import OPEN, Field, WireError, bits_for, stream, symbols
from netsim.lazy import torch

Index: TypeAlias = Literal["log2", "raw32", "raw64", "bitmap", "runs", "rice", "elias_fano"]
"""`log2` ceil(log2 d) bits an index; `raw32` and `raw64` as frameworks send them; `bitmap` a bit an element of the
tensor; `runs` 16-bit lengths of the runs of zeros (Lin et al. 2018); `rice` Golomb-Rice codes of the gaps (Rice and
Plaunt 1971), within 0.04 bits of their entropy where positions are random; `elias_fano` (Elias 1974; Fano 1971)."""

RUN_BITS = 16
_LONGEST = 2**RUN_BITS - 1
_LN_GOLDEN = math.log((1 + math.sqrt(5)) / 2)


def encode_index(
    index: torch.Tensor, numel: int, code: Index, *, counted: bool = False
) -> tuple[torch.Tensor, torch.Tensor, Field]:
    """Return indices below `numel` in the order of the code, the part that stands for them, and its field.

    Set `counted` where the receiver cannot know the number of indices without the message.
    """
    if code in {"log2", "raw32", "raw64"}:
        width = {"log2": bits_for(numel), "raw32": 32, "raw64": 64}[code]
        shape = (OPEN,) if counted else tuple(index.shape)
        return index, index, Field(shape, index.dtype, width, numel)
    index = index.sort().values
    if code == "bitmap":
        bitmap = torch.zeros(numel, dtype=torch.bool, device=index.device).index_fill_(0, index, True)
        return index, *symbols(bitmap, 2)
    if code == "elias_fano":
        bits = _elias_fano(index, numel)
        return index, *(stream(bits, 1) if counted else symbols(bits, 2))
    gaps = torch.diff(index, prepend=index.new_tensor([-1])) - 1
    if code == "runs":
        return index, *stream(_runs(gaps), RUN_BITS)
    return index, *stream(_rice(gaps, _rice_shift(len(index), numel)), 1)


def decode_index(part: torch.Tensor, kept: int, numel: int, code: Index) -> torch.Tensor:
    """Return the `kept` indices below `numel` that a part stands for; raise WireError where it stands for none."""
    if code in {"log2", "raw32", "raw64"}:
        index = part.long()
    elif code == "bitmap":
        index = part.nonzero().flatten()
    elif code == "elias_fano":
        index = _elias_fano_index(part, kept, numel)
    else:
        gaps = _run_gaps(part) if code == "runs" else _rice_gaps(part, kept, _rice_shift(kept, numel))
        index = (gaps + 1).cumsum(0) - 1
    if len(index) != kept or (kept and not 0 <= int(index.min()) <= int(index.max()) < numel):
        raise WireError(f"an index part does not hold {kept} positions of {numel}")
    return index


def _elias_fano_shift(kept: int, numel: int) -> int:
    return max(0, math.floor(math.log2(numel / kept))) if kept else 0


def _elias_fano(index: torch.Tensor, numel: int) -> torch.Tensor:
    """Return the upper digits in unary, kept + (d - 1 >> s) bits, then s lower bits of each index."""
    kept, shift = len(index), _elias_fano_shift(len(index), numel)
    upper = torch.zeros(kept + (max(numel - 1, 0) >> shift) if kept else 0, dtype=torch.bool, device=index.device)
    upper[(index >> shift) + torch.arange(kept, device=index.device)] = True
    return torch.cat([upper, _digits(index, shift)])


def _elias_fano_index(bits: torch.Tensor, kept: int, numel: int) -> torch.Tensor:
    shift = _elias_fano_shift(kept, numel)
    length = kept + (max(numel - 1, 0) >> shift) if kept else 0
    ones = bits[:length].nonzero().flatten()
    if len(ones) != kept or len(bits) != length + kept * shift:
        raise WireError(f"an Elias-Fano part does not hold {kept} positions")
    return (ones - torch.arange(kept, device=bits.device) << shift) + _number(bits[length:], kept, shift)


def _rice_shift(kept: int, numel: int) -> int:
    """Return the digits of a gap that are sent as they are, best for random positions (Kiely 2004, by golden ratio)."""
    return max(0, 1 + math.floor(math.log2(_LN_GOLDEN * numel / kept))) if kept else 0


def _rice(gaps: torch.Tensor, shift: int) -> torch.Tensor:
    """Return all quotients in unary, then all remainders in `shift` bits."""
    ends = ((gaps >> shift) + 1).cumsum(0)
    unary = torch.zeros(int(ends[-1]) if len(ends) else 0, dtype=torch.bool, device=gaps.device)
    unary[ends - 1] = True
    return torch.cat([unary, _digits(gaps, shift)])


def _rice_gaps(bits: torch.Tensor, kept: int, shift: int) -> torch.Tensor:
    ends = bits.nonzero().flatten()[:kept]
    tail = bits[int(ends[-1]) + 1 if len(ends) else 0 :]
    if len(ends) != kept or len(tail) != kept * shift:
        raise WireError(f"a Rice-coded part does not hold {kept} positions")
    quotient = torch.diff(ends, prepend=ends.new_tensor([-1])) - 1
    return (quotient << shift) + _number(tail, kept, shift)


def _runs(gaps: torch.Tensor) -> torch.Tensor:
    """Return run lengths; the largest one says that a run goes on."""
    more = gaps // _LONGEST
    ends = (more + 1).cumsum(0)
    runs = torch.full((int(ends[-1]) if len(ends) else 0,), _LONGEST, dtype=torch.int64, device=gaps.device)
    runs[ends - 1] = gaps - more * _LONGEST
    return runs


def _run_gaps(runs: torch.Tensor) -> torch.Tensor:
    ends = (runs < _LONGEST).nonzero().flatten()
    if len(runs) and (not len(ends) or int(ends[-1]) != len(runs) - 1):
        raise WireError("a part of run lengths ends within a run")
    total = runs.long().cumsum(0)[ends]
    return torch.diff(total, prepend=total.new_tensor([0]))


def _digits(numbers: torch.Tensor, width: int) -> torch.Tensor:
    """Return the lowest `width` bits of each number, the lowest first."""
    return (numbers[:, None] >> torch.arange(width, device=numbers.device) & 1).bool().flatten()


def _number(bits: torch.Tensor, count: int, width: int) -> torch.Tensor:
    """Return the `count` numbers whose digits these are."""
    return (bits.reshape(count, width).long() << torch.arange(width, device=bits.device)).sum(dim=1)
