"""When each turn of a training is over: its exchanges, one after another, on the cluster of a scenario."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.engine.coding import Coding
from netsim.engine.job import Planned, compute_of, run_steps
from netsim.engine.train import unequal_speeds
from netsim.workload.live import Live

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from numpy.typing import NDArray

    from netsim.engine.coding import Exchange
    from netsim.engine.job import JobRecord
    from netsim.engine.learn import Learned, Part
    from netsim.scenario.schema import Scenario, Train
    from netsim.workload.base import Timing


@dataclass(frozen=True)
class Pace:
    """The times of a training.

    Attributes:
        job: the record of all exchanges, a step each.
        turns: one mapping a turn: `step_time_s`, its parts and more, summed over its exchanges.
        end_s: [turns] when each is over.
    """

    job: JobRecord
    turns: list[dict[str, Any]]
    end_s: NDArray[np.float64]


def pace(scenario: Scenario, train: Train, learned: Learned) -> Pace:
    """Return the times of what was learned on the cluster of `scenario`, whose scheme and optimizer are not asked."""
    job = run_steps(scenario, _planned(scenario, train, learned))
    turns, first = [], 0
    for exchanges in learned.turns:
        rows = job.steps[first : first + len(exchanges)]
        first += len(exchanges)
        turns.append({key: sum(row[key] for row in rows) for key in job.steps[0] if key != "step"})
    return Pace(job, turns, np.cumsum([one["step_time_s"] for one in turns]))


def _planned(scenario: Scenario, train: Train, learned: Learned) -> Iterator[Planned]:
    """Yield all exchanges; equal ones share their times unless workers draw anew how fast they are."""
    alike = scenario.job.straggler.distribution == "none"
    slower = unequal_speeds(train, scenario.topology.num_workers)
    parts = [_of_part(scenario, train, learned, part) for part in learned.parts]
    number = 0
    for exchanges in learned.turns:
        for place, step in exchanges:
            own, timing = parts[place]
            measured = learned.parts[place].measurement
            coded = Coding(own, measured).of_step(step)
            compute = compute_of(own, measured, timing, number, slower)
            yield Planned(compute, coded, (place, _key(coded)) if alike else None)
            number += 1


def _of_part(scenario: Scenario, train: Train, learned: Learned, part: Part) -> tuple[Scenario, Timing]:
    """Return a scenario with the part's own job, and the seconds of one of its passes."""
    assert isinstance(scenario.workload, Live)
    job = replace(
        scenario.job,
        grad_accumulation=part.passes,
        overlap=scenario.job.overlap if part.overlaps else "none",
    )
    timing = scenario.workload.pass_timing(learned.tensors, part.samples, train.gradient_time)
    # The last update follows the exchange, the others are between passes.
    local_s = timing.optimizer_s * (part.updates - 1) / part.passes
    return replace(scenario, job=job), replace(timing, forward_s=timing.forward_s + local_s)


def _key(exchanges: Sequence[Sequence[Exchange]]) -> Hashable:
    """Return what the time of a step's exchanges depends on."""
    return tuple(
        (one.encode_s, one.decode_s, one.payload.op, one.payload.up_bytes.tobytes(), one.payload.down_bytes)
        for stages in exchanges
        for one in stages
    )
