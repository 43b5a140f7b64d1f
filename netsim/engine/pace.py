"""When each turn of a training is over: its exchanges, one after another, on the cluster of a scenario."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.engine.bottleneck import Sent
from netsim.engine.coding import Coding
from netsim.engine.job import CollectiveJob, run_job
from netsim.errors import InputError
from netsim.record.result import PARTS
from netsim.sync.base import syncs
from netsim.sync.parameter_server import ParameterServer
from netsim.workload.live import Live

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from numpy.typing import NDArray

    from netsim.engine.channel import Part
    from netsim.engine.job import JobRecord
    from netsim.engine.learn import Learned
    from netsim.engine.measure import Measurement
    from netsim.network.base import LinkState
    from netsim.scenario.schema import Scenario, Train
    from netsim.sync.base import Payload
    from netsim.topology.graph import Topology
    from netsim.workload.base import Tensor, Timing


TOLD = ("step_time_s", *PARTS, "comm_s", "comm_wait_s", "wire_bytes_per_worker")
"""What is told of a turn, its seconds first."""


@dataclass(frozen=True)
class Pace:
    """The times of a training.

    Attributes:
        turns: one mapping a turn: `step_time_s`, its parts and more, summed over its exchanges.
        end_s: [turns] when each is over.
        topology: where it ran.
        link_bytes: [L] bytes each link has carried in all.
        link_share: [L] the part of its capacity that each link has had, in the mean.
        collectives: the names of the collectives that carried the messages.
        sent: what the mean turn sends.
        link_state: what links have been like, where they change.
    """

    turns: list[dict[str, float]]
    end_s: NDArray[np.float64]
    topology: Topology
    link_bytes: NDArray[np.float64]
    link_share: NDArray[np.float64]
    collectives: tuple[str, ...]
    sent: list[Sent]
    link_state: LinkState | None

    def mean(self, column: str) -> float:
        """Return the mean over all turns; NaN of none."""
        return float(np.mean([turn[column] for turn in self.turns])) if self.turns else float("nan")


def pace(scenario: Scenario, train: Train, learned: Learned) -> Pace:
    """Return the times of what was learned on the cluster of `scenario`, whose scheme and optimizer are not asked.

    Exchanges of equal bytes take equal times, unless workers draw anew how fast they are, or conditions change.
    """
    clock = Clock(scenario, train, learned.tensors)
    turns = [clock.turn((place, learned.parts[place], step) for place, step in turn) for turn in learned.turns]
    end_s = np.cumsum([one["step_time_s"] for one in turns])
    topology = scenario.topology.build(scenario.sync.dedicated_servers)
    used, share = np.zeros(len(topology.link_names)), np.ones(len(topology.link_names))
    state = None
    for count, record in clock.records():
        if len(record.link_bytes) == len(used):  # else nothing was sent, over an architecture without servers
            used += count * record.link_bytes / (record.link_steps or len(record.steps))
            # Only the one record of a job that goes on has other links than the topology's.
            share, state = record.link_share, record.link_state
    names = {name for _, record in clock.records() for name in record.collectives}
    return Pace(turns, end_s, topology, used, share, tuple(sorted(names)), clock.sent(len(turns)), state)


class Clock:
    """Times the exchanges of a training, one after another.

    Each distinct exchange is run once, as a job of one step; where something befalls the cluster, or checkpoints are
    kept, all are steps of one job, so that everything lies on one clock.
    """

    def __init__(self, scenario: Scenario, train: Train, tensors: Sequence[Tensor]) -> None:
        self.scenario, self.train, self.tensors = scenario, train, tensors
        self.draws = scenario.job.straggler.distribution != "none"
        self._job: CollectiveJob | None = None
        if scenario.conditions or scenario.job.checkpoint.every:
            if isinstance(scenario.sync, ParameterServer):
                remedy = "use a collective such as ring, or remove `conditions` and `job.checkpoint`"
                raise InputError("turns over a parameter server are timed one by one", remedy, "sync")
            self._job = CollectiveJob(scenario)
        self._parts: dict[int, tuple[Scenario, Timing]] = {}
        self._known: dict[Hashable, tuple[int, JobRecord]] = {}
        self._sent: dict[Hashable, Sent] = {}
        self._number = 0

    def turn(self, exchanges: Iterable[tuple[int, Part, int]]) -> dict[str, float]:
        """Return the seconds and bytes of a turn, given the number, the part and the step in it of each exchange."""
        rows = [self._row(*one) for one in exchanges]
        return {key: float(sum(row[key] for row in rows)) for key in TOLD}

    def sent(self, turns: int) -> list[Sent]:
        """Return what the mean of so many turns has sent."""
        return [one._replace(times=one.times / turns) for one in self._sent.values()]

    def records(self) -> list[tuple[int, JobRecord]]:
        """Return what was run, and how many exchanges each record stands for, one a step of it or all of them."""
        if self._job is None:
            return list(self._known.values())
        record = self._job.record()
        return [(len(record.steps), record)] if record.steps else []

    def _row(self, place: int, part: Part, step: int) -> dict[str, Any]:
        if place not in self._parts:
            self._parts[place] = _of_part(self.scenario, self.train, self.tensors, part)
        own, timing = self._parts[place]
        measured = _one_step(part.measurement, step)
        self._number += 1
        kind = place, _key(own, measured)
        known = self._sent.get(kind, Sent(own, measured, 0, 0.0))
        self._sent[kind] = known._replace(times=known.times + 1)
        if self.draws:
            own = replace(own, seed=int(np.random.SeedSequence((own.seed, self._number)).generate_state(1)[0]))
        if self._job is not None:
            return self._next(self._job, own, measured, timing)
        key = self._number if self.draws else kind
        count, record = self._known.get(key) or (0, run_job(own, measured, timing))
        self._known[key] = count + 1, record
        (row,) = record.steps
        return row

    @staticmethod
    def _next(job: CollectiveJob, own: Scenario, measured: Measurement, timing: Timing) -> dict[str, Any]:
        begin_s = job.env.now
        job.run(own, measured, timing)
        row, took_s = job.steps.rows[-1], job.env.now - begin_s
        # Steps that a failure undid may have taken another time when they were done again.
        more_s = took_s - row["step_time_s"]
        return row if np.isclose(more_s, 0.0, atol=1e-9 * took_s) else _longer(row, more_s)


def _longer(row: dict[str, Any], more_s: float) -> dict[str, Any]:
    return row | {"step_time_s": row["step_time_s"] + more_s, "lost_s": row["lost_s"] + more_s}


def _one_step(measured: Measurement, step: int) -> Measurement:
    stages, variants = (measured.stages[step],), (measured.variants[step],)
    return replace(measured, stages=stages, variants=variants, captured=(0,), rel_error=(0.0,), cosine=(1.0,))


def _of_part(scenario: Scenario, train: Train, tensors: Sequence[Tensor], part: Part) -> tuple[Scenario, Timing]:
    """Return a scenario with the part's own job, and the seconds of one of its passes."""
    assert isinstance(scenario.workload, Live)
    overlap = scenario.job.overlap if part.overlaps else "none"
    job = replace(scenario.job, steps=1, grad_accumulation=part.passes, overlap=overlap)
    timing = scenario.workload.pass_timing(tensors, part.samples, train.gradient_time)
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
        (one.encode_s, one.decode_s, one.payload.op, one.payload.down_bytes, *_held(one.payload))
        for bucket in range(len(measured.buckets))
        for one in coding.exchanges(0, bucket)
    )


def _held(payload: Payload) -> list[bytes | None]:
    arrays = payload.up_bytes, payload.up_shares, payload.down_shares, payload.union_bytes
    return [None if one is None else one.tobytes() for one in arrays]
