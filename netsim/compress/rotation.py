"""Random rotations of tensors: random signs, then the Hadamard transform, as fast as a few matrix products."""

from __future__ import annotations

import numpy as np

from netsim.compress.base import Key
from netsim.lazy import torch

SEED_BITS = 32
RADIX = 6
"""Bits of an index that one matrix product transforms."""


def draw_seed(key: Key) -> int:
    """Return the seed of this worker's rotation of this step; it travels with the message."""
    mixed = np.random.SeedSequence((key.seed % 2**64, key.step, key.phase, 1 + key.rank))
    return int(mixed.generate_state(1)[0])


def padded(numel: int) -> int:
    """Return the size of a rotated tensor: the next power of two."""
    return 1 << max(numel - 1, 0).bit_length()


def rotate(flat: torch.Tensor, seed: int) -> torch.Tensor:
    """Return the rotation [padded d] of values [d]; Euclidean norms are kept."""
    size = padded(flat.numel())
    return _hadamard(torch.nn.functional.pad(flat, (0, size - flat.numel())).mul_(_signs(size, seed, flat.device)))


def rotate_back(rotated: torch.Tensor, seed: int, numel: int) -> torch.Tensor:
    """Return the values [d] whose rotation this is."""
    return _hadamard(rotated).mul_(_signs(rotated.numel(), seed, rotated.device))[:numel]


def _signs(size: int, seed: int, device: torch.device) -> torch.Tensor:
    drawn = np.frombuffer(np.random.default_rng(seed).bytes(-(-size // 8)), np.uint8)
    return torch.from_numpy(np.unpackbits(drawn)[:size]).to(device).float().mul_(2).sub_(1)


def _hadamard(flat: torch.Tensor) -> torch.Tensor:
    """Return the orthonormal Walsh-Hadamard transform of 2^k values.

    The transform is a Kronecker product: each pass transforms the leading bits of the index and moves them to the end.
    """
    left = flat.numel().bit_length() - 1
    while left:
        bits = min(RADIX, left)
        flat = (flat.reshape(2**bits, -1).T @ _matrix(bits, flat)).reshape(-1)
        left -= bits
    return flat


def _matrix(bits: int, like: torch.Tensor) -> torch.Tensor:
    matrix = like.new_ones(1, 1)
    step = like.new_tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
    for _ in range(bits):
        matrix = torch.kron(matrix, step)
    return matrix
