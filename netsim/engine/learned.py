"""The result of a point whose training was measured once: its curve on this cluster, and what it is against `none`."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.compress.base import schemes
from netsim.engine.buckets import FLOAT32_BYTES
from netsim.engine.pace import pace
from netsim.engine.progress import GOALS
from netsim.errors import InputError
from netsim.network.base import fidelities
from netsim.network.transport import transports
from netsim.optim.base import Synchronous
from netsim.record.result import PARTS
from netsim.registry import label
from netsim.sync.base import syncs
from netsim.workload.cost import costs

if TYPE_CHECKING:
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


def learned_row(scenario: Scenario, train: Train, learned: Learned, baseline: Learned, timed: Pace) -> dict[str, Any]:
    """Return the columns of `runs` that tell of steps, of the target, and of both against the baseline."""
    dense = dense_of(scenario)
    assert dense.train is not None
    base = _summary(dense, dense.train, baseline)
    best_s, best_sync = _best_dense(dense, dense.train, baseline)
    own = summary(train, learned, timed)
    mean = {key: timed.mean(key) for key in (*PARTS, "comm_s", "wire_bytes_per_worker")}
    evaluation_s = own["evaluation_s"]
    payload = _payload_bytes(learned)
    dense_bytes = FLOAT32_BYTES * sum(one.numel for one in learned.tensors)
    return mean | {
        "step_time_s": sum(mean[part] for part in PARTS),
        "speedup_x": base["evaluation_s"] / evaluation_s,
        "vs_best_dense_x": best_s / evaluation_s,
        "best_dense_sync": best_sync,
        "headroom_x": base["evaluation_s"] / _headroom_s(dense, dense.train, baseline),
        "dense_bytes": dense_bytes,
        "compression_x": dense_bytes / payload if payload else np.inf,
        "rel_error": learned.update_error,
        "cosine": learned.update_cosine,
        "bottleneck": max(PARTS, key=lambda part: mean[part]).removesuffix("_s") if timed.turns else "",
        "collective": " + ".join(timed.collectives),
        "speedup_to_target_x": base["time_to_target_s"] / (own["time_to_target_s"] or np.nan),
    } | {key: value for key, value in own.items() if key != "evaluation_s"}  # fmt: skip


def summary(train: Train, learned: Learned, timed: Pace) -> dict[str, Any]:
    """Return how a training ended, when it reached the target, and its seconds for a sample on every worker."""
    points = curve(train, learned, timed)
    last = points[-1]
    in_time = len(points) == len(learned.curve)
    reached = learned.status == "target" and in_time
    values = np.array([one[GOALS[train.target_of]] for one in points])
    total_s = float(timed.end_s[-1]) if len(timed.end_s) else 0.0
    evaluations = learned.curve[-1]["gradient_evaluations"]
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


@lru_cache(maxsize=64)
def _summary(scenario: Scenario, train: Train, learned: Learned) -> dict[str, Any]:
    return summary(train, learned, pace(scenario, train, learned))


@lru_cache(maxsize=64)
def _best_dense(scenario: Scenario, train: Train, learned: Learned) -> tuple[float, str]:
    """Return the least seconds for a sample without compression over all architectures, and the best one's name."""
    found = {label(scenario.sync): _summary(scenario, train, learned)["evaluation_s"]}
    for name in syncs:
        try:
            if name != scenario.sync.kind:
                other = replace(scenario, sync=syncs.get(name)())
                found[name] = _summary(other, train, learned)["evaluation_s"]
        except InputError:
            continue  # the topology has no host for it, or it knows no conditions
    best = min(found, key=lambda name: found[name])
    return found[best], best


def _headroom_s(scenario: Scenario, train: Train, learned: Learned) -> float:
    """Return the seconds for a sample without compression on an infinitely fast network."""
    free = replace(
        scenario,
        network=fidelities.get("ideal")(),
        transport=transports.get("ideal")(),
        cost=costs.get("free")(),
        conditions=tuple(one for one in scenario.conditions if one.touches_workers),
    )
    return float(_summary(free, train, learned)["evaluation_s"])
