"""The 1-bit code of 1-bit Adam and 1-bit LAMB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netsim.compress.base import schemes
from netsim.compress.scaled_sign import Signs


@schemes.register("rms_sign", paper="Tang et al., ICML 2021 (arXiv:2102.02888); Li et al. 2021 (arXiv:2104.06069)")
@dataclass(frozen=True, kw_only=True)
class RmsSign(Signs):
    """Sign times the root mean square: keeps the norm. Wire: d + 32 bits. Biased: wrap in error_feedback.

    Inside `two_way` it is the compressed all-reduce of 1-bit Adam. On a Gaussian source the distortion is
    2 - 2 sqrt(2/pi) of the variance.
    """

    squared: ClassVar[bool] = True
