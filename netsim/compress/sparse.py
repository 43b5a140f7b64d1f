"""What sparsifiers share: chosen values and their places on the wire, and putting them back among zeros."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from netsim.compress.base import Key, Message, OneShot, Op, Parts
from netsim.compress.cpu import array, compiled, on_cpu
from netsim.compress.indices import Index, decode_index, encode_index
from netsim.compress.wire import WireError, stream
from netsim.lazy import torch

SMALL = 2**14
"""Elements of which a histogram of 2^16 cells would be no shorter."""


def kept(numel: int, ratio: float) -> int:
    """Return how many of `numel` elements a ratio keeps: round(ratio numel), at least 1 and at most all of them."""
    return min(numel, max(1, round(ratio * numel)))


def largest(flat: torch.Tensor, count: int) -> torch.Tensor:
    """Return the indices of the `count` largest magnitudes, in no particular order.

    On the CPU they are selected by a histogram, in two passes; sorting them out takes 30 times as long.
    """
    if on_cpu(flat) and flat.numel() > SMALL:
        return torch.from_numpy(compiled.largest(array(flat).view(np.uint32), count))
    return flat.abs().topk(count, sorted=False).indices


def places_above(flat: torch.Tensor, least: float) -> torch.Tensor:
    """Return the rising indices of magnitudes of at least so much that are not zero."""
    if on_cpu(flat):
        return torch.from_numpy(compiled.places_above(array(flat), least))
    return ((flat.abs() >= least) & (flat != 0)).nonzero().flatten()


def holds(index: torch.Tensor, numel: int) -> bool:
    """Return whether all indices are below `numel`, and none below 0."""
    return not len(index) or 0 <= int(index.min()) <= int(index.max()) < numel


def scatter(values: torch.Tensor, index: torch.Tensor, numel: int) -> torch.Tensor:
    """Return values at their places among zeros [numel]; raise WireError where a place is none, as in damaged bytes."""
    if on_cpu(values) and len(index) == len(values):
        out = values.new_zeros(numel)
        if not compiled.spread(array(values), array(index), array(out)):
            raise WireError(f"{len(values)} values at {len(index)} places do not fit {numel} elements")
        return out
    if len(index) != len(values) or not holds(index, numel):
        raise WireError(f"{len(values)} values at {len(index)} places do not fit {numel} elements")
    return values.new_zeros(numel).index_copy_(0, index, values)


@dataclass(frozen=True, kw_only=True)
class Sparse(OneShot):
    """Sends chosen elements in float32 and where they are, in the code `index`; a member says which ones."""

    index: Index = "log2"
    op: ClassVar[Op] = "gather"
    counted: ClassVar[bool] = False
    """Whether the number of elements depends on the gradient, so that it has to travel."""

    @abstractmethod
    def select(self, flat: torch.Tensor, key: Key) -> torch.Tensor:
        """Return the indices of the elements to send, each once."""

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the chosen values and their indices."""
        flat = grad.flatten()
        chosen = self.select(flat, key)
        index, part, field = encode_index(chosen, flat.numel(), self.index, counted=self.counted)
        values = flat[index]
        return Message.of(self.op, stream(values, 32) if self.counted else (values, 32), (part, field))

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the values at their places among zeros."""
        values, part = parts
        index = decode_index(part, len(values), shape.numel(), self.index)
        return scatter(values, index, shape.numel()).reshape(shape)
