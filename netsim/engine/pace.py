"""When each turn of a training is over: its exchanges, one after another, on the cluster of a scenario."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.engine.coding import Coding
from netsim.engine.job import JobRecord, run_job
from netsim.record.result import PARTS
from netsim.sync.base import syncs
from netsim.workload.live import Live

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from netsim.engine.learn import Learned, Part
    from netsim.engine.measure import Measurement
    from netsim.scenario.schema import Scenario, Train
    from netsim.topology.graph import Topology
    from netsim.workload.base import Timing


_TOLD = ("step_time_s", *PARTS, "comm_s", "wire_bytes_per_worker")


@dataclass(frozen=True)
class Pace:
    """The times of a training.

    Attributes:
        turns: one mapping a turn: `step_time_s`, its parts and more, summed over its exchanges.
        end_s: [turns] when each is over.
        topology: where it ran.
        link_bytes: [L] bytes each link has carried in all.
        collectives: the names of the collectives that carried the messages.
    """

    turns: list[dict[str, float]]
    end_s: NDArray[np.float64]
    topology: Topology
    link_bytes: NDArray[np.float64]
    collectives: tuple[str, ...]

    def mean(self, column: str) -> float:
        """Return the mean over all turns; NaN of none."""
        return float(np.mean([turn[column] for turn in self.turns])) if self.turns else float("nan")


def pace(scenario: Scenario, train: Train, learned: Learned) -> Pace:
    """Return the times of what was learned on the cluster of `scenario`, whose scheme and optimizer are not asked.

    Exchanges of equal bytes take equal times, unless workers draw anew how fast they are.
    """
    clock = _Clock(scenario, train, learned)
    turns = []
    for exchanges in learned.turns:
        rows = [clock.row(part, step) for part, step in exchanges]
        turns.append({key: float(sum(row[key] for row in rows)) for key in _TOLD})
    end_s = np.cumsum([one["step_time_s"] for one in turns])
    topology = scenario.topology.build(scenario.sync.dedicated_servers)
    used = np.zeros(len(topology.link_names))
    for count, record in zip(clock.counts, clock.records, strict=True):
        if len(record.link_bytes) == len(used):  # else nothing was sent, over an architecture without servers
            used += count * record.link_bytes
    names = {name for record in clock.records for name in record.collectives}
    return Pace(turns, end_s, topology, used, tuple(sorted(names)))


class _Clock:
    """Runs each distinct exchange once, as a job of one step."""

    def __init__(self, scenario: Scenario, train: Train, learned: Learned) -> None:
        self.scenario, self.learned = scenario, learned
        self.draws = scenario.job.straggler.distribution != "none"
        self.parts = [_of_part(scenario, train, learned, part) for part in learned.parts]
        self.records: list[JobRecord] = []
        self.counts: list[int] = []
        self._known: dict[Hashable, int] = {}
        self._number = 0

    def row(self, place: int, step: int) -> dict[str, Any]:
        """Return the seconds and bytes of an exchange."""
        own, timing = self.parts[place]
        measured = _one_step(self.learned.parts[place].measurement, step)
        self._number += 1
        key = self._number if self.draws else (place, _key(own, measured))
        if key not in self._known:
            self._known[key] = len(self.records)
            if self.draws:
                own = replace(own, seed=int(np.random.SeedSequence((own.seed, self._number)).generate_state(1)[0]))
            self.records.append(run_job(own, measured, timing))
            self.counts.append(0)
        number = self._known[key]
        self.counts[number] += 1
        (row,) = self.records[number].steps
        return row


def _one_step(measured: Measurement, step: int) -> Measurement:
    stages, kinds = (measured.stages[step],), (measured.kinds[step],)
    return replace(measured, stages=stages, kinds=kinds, captured=(0,), rel_error=(0.0,), cosine=(1.0,))


def _of_part(scenario: Scenario, train: Train, learned: Learned, part: Part) -> tuple[Scenario, Timing]:
    """Return a scenario with the part's own job, and the seconds of one of its passes."""
    assert isinstance(scenario.workload, Live)
    overlap = scenario.job.overlap if part.overlaps else "none"
    job = replace(scenario.job, steps=1, grad_accumulation=part.passes, overlap=overlap)
    timing = scenario.workload.pass_timing(learned.tensors, part.samples, train.gradient_time)
    # The last update follows the exchange, the others are between passes.
    local_s = timing.optimizer_s * (part.updates - 1) / part.passes
    # Where nothing is sent, any architecture will do.
    sync = scenario.sync if part.measurement.buckets else syncs.get("ring")()
    own = replace(scenario, job=job, sync=sync)
    return own, replace(timing, forward_s=timing.forward_s + local_s)


def _key(scenario: Scenario, measured: Measurement) -> Hashable:
    """Return what the time of an exchange depends on."""
    coding = Coding(scenario, measured)
    return tuple(
        (one.encode_s, one.decode_s, one.payload.op, one.payload.up_bytes.tobytes(), one.payload.down_bytes)
        for bucket in range(len(measured.buckets))
        for one in coding.exchanges(0, bucket)
    )
