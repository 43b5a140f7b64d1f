"""Brain floating point: float32's exponent, 7 bits of mantissa."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from netsim.compress.base import schemes
from netsim.compress.cpu import compiled
from netsim.compress.fp16 import Rounded
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@schemes.register("bf16", paper="Kalamkar et al. 2019 (arXiv:1905.12322)")
@dataclass(frozen=True, kw_only=True)
class Bf16(Rounded):
    """bfloat16: float32's range with a 7-bit mantissa. Wire: 16 d bits. Summable."""

    dtype: ClassVar[Callable[[], torch.dtype]] = staticmethod(lambda: torch.bfloat16)

    @staticmethod
    def round(values: NDArray[np.float32], out: NDArray[np.uint16]) -> None:
        """Set the bits of the rounded values."""
        compiled.brains(values.view(np.uint32), out)
