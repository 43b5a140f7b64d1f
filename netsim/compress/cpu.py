"""Compiled loops for tensors on the CPU, which share their memory with arrays; numba is imported on first use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np

from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.compress import compiled
else:
    compiled = lazy_loader.load("netsim.compress.compiled", suppress_warning=True)

__all__ = ["array", "compiled", "empty", "on_cpu"]


def on_cpu(tensor: torch.Tensor) -> bool:
    """Return whether there is a loop for a tensor: in float32 and on the CPU."""
    return tensor.device.type == "cpu" and tensor.dtype.itemsize == 4 and tensor.is_floating_point()


def array(tensor: torch.Tensor) -> NDArray[Any]:
    """Return the flat array of a tensor on the CPU; the memory is the tensor's where that is contiguous."""
    flat: NDArray[Any] = tensor.detach().contiguous().reshape(-1).numpy()
    return flat


def empty(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Return an unfilled tensor on the CPU, in memory that NumPy asks the system to lay out in large pages.

    Where the system grants them, 25 million floats are filled five times as fast: half of the time of many codecs is
    the first touch of pages of 4 kB.
    """
    return torch.from_numpy(np.empty(math.prod(shape), f"i{dtype.itemsize}")).view(dtype).reshape(shape)
