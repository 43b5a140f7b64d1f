"""As many elements as can be sent while workers compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from netsim.errors import InputError
from netsim.policy.base import Policy, policies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.policy.base import Measured


@policies.register(
    "adaptive_ratio", paper="after Abdelmoniem and Canini, INFOCOM 2021; Wang et al. 2025 (arXiv:2506.16235)"
)
@dataclass(frozen=True, kw_only=True)
class AdaptiveRatio(Policy):
    """The ratio of elements whose exchange takes as long as a `share` of the computation, which can hide it.

    Of the last `rounds` it takes the mean seconds p of computation and the seconds q of communication, latency
    included, for one unit of ratio. Then the ratio is share p / q, between `least` and `most`. Waiting until the last
    worker takes part is no communication: no ratio shortens it.
    """

    sets: ClassVar[Literal["steps", "ratio"]] = "ratio"
    share: Annotated[float, Gt(0)] = 0.5
    least: Annotated[float, Gt(0), Le(1)] = 0.001
    most: Annotated[float, Gt(0), Le(1)] = 0.25
    rounds: Annotated[int, Ge(1)] = 2

    def __post_init__(self) -> None:
        """Raise InputError where the bounds cross."""
        if self.least > self.most:
            raise InputError(f"least is {self.least}, more than most, {self.most}", "swap them", "least")

    def next(self, past: Sequence[Measured]) -> float:
        """Return the ratio."""
        unit_s = sum(one.comm_s for one in past) / sum(one.setting for one in past)
        compute_s = sum(one.compute_s for one in past) / len(past)
        if not unit_s:
            return self.most
        return min(max(self.share * compute_s / unit_s, self.least), self.most)
