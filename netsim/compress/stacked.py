"""Gradients as people have them at hand, as one tensor [workers, ...]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from netsim.errors import InputError
from netsim.given import shown
from netsim.lazy import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

Gradients: TypeAlias = "torch.Tensor | NDArray[np.floating] | Sequence[Any]"
_REMEDY = "give floating-point gradients stacked along a first dimension of workers"


def stacked(grads: Gradients) -> torch.Tensor:
    """Return [workers, ...] gradients as a dense tensor without a history of autograd.

    Args:
        grads: a tensor or an array [workers, ...], or a list of one tensor or array a worker.

    Raises:
        InputError: no worker, no floating-point numbers, or gradients of several shapes or devices.
    """
    if isinstance(grads, Iterator):
        grads = list(grads)
    if isinstance(grads, list | tuple) and grads:
        each = [_tensor(one, f"grads[{rank}]") for rank, one in enumerate(grads)]
        for rank, one in enumerate(each):
            _refuse_unlike(each[0], one, rank)
        held = torch.stack(each)
    else:
        held = _tensor(grads, "grads")
    if held.dim() < 1 or not len(held) or not held.is_floating_point():
        raise InputError(f"cannot compress a {held.dtype} tensor of shape {list(held.shape)}", _REMEDY, "grads")
    return held


def _tensor(given: Any, place: str) -> torch.Tensor:
    """Return a tensor of what may be an array, a table or nested lists."""
    held = given if isinstance(given, torch.Tensor) else _from_numpy(given, place)
    if held.is_meta:
        raise InputError("is a tensor on device 'meta', which holds no values", "compute it on 'cpu' or 'cuda'", place)
    return (held if held.layout == torch.strided else held.to_dense()).detach()


def _from_numpy(given: Any, place: str) -> torch.Tensor:
    try:
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{shown(given)} is no array of numbers", _REMEDY, place) from error
    if array.dtype.kind not in "fiubc":
        raise InputError(f"{shown(given)} is no array of numbers", _REMEDY, place)
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 8
    # A copy: torch takes neither foreign byte orders nor negative strides, and warns of arrays that are read-only.
    return torch.from_numpy(array.astype(np.float64 if wide else array.dtype.newbyteorder("="), order="C"))


def _refuse_unlike(first: torch.Tensor, other: torch.Tensor, rank: int) -> None:
    if first.shape != other.shape:
        problem = f"has shape {list(other.shape)}, that of the first worker {list(first.shape)}"
        remedy = "give every worker's gradient of the same tensor, and call once for each tensor"
        raise InputError(problem, remedy, f"grads[{rank}]")
    if first.device != other.device:
        problem = f"is on {other.device}, that of the first worker on {first.device}"
        raise InputError(problem, "move them to one device", f"grads[{rank}]")
