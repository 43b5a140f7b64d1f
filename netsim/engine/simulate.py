"""The composition root: one scenario in, one result out; pure and picklable."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from netsim.compress.base import schemes
from netsim.engine.bottleneck import bottleneck, sent_by
from netsim.engine.coding import assumed
from netsim.engine.job import JobRecord, run_job
from netsim.engine.learn import Learned, learn, learned_key
from netsim.engine.learned import dense_of, least
from netsim.engine.measure import Measurement, dense, measure
from netsim.engine.measure import measurement_key as replayed_key
from netsim.engine.trained import (
    conditions_name,
    link_table,
    place_of,
    placed,
    point_name,
    simulate_learned,
    simulate_training,
)
from netsim.errors import InputError, NetsimError
from netsim.given import shown
from netsim.network.base import fidelities
from netsim.network.transport import transports
from netsim.record.result import PARTS, RUN_COLUMNS, Result
from netsim.registry import label
from netsim.scenario.rules import learns
from netsim.scenario.schema import Scenario
from netsim.sync.base import syncs
from netsim.workload.cost import costs

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    import pandas as pd

    from netsim.workload.base import Gradients, Workload


MANY_WORKERS, MOST_TRANSFERS = 1024, 4_000_000
"""Beyond so many workers, other architectures are compared with only where an exchange has no more transfers than this
that are solved one by one: it would take minutes, or all memory."""


class Baseline(NamedTuple):
    """What a point is compared with, and how many transfers an exchange of it may have."""

    scenario: Scenario
    most_transfers: float = np.inf


def simulate(scenario: Scenario, *measured: Any, baselines: Sequence[float] = ()) -> Result:
    """Return the result of one point; the same scenario gives the same result in any process.

    `measured` are the measurements of `needs(scenario)`, `baselines` the seconds of the steps of
    `baselines_of(scenario)`, where they are at hand.

    Raises:
        NetsimError: what is given is no scenario, or it cannot be simulated.
    """
    _check(scenario, measured, baselines)
    at_hand = measured or tuple(measure_point(one) for one in needs(scenario))
    if scenario.train is None:
        known = baselines or [dense_step_s(one) for one in baselines_of(scenario)]
        return _simulate_replay(scenario, known, *at_hand)
    if at_hand:
        return simulate_learned(scenario, scenario.train, *at_hand)
    return simulate_training(scenario, scenario.train)


def _check(scenario: object, measured: Sequence[object], baselines: Sequence[float]) -> None:
    if not isinstance(scenario, Scenario):
        remedy = "give one of those that netsim.load returns; netsim.sweep takes them all"
        raise InputError(f"{shown(scenario)} is no scenario", remedy)
    if wrong := [one for one in measured if not isinstance(one, Measurement | Learned)]:
        raise InputError(f"{shown(wrong[0])} is no measurement", "give one scenario; netsim.sweep takes several")
    if baselines and len(baselines) != len(baselines_of(scenario)):
        problem = f"{len(baselines)} baselines for {len(baselines_of(scenario))}"
        raise InputError(problem, "leave them out, or give one a member of baselines_of")


def needs(scenario: Scenario) -> tuple[Scenario, ...]:
    """Return the points whose measurements a point's result is made of.

    A training that does not depend on time is held against that of `none`; others are measured as they run.
    """
    if scenario.train is None:
        return (scenario,)
    return (scenario, dense_of(scenario)) if learns(scenario) else ()


def measurement_key(scenario: Scenario) -> Hashable:
    """Return what a point's measurement depends on."""
    return replayed_key(scenario) if scenario.train is None else learned_key(scenario, scenario.train)


def measure_point(scenario: Scenario, file: Path | None = None) -> Measurement | Learned:
    """Return the measurement of a point: of replayed gradients, or of a training, which is kept in `file`."""
    return measure(scenario) if scenario.train is None else learn(scenario, scenario.train, file)


def _simulate_replay(scenario: Scenario, baselines: Sequence[float], measured: Measurement) -> Result:
    import pandas as pd

    gradients = open_workload(scenario.workload)
    record = run_job(scenario, measured, gradients.timing)
    place = place_of(scenario)
    steps = _steps(record, measured)
    spans = pd.DataFrame([span._asdict() for span in record.spans]).assign(step=0)
    run = _run(scenario, measured, gradients, record, baselines[-1]) | _compared(scenario, record, baselines) | place
    return Result(
        runs=pd.DataFrame([run])[list(RUN_COLUMNS)],
        steps=placed(steps, place),
        links=placed(_links(record), place),
        spans=placed(spans, place),
        curves=pd.DataFrame(columns=list(place)).astype(str),
        provenance={
            "trace": gradients.trace_id,
            "compute_device": gradients.device,
            "cost_source": scenario.cost.source(),
            "seed": scenario.seed,
            "not_compared": _not_compared(scenario, baselines),
        },
    )


def _steps(record: JobRecord, measured: Measurement) -> pd.DataFrame:
    """Return the rows of the steps with what each lost; asynchronous workers take the measured steps in turn."""
    import pandas as pd

    steps = pd.DataFrame(record.steps)
    of = steps["step"].to_numpy() % len(measured.captured)
    lost = {"captured_step": measured.captured, "rel_error": measured.rel_error, "cosine": measured.cosine}
    return steps.assign(**{name: np.array(values)[of] for name, values in lost.items()})


@lru_cache(maxsize=8)
def open_workload(workload: Workload) -> Gradients:
    """Return an open workload, kept for the next point of a sweep."""
    return workload.open()


def _run(
    scenario: Scenario, measured: Measurement, gradients: Gradients, record: JobRecord, ideal_s: float
) -> dict[str, Any]:
    told = record.steps[0].keys() - {"step", "worker", "begin_s", "end_s", "staleness"}
    mean = {key: float(np.mean([row[key] for row in record.steps])) for key in record.steps[0] if key in told}
    stale = [row.get("staleness", 0) for row in record.steps]
    # The mean of each part is taken before they are added, so that they add up to the step in this row too.
    mean["step_time_s"] = sum(mean[part] for part in PARTS)
    bandwidth, latency_s = scenario.topology.access
    elements = sum(one.numel for one in gradients.tensors)
    return mean | {
        "topology": scenario.topology.kind,
        "network": scenario.network.kind,
        "transport": scenario.transport.kind,
        "workload": gradients.label,
        "workers": scenario.topology.num_workers,
        "bandwidth_bytes_per_s": bandwidth,
        "latency_s": latency_s,
        "dense_bytes": 4 * elements,
        "compression_x": 4 * elements / _payload_bytes(measured),
        "rel_error": measured.update_error,
        "cosine": measured.update_cosine,
        "bottleneck": bottleneck(
            scenario, sent_by(scenario, measured), record.link_state, mean, _waits_s(mean, ideal_s)
        ),
        "extrapolated": bool(gradients.synthetic or scenario.topology.num_workers > measured.workers),
        "seed": scenario.seed,
        "collective": " + ".join(record.collectives),
        "compute_device": gradients.device,
        "cost_source": scenario.cost.source(),
        "cost_assumed": assumed(scenario.cost, measured.variants),
        "swept": point_name(scenario),
        "conditions": conditions_name(scenario),
        "staleness_mean": float(np.mean(stale)),
        "staleness_max": float(max(stale)),
        "server_imbalance_x": record.imbalance,
    }


def _waits_s(mean: dict[str, float], ideal_s: float) -> float:
    """Return for how long devices would wait without a network, which is for each other, given such a step."""
    return ideal_s - mean["compute_s"] - mean["optimizer_s"] - mean["lost_s"] if np.isfinite(ideal_s) else 0.0


def _compared(scenario: Scenario, record: JobRecord, baselines: Sequence[float]) -> dict[str, Any]:
    """Return how a point does against its baselines; NaN against what could not be had."""
    step_s = _step_s(record)
    none_s, *_, ideal_s = (seconds if np.isfinite(seconds) else np.nan for seconds in baselines)
    by_sync = dict(zip(_syncs(scenario), baselines[:-1], strict=True))
    best_s, best = least(by_sync)
    return {
        "speedup_x": none_s / step_s,
        "headroom_x": none_s / ideal_s,
        "vs_best_dense_x": best_s / step_s,
        "best_dense_sync": best,
    }


def _not_compared(scenario: Scenario, baselines: Sequence[float]) -> list[str]:
    """Return the architectures that a point could not be compared with, and `ideal` for no network."""
    known = zip((*_syncs(scenario), "ideal"), baselines, strict=True)
    return [name for name, seconds in known if np.isinf(seconds)]


def _syncs(scenario: Scenario) -> tuple[str, ...]:
    return label(scenario.sync), *_other_syncs(scenario)


def baselines_of(scenario: Scenario) -> tuple[Baseline, ...]:
    """Return what a point is compared with: no compression over its own architecture and all others, and no network.

    They are stripped of what names the point, so that points can share them.
    """
    if scenario.train is not None:
        return ()
    dense = replace(scenario, scheme=schemes.get("none")(), name="", about="", swept=())
    free = replace(
        dense,
        network=fidelities.get("ideal")(),
        transport=transports.get("ideal")(),
        cost=costs.get("free")(),
        conditions=tuple(one for one in scenario.conditions if one.touches_workers),
    )
    most = MOST_TRANSFERS if scenario.topology.num_workers > MANY_WORKERS else np.inf
    others = [Baseline(replace(dense, sync=syncs.get(name)()), most) for name in _other_syncs(scenario)]
    return Baseline(dense), *others, Baseline(free)


def _other_syncs(scenario: Scenario) -> list[str]:
    return [name for name in syncs if name != scenario.sync.kind]


@lru_cache(maxsize=1024)
def dense_step_s(baseline: Baseline) -> float:
    """Return the seconds of a step of a baseline; infinity where it cannot be had.

    Its topology has no host for its architecture then, its architecture has too many transfers, or it gets nowhere
    under what befalls the cluster: nobody asked for it, so that it is no reason to give up the point.
    """
    scenario, most = baseline
    gradients = open_workload(scenario.workload)
    try:
        scenario.sync.check(scenario.topology.num_workers)
        return _step_s(run_job(scenario, dense(scenario, gradients), gradients.timing, most_transfers=most))
    except NetsimError:
        return float("inf")


def _step_s(record: JobRecord) -> float:
    """Return the seconds of a step, rounded like a row of the result: the mean of each part, then their sum."""
    return sum(float(np.mean([row[part] for row in record.steps])) for part in PARTS)


def _payload_bytes(measured: Measurement) -> float:
    """Return the bytes of one worker's messages in a step, before any architecture multiplies them."""
    of_step = [sum(stage.up_bytes.max() for bucket in step for stage in bucket) for step in measured.stages]
    return float(np.mean(of_step))


def _links(record: JobRecord) -> pd.DataFrame:
    links = link_table(record.link_names, record.capacity_bytes_per_s, record.latency_s)
    used_s, had_s = record.link_bytes / record.capacity_bytes_per_s, record.link_share * record.total_s
    steps = record.link_steps or len(record.steps)
    return links.assign(
        bytes_per_step=record.link_bytes / steps,
        utilisation=used_s / np.maximum(had_s, 1e-300),
        transfers=record.link_held_s / record.total_s,
    )
