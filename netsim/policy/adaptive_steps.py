"""As many local steps as leave communication a given share of the time."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from netsim.policy.base import Policy, policies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.policy.base import Measured


@policies.register(
    "adaptive_steps", paper="after Wang and Joshi, MLSys 2019 (arXiv:1810.08313), by measured times instead of the loss"
)
@dataclass(frozen=True, kw_only=True)
class AdaptiveSteps(Policy):
    """The fewest local steps with which exposed communication is at most a `share` of a round.

    Of the last `rounds` it takes the mean seconds c of exposed communication, o of coding, and p of a local step. Then
    the number is the least H with c <= share (H p + c + o), but no more than `most`: waiting for slower workers grows
    with H, and no H hides it.
    """

    sets: ClassVar[Literal["steps", "ratio"]] = "steps"
    share: Annotated[float, Gt(0), Lt(1)] = 0.1
    most: Annotated[int, Ge(1)] = 64
    rounds: Annotated[int, Ge(1)] = 2

    def next(self, past: Sequence[Measured]) -> float:
        """Return the number of local steps."""
        exposed_s = sum(one.exposed_comm_s for one in past) / len(past)
        other_s = sum(one.round_s - one.compute_s - one.exposed_comm_s for one in past) / len(past)
        step_s = sum(one.compute_s for one in past) / sum(one.setting for one in past)
        if not step_s:
            return float(self.most)
        # Seconds are sums of rounded ones: a share that is met exactly must not cost another step.
        wanted = (exposed_s / self.share - exposed_s - other_s) / step_s - 1e-6
        return float(ceil(min(max(wanted, 1), self.most)))
