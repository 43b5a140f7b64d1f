"""The result of a point whose training was measured once: its curve on this cluster, and what it is against `none`."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from netsim.compress.base import schemes
from netsim.engine.bottleneck import bottleneck
from netsim.engine.buckets import FLOAT32_BYTES
from netsim.engine.pace import TOLD, pace
from netsim.engine.progress import GOALS
from netsim.errors import NetsimError
from netsim.network.base import fidelities
from netsim.network.transport import transports
from netsim.optim.base import Synchronous
from netsim.record.result import PARTS
from netsim.registry import label
from netsim.sync.base import syncs
from netsim.workload.cost import costs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from netsim.engine.learn import Learned
    from netsim.engine.pace import Pace
    from netsim.scenario.schema import Scenario, Train


def dense_of(scenario: Scenario) -> Scenario:
    """Return the point with scheme `none`, no policy, and the optimizer that its own one is an approximation of."""
    assert scenario.train is not None
    assert isinstance(scenario.train.optimizer, Synchronous)
    train = replace(scenario.train, optimizer=scenario.train.optimizer.dense, policy=None)
    return replace(scenario, scheme=schemes.get("none")(), train=train, name="", about="", swept=())


class Compared(NamedTuple):
    """What a training is held against: seconds for a sample on every worker, without compression.

    Attributes:
        none_s, to_target_s: over its own architecture, and what it takes to the target there.
        best_s, best_sync: over the best of all architectures.
        ideal_s: on an infinitely fast network.
        missing: what could not be had, whose seconds are NaN: architectures, and `ideal` for no network.
    """

    none_s: float
    to_target_s: float
    best_s: float
    best_sync: str
    ideal_s: float
    missing: list[str]


def compared(scenario: Scenario, baseline: Learned) -> Compared:
    """Return what a point is held against; `baseline` is what `dense_of` it has learned."""
    dense = dense_of(scenario)
    assert dense.train is not None
    known = {name: _summary(one, dense.train, baseline) for name, one in _over_all(dense)}
    own, ideal = known[label(dense.sync)], _summary(_free(dense), dense.train, baseline)
    best_s, best_sync = least({name: one["evaluation_s"] for name, one in known.items()})
    missing = [name for name, one in (known | {"ideal": ideal}).items() if one is _MISSING]
    return Compared(own["evaluation_s"], own["time_to_target_s"], best_s, best_sync, ideal["evaluation_s"], missing)


def least(seconds: Mapping[str, float]) -> tuple[float, str]:
    """Return the least of some seconds that are known, and whose they are; NaN and no name where none is."""
    known = {name: one for name, one in seconds.items() if np.isfinite(one)}
    best = min(known, key=lambda name: known[name], default="")
    return known.get(best, float("nan")), best


def learned_row(scenario: Scenario, train: Train, learned: Learned, against: Compared, timed: Pace) -> dict[str, Any]:
    """Return the columns of `runs` that tell of steps, of the target, and of both against the baseline."""
    own = summary(train, learned, timed)
    mean = {key: timed.mean(key) for key in TOLD[1:]}
    held_up = bottleneck(scenario, timed.sent, timed.link_state, mean, mean["comm_wait_s"]) if timed.turns else ""
    evaluation_s = own["evaluation_s"]
    payload = _payload_bytes(learned)
    dense_bytes = FLOAT32_BYTES * sum(one.numel for one in learned.tensors)
    return mean | {
        "step_time_s": sum(mean[part] for part in PARTS),
        "speedup_x": against.none_s / evaluation_s,
        "vs_best_dense_x": against.best_s / evaluation_s,
        "best_dense_sync": against.best_sync,
        "headroom_x": against.none_s / against.ideal_s,
        "dense_bytes": dense_bytes,
        "compression_x": dense_bytes / payload if payload else np.inf,
        "rel_error": learned.update_error,
        "cosine": learned.update_cosine,
        "bottleneck": held_up,
        "collective": " + ".join(timed.collectives),
        "baseline_time_to_target_s": against.to_target_s,
        "speedup_to_target_x": against.to_target_s / (own["time_to_target_s"] or np.nan),
    } | {key: value for key, value in own.items() if key != "evaluation_s"}  # fmt: skip


def summary(train: Train, learned: Learned, timed: Pace) -> dict[str, Any]:
    """Return how a training ended, when it reached the target, and its seconds for a sample on every worker."""
    points = curve(train, learned, timed)
    last = points[-1]
    total_s = float(timed.end_s[-1]) if len(timed.end_s) else 0.0
    in_time = total_s <= train.until
    reached = learned.status == "target" and in_time
    values = np.array([one[GOALS[train.target_of]] for one in points])
    # What diverges does so after the last point of its curve: turns are counted, not points.
    parts = [learned.parts[part] for turn in learned.turns for part, _ in turn]
    evaluations = sum(one.passes * one.samples for one in parts)
    return {
        "status": learned.status if in_time else "until",
        "time_to_target_s": last["time_s"] if reached else np.nan,
        "steps_to_target": float(last["step"]) if reached else np.nan,
        "epochs_to_target": last["epoch"] if reached else np.nan,
        "best": best_of(train, values),
        "total_s": min(total_s, train.until),
        "evaluation_s": total_s / evaluations if evaluations else np.nan,
    }


def best_of(train: Train, values: NDArray[np.float64]) -> float:
    """Return the best of some values of what the target is about; NaN where all are."""
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan")
    return float(known.max() if train.target_of == "accuracy" else known.min())


def curve(train: Train, learned: Learned, timed: Pace) -> list[dict[str, Any]]:
    """Return the curve with the time and the bytes of each point, as far as simulated time goes."""
    end_s = np.concatenate([[0.0], timed.end_s])
    sent = np.cumsum([0.0, *(turn["wire_bytes_per_worker"] for turn in timed.turns)])
    points = [
        one | {"time_s": float(end_s[one["step"]]), "wire_bytes_per_worker": float(sent[one["step"]])}
        for one in learned.curve
    ]
    return [one for one in points if one["time_s"] <= train.until]


def _payload_bytes(learned: Learned) -> float:
    """Return the bytes of one worker's messages for a turn, before any architecture multiplies them."""
    sent = [
        sum(stage.up_bytes.max() for stages in learned.parts[part].measurement.stages[step] for stage in stages)
        for turn in learned.turns
        for part, step in turn
    ]
    return float(np.sum(sent)) / max(len(learned.turns), 1)


_MISSING = {"evaluation_s": float("nan"), "time_to_target_s": float("nan")}


@lru_cache(maxsize=64)
def _summary(scenario: Scenario, train: Train, learned: Learned) -> dict[str, Any]:
    """Return the summary of a baseline, or `_MISSING`: no host for it, or it gets nowhere under what befalls it."""
    try:
        return summary(train, learned, pace(scenario, train, learned))
    except NetsimError:
        return _MISSING


def _over_all(scenario: Scenario) -> Iterator[tuple[str, Scenario]]:
    """Yield a point over its own architecture and over all others, by their names."""
    yield label(scenario.sync), scenario
    for name in syncs:
        if name != scenario.sync.kind:
            yield name, replace(scenario, sync=syncs.get(name)())


def _free(scenario: Scenario) -> Scenario:
    """Return a point on an infinitely fast network."""
    return replace(
        scenario,
        network=fidelities.get("ideal")(),
        transport=transports.get("ideal")(),
        cost=costs.get("free")(),
        conditions=tuple(one for one in scenario.conditions if one.touches_workers),
    )
