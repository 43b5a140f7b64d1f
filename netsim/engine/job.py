"""One training job in simulated time: a SimPy process that runs step after step and notes where the time goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from netsim.engine.coding import Coding
from netsim.engine.step import Compute, Span, Step
from netsim.errors import Deadlock
from netsim.sync.parameter_server import ParameterServer

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Iterable

    from numpy.typing import NDArray

    from netsim.engine.coding import Exchange
    from netsim.engine.measure import Measurement
    from netsim.scenario.schema import Scenario, Straggler
    from netsim.workload.base import Timing


@dataclass(frozen=True)
class JobRecord:
    """What a job leaves behind.

    Attributes:
        steps: one mapping a step: `step_time_s`, its parts and more, as means over workers.
        spans: what workers did in the first step.
        link_names: [L] names of the links.
        capacity_bytes_per_s, latency_s: [L] of the links, before any transport.
        link_bytes: [steps, L] bytes each link has carried in each step; [1, L] of all where steps overlap.
        total_s: seconds of all steps.
        collectives: the names of the collectives that carried the messages.
        link_steps: how many steps of all workers the bytes of the links are of; 0 stands for all in `steps`.
        imbalance: the elements of the fullest server over those of all servers' mean.
    """

    steps: list[dict[str, Any]]
    spans: list[Span]
    link_names: list[str]
    capacity_bytes_per_s: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    link_bytes: NDArray[np.float64]
    total_s: float
    collectives: tuple[str, ...]
    link_steps: float = 0.0
    imbalance: float = 1.0


@dataclass(frozen=True)
class Planned:
    """A step that is still to be run: what is computed and exchanged; steps of one `key` take the same time."""

    compute: Compute
    exchanges: list[list[Exchange]]
    key: Hashable = None


def run_job(scenario: Scenario, measurement: Measurement, timing: Timing) -> JobRecord:
    """Simulate all steps of a scenario.

    Raises:
        Deadlock: nothing more can happen although workers still wait.
    """
    if isinstance(scenario.sync, ParameterServer):
        from netsim.engine.server_job import ServerJob  # which makes records too

        return ServerJob(scenario, scenario.sync, measurement, timing).run()
    coding = Coding(scenario, measurement)
    planned = (
        Planned(compute_of(scenario, measurement, timing, number), coding.of_step(number))
        for number in range(scenario.job.steps)
    )
    return run_steps(scenario, planned)


def run_steps(scenario: Scenario, planned: Iterable[Planned]) -> JobRecord:
    """Simulate steps one after another; a step with the key of an earlier one takes what that one took.

    Raises:
        Deadlock: nothing more can happen although workers still wait.
    """
    env = simpy.Environment(initial_time=0.0)
    topology = scenario.topology.build(scenario.sync.dedicated_servers)
    network = scenario.network.build(env, topology, scenario.transport)
    nodes = topology.workers, topology.servers[: scenario.sync.dedicated_servers]
    rows: list[dict[str, Any]] = []
    carried_bytes: list[NDArray[np.float64]] = []
    known: dict[Hashable, int] = {}
    spans: list[Span] = []
    names: set[str] = set()
    current: list[Step] = []

    def job() -> Generator[simpy.Event, Any, None]:
        for number, one in enumerate(planned):
            earlier = known.setdefault(one.key, number) if one.key is not None else number
            if earlier < number:
                rows.append(rows[earlier] | {"step": number})
                carried_bytes.append(carried_bytes[earlier])
                continue
            before_bytes = network.links.nbytes.copy()
            names.update(stage.sync.describe(stage.payload.op) for stages in one.exchanges for stage in stages)
            step = Step(env, network, nodes, one.compute, one.exchanges)
            current[:] = [step]
            yield step.finished
            rows.append(_account(step, one.compute, env.now) | {"step": number})
            carried_bytes.append(network.links.nbytes - before_bytes)
            if not number:
                spans.extend(step.spans)

    process = env.process(job())
    env.run()
    if process.is_alive:
        raise Deadlock("the simulation is stuck: " + "; ".join(current[0].waiting()[:20]))
    return JobRecord(
        rows,
        spans,
        topology.link_names,
        topology.capacity_bytes_per_s,
        topology.latency_s,
        np.array(carried_bytes).reshape(len(rows), len(topology.link_names)),
        float(sum(row["step_time_s"] for row in rows)),
        tuple(sorted(names)),
    )


def compute_of(
    scenario: Scenario,
    measurement: Measurement,
    timing: Timing,
    step: int,
    slower: NDArray[np.float64] | float = 1.0,
) -> Compute:
    """Return the seconds of a step's computation: all micro-batches, the last one's backward making gradients ready.

    `slower` [n] are factors that last, beside those that `job.straggler` draws for every step.
    """
    job, count = scenario.job, scenario.topology.num_workers
    factor = slower * slowness(job.straggler, count, np.random.default_rng((scenario.seed, step)))
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


def slowness(straggler: Straggler, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return [n] factors on the workers' compute times."""
    if straggler.distribution == "lognormal":
        return np.exp(rng.normal(0.0, straggler.spread, count))
    if straggler.distribution == "uniform":
        return rng.uniform(1.0, 1.0 + straggler.spread, count)
    return np.ones(count)


def _account(step: Step, compute: Compute, end_s: float) -> dict[str, Any]:
    """Return where a step's time went, as means over workers; what a device does not work is exposed communication."""
    parts = {
        "compute_s": float(compute.backward_end_s.mean()),
        "encode_s": float(step.encode_s.mean()),
        "decode_s": float(step.decode_s.mean()),
        "optimizer_s": compute.optimizer_s,
    }
    step_time_s = end_s - step.begin_s
    exposed_s = max(step_time_s - sum(parts.values()), 0.0)
    return {
        "step_time_s": step_time_s,
        **parts,
        "exposed_comm_s": exposed_s,
        "comm_s": float(step.comm_s.mean()),
        "comm_latency_s": step.latency_s,
        "wire_bytes_per_worker": float(step.sent_bytes.mean()),
    }
