"""The composition root: one scenario in, one result out; pure and picklable."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.compress.base import schemes
from netsim.engine.job import JobRecord, run_job
from netsim.engine.measure import Measurement, dense, measure
from netsim.engine.measure import measurement_key as _replayed_key
from netsim.engine.trained import link_table, placed, point_name, simulate_training
from netsim.errors import InputError
from netsim.network.base import fidelities
from netsim.network.transport import transports
from netsim.record.result import PARTS, RUN_COLUMNS, Result
from netsim.registry import label
from netsim.sync.base import syncs
from netsim.workload.cost import costs

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import pandas as pd

    from netsim.scenario.schema import Scenario
    from netsim.workload.base import Gradients, Workload

SPAN_WORKERS = 64
"""Workers whose spans are kept: a timeline of more cannot be read."""


def simulate(
    scenario: Scenario, measurement: Measurement | None = None, baselines: Sequence[float] | None = None
) -> Result:
    """Return the result of one point; the same scenario gives the same result in any process.

    `measurement` is that of `measure(scenario)`, and `baselines` are the seconds of the steps of
    `baselines_of(scenario)`, where they are at hand.
    """
    import pandas as pd

    if scenario.train is not None:
        return simulate_training(scenario, scenario.train)
    measured = measurement or measure(scenario)
    gradients = open_workload(scenario.workload)
    record = run_job(scenario, measured, gradients.timing)
    place = {"point": point_name(scenario), "scheme": scenario.scheme.label, "sync": label(scenario.sync)}
    steps = pd.DataFrame(record.steps).assign(
        captured_step=measured.captured, rel_error=measured.rel_error, cosine=measured.cosine
    )
    spans = pd.DataFrame([span._asdict() for span in record.spans if span.worker < SPAN_WORKERS]).assign(step=0)
    seconds = [dense_step_s(one) for one in baselines_of(scenario)] if baselines is None else baselines
    run = _run(scenario, measured, gradients, record, seconds) | place
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
        },
    )


def measurement_key(scenario: Scenario) -> Hashable:
    """Return what a point's measurement depends on; points that train have none and share that."""
    return None if scenario.train is not None else _replayed_key(scenario)


def measurement_of(scenario: Scenario) -> Measurement | None:
    """Return the measurement of a point, None where it trains."""
    return None if scenario.train is not None else measure(scenario)


@lru_cache(maxsize=8)
def open_workload(workload: Workload) -> Gradients:
    """Return an open workload, kept for the next point of a sweep."""
    return workload.open()


def _run(
    scenario: Scenario, measured: Measurement, gradients: Gradients, record: JobRecord, baselines: Sequence[float]
) -> dict[str, Any]:
    mean = {key: float(np.mean([row[key] for row in record.steps])) for key in record.steps[0] if key != "step"}
    # The mean of each part is taken before they are added, so that they add up to the step in this row too.
    mean["step_time_s"] = sum(mean[part] for part in PARTS)
    bandwidth, latency_s = scenario.topology.access
    (none_s, *others_s), ideal_s = baselines[:-1], baselines[-1]
    by_sync = dict(zip((label(scenario.sync), *_other_syncs(scenario)), (none_s, *others_s), strict=True))
    best_sync = min(by_sync, key=lambda name: by_sync[name])
    best_s = by_sync[best_sync]
    elements = sum(one.numel for one in gradients.tensors)
    return mean | {
        "scenario": scenario.name,
        "topology": scenario.topology.kind,
        "network": scenario.network.kind,
        "transport": scenario.transport.kind,
        "workload": gradients.label,
        "workers": scenario.topology.num_workers,
        "bandwidth_bytes_per_s": bandwidth,
        "latency_s": latency_s,
        "speedup_x": none_s / mean["step_time_s"],
        "dense_bytes": 4 * elements,
        "compression_x": 4 * elements / _payload_bytes(measured),
        "rel_error": measured.update_error,
        "cosine": measured.update_cosine,
        "headroom_x": none_s / ideal_s,
        "bottleneck": _bottleneck(mean, record),
        "extrapolated": bool(gradients.synthetic or scenario.topology.num_workers > measured.workers),
        "seed": scenario.seed,
        "vs_best_dense_x": best_s / mean["step_time_s"],
        "best_dense_sync": best_sync,
        "collective": " + ".join(record.collectives),
        "compute_device": gradients.device,
        "cost_source": scenario.cost.source(),
        "swept": point_name(scenario),
    }


def baselines_of(scenario: Scenario) -> tuple[Scenario, ...]:
    """Return what a point is compared with: no compression over its own architecture and all others, and no network.

    They are stripped of what names the point, so that points can share them.
    """
    if scenario.train is not None:
        return ()
    dense = replace(scenario, scheme=schemes.get("none")(), name="", about="", swept=())
    free = replace(
        dense, network=fidelities.get("ideal")(), transport=transports.get("ideal")(), cost=costs.get("free")()
    )
    return (dense, *(replace(dense, sync=syncs.get(name)()) for name in _other_syncs(scenario)), free)


def _other_syncs(scenario: Scenario) -> list[str]:
    return [name for name in syncs if name != scenario.sync.kind]


@lru_cache(maxsize=1024)
def dense_step_s(scenario: Scenario) -> float:
    """Return the seconds of a step of a baseline; infinity where its topology has no host for its architecture."""
    gradients = open_workload(scenario.workload)
    try:
        record = run_job(scenario, dense(scenario, gradients), gradients.timing)
    except InputError:
        return float("inf")
    # Rounded like a row of the result: the mean of each part, then their sum.
    return sum(float(np.mean([row[part] for row in record.steps])) for part in PARTS)


def _payload_bytes(measured: Measurement) -> float:
    """Return the bytes of one worker's messages in a step, before any architecture multiplies them."""
    of_step = [sum(stage.up_bytes.max() for bucket in step for stage in bucket) for step in measured.stages]
    return float(np.mean(of_step))


def _bottleneck(mean: dict[str, float], record: JobRecord) -> str:
    """Return the largest part of the step; where it is communication, latency or the busiest link."""
    largest = max(PARTS, key=lambda part: mean[part])
    if largest != "exposed_comm_s":
        return largest.removesuffix("_s")
    if mean["comm_latency_s"] > 0.5 * mean["comm_s"]:
        return "latency"
    return f"link {record.link_names[int(np.argmax(record.link_bytes / record.capacity_bytes_per_s))]}"


def _links(record: JobRecord) -> pd.DataFrame:
    links = link_table(record.link_names, record.capacity_bytes_per_s, record.latency_s)
    used_s = record.link_bytes / record.capacity_bytes_per_s
    return links.assign(bytes_per_step=record.link_bytes / len(record.steps), utilisation=used_s / record.total_s)
