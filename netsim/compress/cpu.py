"""Compiled loops for tensors on the CPU, which share their memory with arrays; numba is imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from netsim.compress import compiled
else:
    compiled = lazy_loader.load("netsim.compress.compiled", suppress_warning=True)

__all__ = ["array", "compiled", "on_cpu"]


def on_cpu(tensor: torch.Tensor) -> bool:
    """Return whether there is a loop for a tensor: in float32 and on the CPU."""
    return tensor.device.type == "cpu" and tensor.dtype.itemsize == 4 and tensor.is_floating_point()


def array(tensor: torch.Tensor) -> NDArray[Any]:
    """Return the flat array of a tensor on the CPU; the memory is the tensor's where that is contiguous."""
    flat: NDArray[Any] = tensor.detach().contiguous().reshape(-1).numpy()
    return flat
