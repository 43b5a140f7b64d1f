"""Lets a policy set what comes next in a training: the one place where learning asks the clock."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from netsim.engine.pace import Clock
from netsim.policy import Measured

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netsim.engine.channel import Part
    from netsim.policy import Policy
    from netsim.scenario.schema import Scenario, Train
    from netsim.workload.base import Tensor


class Guide:
    """Times the turns of a training as they come, and asks the policy after each."""

    def __init__(self, scenario: Scenario, train: Train, policy: Policy, tensors: Sequence[Tensor]) -> None:
        self.policy = policy
        self.setting = _first(scenario, train, policy)
        self.settings: list[float] = []
        self._clock = Clock(scenario, train, tensors)
        self._past: deque[Measured] = deque(maxlen=policy.rounds)

    def after(self, exchanges: Iterable[tuple[int, Part, int]]) -> None:
        """Take note of a turn, given as the number, the part and the step in it of each exchange; set the next one."""
        row = self._clock.turn(exchanges)
        comm_s = row["comm_s"] - row["comm_wait_s"]
        told = row["step_time_s"], row["compute_s"], row["exposed_comm_s"], comm_s, row["wire_bytes_per_worker"]
        self.settings.append(self.setting)
        self._past.append(Measured(self.setting, *told))
        self.setting = self.policy.next(tuple(self._past))


def _first(scenario: Scenario, train: Train, policy: Policy) -> float:
    """Return the setting of the first turn, which is what the scenario says."""
    if policy.sets == "steps":
        return float(getattr(train.optimizer, "steps"))  # noqa: B009 (a field of the adjustable alone)
    scheme: Any = scenario.scheme
    while not hasattr(scheme, "ratio"):
        scheme = scheme.inner
    return float(scheme.ratio)
