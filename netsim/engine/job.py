"""One training job in simulated time: a SimPy process that runs step after step and notes where the time goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import simpy

from netsim.conditions import Cluster
from netsim.engine.coding import Coding
from netsim.engine.device import Compute
from netsim.engine.restart import Steps
from netsim.engine.spans import Span, as_done
from netsim.engine.step import Step
from netsim.engine.watch import Watch, alone_s, run_until
from netsim.sync.parameter_server import ParameterServer

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable

    from numpy.typing import NDArray

    from netsim.conditions import Devices
    from netsim.engine.measure import Measurement
    from netsim.network.base import LinkState, Seen
    from netsim.scenario.schema import Scenario, Straggler, Train
    from netsim.workload.base import Timing


@dataclass(frozen=True)
class JobRecord:
    """What a job leaves behind.

    Attributes:
        steps: one mapping a step: `step_time_s`, its parts and more, as means over workers.
        spans: what the first workers did in the first step.
        link_names: [L] names of the links.
        capacity_bytes_per_s, latency_s: [L] of the links, before any transport.
        link_bytes: [L] bytes each link has carried.
        link_share: [L] the part of its capacity that each link has had, in the mean.
        link_state: what links have been like, in the mean over the time in which they had not failed.
        link_held_s: [L] seconds that transfers have held each link, added up over transfers; NaN where not known.
        total_s: seconds of all steps.
        collectives: the names of the collectives that carried the messages.
        link_steps: how many steps of all workers the bytes of the links are of; 0 stands for all in `steps`.
        spans_begin_s: the second that the spans are counted from.
        imbalance: the elements of the fullest server over those of all servers' mean.
    """

    steps: list[dict[str, Any]]
    spans: list[Span]
    link_names: list[str]
    capacity_bytes_per_s: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    link_bytes: NDArray[np.float64]
    link_share: NDArray[np.float64]
    link_state: LinkState
    link_held_s: NDArray[np.float64]
    total_s: float
    collectives: tuple[str, ...]
    link_steps: float = 0.0
    imbalance: float = 1.0
    spans_begin_s: float = 0.0


def run_job(
    scenario: Scenario,
    measurement: Measurement,
    timing: Timing,
    seen: Seen | None = None,
    most_transfers: float = np.inf,
) -> JobRecord:
    """Simulate all steps of a scenario; `seen` is told at every instant what each link carries.

    Raises:
        InputError: a collective has more than `most_transfers` that would have to be solved one by one.
        Deadlock: nothing more can happen although workers still wait.
    """
    sync = scenario.sync
    if isinstance(sync, ParameterServer) or scenario.job.scheduling == "priority":
        # These make records too.
        from netsim.engine.priority_rows import PriorityRows
        from netsim.engine.server_rows import ServerRows, keeps_to
        from netsim.engine.worker_processes import WorkerProcesses

        if isinstance(sync, ParameterServer) and keeps_to(sync, scenario.job):
            return ServerRows(scenario, sync, measurement, timing, seen).run()
        kind = WorkerProcesses if isinstance(sync, ParameterServer) else PriorityRows
        workers = kind(scenario, sync, measurement, timing, seen)
        workers.network.most_transfers = most_transfers
        return workers.run()
    job = CollectiveJob(scenario, seen)
    job.network.most_transfers = most_transfers
    job.run(scenario, measurement, timing)
    return job.record()


class Work(NamedTuple):
    """A step that a job has to do: the scenario that it is one of, what is sent, and the step's place in that."""

    scenario: Scenario
    coding: Coding
    timing: Timing
    step: int


class CollectiveJob:
    """A job of collectives on one network that runs on, so that what befalls it lies on one clock."""

    def __init__(self, scenario: Scenario, seen: Seen | None = None) -> None:
        self.env = simpy.Environment(initial_time=0.0)
        self.topology = scenario.topology.build(scenario.sync.dedicated_servers)
        self.network = scenario.network.build(self.env, self.topology, scenario.transport)
        if seen is not None:
            self.network.watch(seen)
        self.nodes = self.topology.workers, self.topology.servers[: scenario.sync.dedicated_servers]
        self.cluster = Cluster(self.env, self.network, self.topology.workers, scenario.seed)
        self.cluster.begin(scenario.conditions)
        self.steps = Steps(scenario.job.checkpoint, self.cluster)
        self.spans: list[Span] = []
        self.names: set[str] = set()
        self._work: list[Work] = []
        self._current: Step | None = None

    def run(self, scenario: Scenario, measurement: Measurement, timing: Timing) -> None:
        """Do all steps of a scenario on this job's cluster, after those that are done.

        Raises:
            Deadlock: nothing more can happen although workers still wait.
        """
        coding = Coding(scenario, measurement)
        self._work += [Work(scenario, coding, timing, step) for step in range(scenario.job.steps)]
        watch = Watch(self.cluster, self._alone_s, self._moved) if scenario.conditions else None
        run_until(self.env.process(self._job()), self._waiting, watch)

    def _job(self) -> Generator[simpy.Event, Any, None]:
        env, devices = self.env, self.cluster.devices
        while self.steps.number < len(self._work):
            number = self.steps.number
            scenario, coding, timing, place = self._work[number]
            exchanges = [coding.exchanges(place, bucket) for bucket in range(len(coding.measurement.buckets))]
            self.names.update(one.sync.describe(one.payload.op) for stages in exchanges for one in stages)
            pieces = [coding.pieces(bucket) for bucket in range(len(exchanges))]
            compute = compute_of(scenario, coding.measurement, timing, place)
            step = self._current = Step(env, self.network, self.nodes, compute, exchanges, pieces, devices)
            if not (yield from self.steps.run(step)):
                continue
            if not number:
                self.spans = as_done(step.spans)
            yield from self.steps.add(_account(step, compute, env.now, devices))

    def _waiting(self) -> list[str]:
        return self._current.waiting() if self._current else []

    def _moved(self) -> Hashable:
        return None if self._current is None else (id(self._current), int(self._current.next_item.sum()))

    def _alone_s(self) -> float:
        step = self._current
        assert step is not None
        return alone_s([[one.exchange] for one in step.items], float(step.compute.backward_end_s.max()), self.cluster)

    def record(self) -> JobRecord:
        """Return what the job leaves behind so far."""
        return JobRecord(
            self.steps.rows,
            self.spans,
            self.topology.link_names,
            self.topology.capacity_bytes_per_s,
            self.topology.latency_s,
            self.network.carried_bytes(),
            self.network.links.mean_share(self.env.now),
            self.network.links.while_up(self.env.now),
            self.network.held_s(),
            float(self.env.now),
            tuple(sorted(self.names)),
        )


def compute_of(scenario: Scenario, measurement: Measurement, timing: Timing, step: int) -> Compute:
    """Return the seconds of a step's computation: all micro-batches, the last one's backward making gradients ready."""
    job, count = scenario.job, scenario.topology.num_workers
    factor = slowness(job.straggler, count, np.random.default_rng((scenario.seed, step)))
    if scenario.train is not None:
        factor = factor * unequal_speeds(scenario.train, count)
    before_s = job.grad_accumulation * timing.forward_s + (job.grad_accumulation - 1) * timing.backward_s
    last = [bucket.last - 1 for bucket in measurement.buckets]
    ready_s = np.array([timing.ready_s[place] for place in last])
    if job.overlap == "none":
        ready_s = np.full(len(last), timing.backward_s)
    return Compute(
        forward_s=factor * before_s,
        backward_end_s=factor * (before_s + timing.backward_s),
        ready_s=(before_s + ready_s)[:, None] * factor,
        optimizer_s=timing.optimizer_s,
    )


def unequal_speeds(train: Train, count: int) -> NDArray[np.float64]:
    """Return [W] factors on the workers' compute times, from 1 to the spread; the last workers are the slowest."""
    if train.slow_workers is not None:
        return np.where(np.arange(count) < count - train.slow_workers, 1.0, train.speed_spread)
    return np.asarray(train.speed_spread ** (np.arange(count) / max(count - 1, 1)))


def slowness(straggler: Straggler, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return [n] factors on the workers' compute times."""
    spread, factor = straggler.spread, np.ones(count)
    if straggler.distribution == "lognormal":
        factor = np.exp(rng.normal(0.0, spread, count))
    if straggler.distribution == "uniform":
        factor = rng.uniform(1.0, 1.0 + spread, count)
    if straggler.distribution == "normal":
        factor = np.maximum(rng.normal(1.0, spread, count), 0.0)
    if straggler.distribution == "exponential":
        factor = 1.0 + rng.exponential(spread, count)
    if straggler.factors:
        factor = factor * np.array(straggler.factors)[np.arange(count) % len(straggler.factors)]
    return factor


def _account(step: Step, compute: Compute, end_s: float, devices: Devices) -> dict[str, Any]:
    """Return where a step's time went, as means over workers; what a device does not work is exposed communication."""
    parts = {
        "compute_s": float(compute.backward_end_s.mean()),
        "encode_s": float(step.device.encode_s.mean()),
        "decode_s": float(step.device.decode_s.mean()),
        "optimizer_s": compute.optimizer_s,
        "lost_s": float(devices.down_s(step.begin_s, end_s).mean()),
    }
    step_time_s = end_s - step.begin_s
    exposed_s = max(step_time_s - sum(parts.values()), 0.0)
    return {
        "step_time_s": step_time_s,
        **parts,
        "exposed_comm_s": exposed_s,
        "comm_s": float(step.comm_s.mean()),
        "comm_wait_s": float(step.wait_s.mean()),
        "comm_latency_s": step.latency_s,
        "wire_bytes_per_worker": float(step.sent_bytes.mean()),
    }
