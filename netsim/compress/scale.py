"""Scales of tensors: computed so that neither squares nor sums of finite values overflow or underflow."""

from __future__ import annotations

from netsim.compress.cpu import array, compiled, on_cpu
from netsim.lazy import torch


def tiny(flat: torch.Tensor) -> float:
    """Return the smallest normal number: a divisor where a scale may be zero."""
    return torch.finfo(flat.dtype).tiny


def peak(flat: torch.Tensor) -> torch.Tensor:
    """Return the largest magnitude, and 0 of no values."""
    if on_cpu(flat):
        return flat.new_tensor(compiled.sums(array(flat))[2])
    return flat.abs().amax() if flat.numel() else flat.new_zeros(())


def mean_magnitude(flat: torch.Tensor) -> torch.Tensor:
    """Return the mean magnitude, and 0 of no values."""
    largest = peak(flat).clamp(min=tiny(flat))
    return largest * (flat / largest).abs().sum() / max(flat.numel(), 1)


def root_mean_square(flat: torch.Tensor) -> torch.Tensor:
    """Return the root mean square, and 0 of no values."""
    if on_cpu(flat):
        return flat.new_tensor((compiled.sums(array(flat))[1] / max(flat.numel(), 1)) ** 0.5)
    if not flat.numel():
        return flat.new_zeros(())
    largest = peak(flat).clamp(min=tiny(flat))
    return largest * (flat / largest).square().mean().sqrt()


def in_buckets(flat: torch.Tensor, bucket: int) -> torch.Tensor:
    """Return the values [d] as rows of `bucket`, or of d where that is less, the last one filled with zeros."""
    return in_rows(flat, bucket_size(flat.numel(), bucket))


def in_rows(flat: torch.Tensor, size: int) -> torch.Tensor:
    """Return the values [d] as rows of `size`, the last one filled with zeros."""
    missing = -flat.numel() % size
    return (torch.nn.functional.pad(flat, (0, missing)) if missing else flat).reshape(-1, size)


def bucket_size(numel: int, bucket: int) -> int:
    """Return the elements of a bucket of a tensor with `numel` elements."""
    return min(bucket, max(numel, 1))
