"""What a policy is: from the measured times of the rounds so far to a setting of the next one. No clock here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from netsim.registry import Registry, label

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Measured:
    """What workers know of a round when it is over; seconds are means over workers.

    Attributes:
        setting: what the policy had set for it.
        round_s: the whole round.
        compute_s: forward and backward passes, and optimizer steps between them.
        exposed_comm_s: in which a device did no work, waiting for slower workers included.
        comm_s: in which an exchange was under way on all workers, hidden or not.
        sent_bytes: what a worker has sent.
    """

    setting: float
    round_s: float
    compute_s: float
    exposed_comm_s: float
    comm_s: float
    sent_bytes: float


class Policy(ABC):
    """A registered policy: its fields are its YAML keys. It keeps nothing: all that it knows is handed in."""

    kind: ClassVar[str]
    paper: ClassVar[str]
    sets: ClassVar[Literal["steps", "ratio"]]
    """What it sets: the local `steps` of an optimizer's round, or the `ratio` of elements that a scheme keeps."""
    rounds: int
    """How many of the last rounds it looks at."""

    @property
    def label(self) -> str:
        """Return the name with the parameters that are not defaults."""
        return label(self)

    @abstractmethod
    def next(self, past: Sequence[Measured]) -> float:
        """Return the setting of the next round; `past` are the last rounds, at least one."""


policies: Registry[Policy] = Registry("policy")
