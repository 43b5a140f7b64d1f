"""Random-k: the same random elements on every worker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Gt, Le

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.sparse import kept
from netsim.compress.wire import Field
from netsim.lazy import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@schemes.register("randomk", paper="Stich et al., NeurIPS 2018 (arXiv:1809.07599)")
@dataclass(frozen=True, kw_only=True)
class RandomK(OneShot):
    """Keep a random `ratio` of the elements, drawn anew each step. Wire: 32 k bits. Summable.

    Workers draw indices from a shared seed, so only values travel. `rescale` multiplies them by d/k, which makes the
    estimate unbiased and its error d/k - 1 of the energy; under error_feedback leave it off. With `index: raw32` places
    travel too, as BytePS sends them: 64 k bits.
    """

    ratio: Annotated[float, Gt(0), Le(1)] = 0.01
    rescale: bool = False
    index: Literal["shared", "raw32"] = "shared"
    op: ClassVar[Op] = "sum"

    @property
    def unbiased(self) -> bool:
        """Return whether values are rescaled."""
        return self.rescale

    def shipped(self, framework: str) -> RandomK:
        """Return the scheme with pairs of place and value, for BytePS."""
        return replace(self, index="raw32") if framework == "byteps" else self

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the values at this step's indices."""
        flat = grad.flatten()
        index = self._index(flat.numel(), key, flat.device)
        places = [(index, Field(tuple(index.shape), index.dtype, 32, flat.numel()))] if self.index == "raw32" else []
        return Message.of(self.op, (flat[index], 32), *places)

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the values at this step's indices among zeros."""
        values = parts[0]
        index = self._index(shape.numel(), key, values.device)
        if self.rescale and values.numel():
            values = values * (shape.numel() / values.numel())
        return values.new_zeros(shape.numel()).index_copy_(0, index, values).reshape(shape)

    def _index(self, numel: int, key: Key, device: torch.device) -> torch.Tensor:
        drawn: NDArray[np.int64] = key.shared().choice(numel, kept(numel, self.ratio), replace=False, shuffle=False)
        return torch.from_numpy(drawn).to(device)
