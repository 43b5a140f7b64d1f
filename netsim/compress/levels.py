"""Rounding values to levels: evenly spaced ones of a bucket's norm, or the points of a codebook; and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netsim import codebooks
from netsim.compress.cpu import array, compiled, empty, on_cpu
from netsim.compress.scale import bucket_size, in_buckets, tiny
from netsim.lazy import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.compress.base import Key


def round_levels(
    flat: torch.Tensor, bucket: int, levels: int, *, squared: bool = False, key: Key | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the norm of each bucket, and each value's multiple of norm / levels, counted from -levels.

    Args:
        flat: [d] values.
        bucket: values of a bucket.
        levels: multiples on either side of zero.
        squared: take the Euclidean norm instead of the largest magnitude.
        key: rounds at random by the worker's own noise; None rounds to the nearest.
    """
    dtype = torch.uint8 if 2 * levels < 2**8 else torch.int32
    if on_cpu(flat):
        size = bucket_size(flat.numel(), bucket)
        norms = torch.empty(-(-flat.numel() // size))
        code = empty(flat.shape, dtype)
        seed = np.uint64(0) if key is None else key.own_seed()
        compiled.round_levels(array(flat), size, levels, squared, seed, array(norms), array(code))
        return norms, code
    rows = in_buckets(flat, bucket)
    norms = _norms(rows, squared=squared)
    unit = (rows / norms.clamp(min=tiny(rows))[:, None]).mul_(levels)
    if key is None:
        unit.add_(0.5)
    else:
        unit.add_(torch.rand(rows.shape, generator=key.own(rows.device), device=rows.device))
    level = unit.floor_().clamp_(-levels, levels).add_(levels).flatten()[: flat.numel()]
    return norms, level.to(dtype)


def _norms(rows: torch.Tensor, *, squared: bool) -> torch.Tensor:
    if not rows.numel():
        return rows.new_zeros(0)
    peak = rows.abs().amax(dim=1)
    if not squared:
        return peak
    unit = rows / peak.clamp(min=tiny(rows))[:, None]
    return (peak * unit.square().sum(dim=1).sqrt()).clamp(max=torch.finfo(rows.dtype).max)


def level_values(code: torch.Tensor, norms: torch.Tensor, bucket: int, levels: int) -> torch.Tensor:
    """Return the values [d] of multiples, given the norm of each bucket."""
    size = bucket_size(code.numel(), bucket)
    if on_cpu(norms):
        out = empty(code.shape, torch.float32)
        compiled.level_values(array(code), size, levels, array(norms), array(out))
        return out
    return (code.float() - levels).div_(levels).mul_(norms.repeat_interleave(size)[: code.numel()])


def nearest(flat: torch.Tensor, scale: torch.Tensor, points: NDArray[np.float64]) -> torch.Tensor:
    """Return the number, as uint8, of the point that is nearest to each value over the scale; 256 points at most."""
    edges = codebooks.thresholds(points)[1:-1].astype(np.float32)
    divisor = scale.clamp(min=tiny(flat))
    if on_cpu(flat):
        code = empty(flat.shape, torch.uint8)
        compiled.nearest(array(flat), float(divisor), edges, array(code))
        return code
    return torch.bucketize(flat / divisor, torch.from_numpy(edges).to(flat.device), out_int32=True).byte()


def look_up(code: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Return the entry of a float32 table for each number."""
    if not on_cpu(table):
        return table[code.int()]
    out = empty(code.shape, torch.float32)
    compiled.look_up(array(code), array(table), array(out))
    return out
