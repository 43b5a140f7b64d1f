"""Training in simulated time: the arithmetic is real, and the cluster decides when every message arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netsim.engine.training_events import AsyncJob
from netsim.engine.training_rounds import SyncJob
from netsim.optim.base import Asynchronous, Synchronous

if TYPE_CHECKING:
    from netsim.engine.training import TrainRecord
    from netsim.scenario.schema import Scenario, Train
    from netsim.workload.live import Objective


def run_training(scenario: Scenario, train: Train, problem: Objective) -> TrainRecord:
    """Train to the target, a limit or divergence, whichever comes first.

    Raises:
        Deadlock: nothing more can happen although workers still wait.
    """
    # Numbers that overflow are what divergence looks like; it is found and reported.
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(train.optimizer, Synchronous):
            return SyncJob(scenario, train, problem, train.optimizer).run()
        assert isinstance(train.optimizer, Asynchronous)
        return AsyncJob(scenario, train, problem, train.optimizer).run()
