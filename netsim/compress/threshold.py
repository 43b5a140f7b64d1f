"""A fixed threshold: every element beyond it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from netsim.compress.base import Key, schemes
from netsim.compress.sparse import Sparse, places_above

if TYPE_CHECKING:
    import torch


@schemes.register("threshold", paper="Strom, Interspeech 2015; as in GRACE, ICDCS 2021, with exact values")
@dataclass(frozen=True, kw_only=True)
class Threshold(Sparse):
    """Send all k elements of magnitude above `threshold`. Wire: k (32 + ceil(log2 d)) bits and two 32-bit counts.

    Nothing is sorted, but k is whatever the gradient makes it. Biased: wrap in error_feedback.
    """

    threshold: Annotated[float, Ge(0)] = 0.01
    counted: ClassVar[bool] = True

    def select(self, flat: torch.Tensor, key: Key) -> torch.Tensor:
        """Return the indices of what is above the threshold."""
        return places_above(flat, math.nextafter(self.threshold, math.inf))
