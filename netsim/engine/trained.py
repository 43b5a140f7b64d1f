"""The result of a point that trains, and what all results have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.engine.bottleneck import bottleneck_of_plans
from netsim.engine.coding import assumed
from netsim.engine.learned import best_of, compared, curve, learned_row
from netsim.engine.measure import one_thread
from netsim.engine.pace import pace
from netsim.engine.progress import GOALS
from netsim.engine.train import run_training
from netsim.optim.base import Asynchronous
from netsim.record.result import PARTS, RUN_COLUMNS, TRAIN_COLUMNS, Result
from netsim.registry import label
from netsim.scenario.rules import adapted
from netsim.workload.live import Live

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from netsim.engine.learn import Learned
    from netsim.engine.training import TrainRecord
    from netsim.scenario.schema import Scenario, Train
    from netsim.topology.graph import Topology


def simulate_training(scenario: Scenario, train: Train) -> Result:
    """Return the result of a training in which events decide; the same scenario gives the same result anywhere."""
    assert isinstance(scenario.workload, Live)
    problem = scenario.workload.problem(scenario.topology.num_workers, scenario.seed)
    with one_thread():
        record = run_training(scenario, train, problem)
    links = _links(record.topology, record.link_bytes, record.link_share * record.total_s, len(record.updates))
    row = _row(scenario, train, record)
    return _result(scenario, train, problem.label, row, record.updates, links, record.curve)


def simulate_learned(scenario: Scenario, train: Train, learned: Learned, baseline: Learned) -> Result:
    """Return the result of a training that was measured once, on this cluster; `baseline` is that of `dense_of`."""
    timed = pace(scenario, train, learned)
    against = compared(scenario, baseline)
    row = learned_row(scenario, train, learned, against, timed)
    begin_s = np.concatenate([[0.0], timed.end_s])
    scores = zip(learned.rel_error, learned.cosine, strict=True)
    settings = [{"setting": one} for one in learned.settings] or [{}] * len(timed.turns)
    steps = [
        {"step": number, "worker": -1, "begin_s": begin_s[number - 1], "end_s": begin_s[number], "staleness": 0}
        | turn
        | {"rel_error": rel_error, "cosine": cosine}
        | setting
        for number, (turn, (rel_error, cosine), setting) in enumerate(
            zip(timed.turns, scores, settings, strict=True), start=1
        )
    ]
    total_s = float(begin_s[-1])
    links = _links(timed.topology, timed.link_bytes, timed.link_share * total_s, len(steps))
    variants = dict.fromkeys(one for part in learned.parts for one in part.measurement.variants)
    row["cost_assumed"] = assumed(scenario.cost, variants)
    points = curve(train, learned, timed)
    return _result(scenario, train, learned.label, row, steps, links, points, {"not_compared": against.missing})


def _links(topology: Topology, nbytes: NDArray[np.float64], had_s: NDArray[np.float64], turns: int) -> pd.DataFrame:
    """Return a row for every link: its bytes a turn, and their part in what it could carry in `had_s` seconds."""
    used_s = nbytes / topology.capacity_bytes_per_s
    return link_table(topology.link_names, topology.capacity_bytes_per_s, topology.latency_s).assign(
        bytes_per_step=nbytes / max(turns, 1), utilisation=used_s / np.maximum(had_s, 1e-300)
    )


def _result(
    scenario: Scenario,
    train: Train,
    workload: str,
    row: dict[str, Any],
    steps: list[dict[str, Any]],
    links: pd.DataFrame,
    points: list[dict[str, Any]],
    provenance: dict[str, Any] | None = None,
) -> Result:
    import pandas as pd

    assert isinstance(scenario.workload, Live)
    place = place_of(scenario)
    about: dict[str, Any] = {
        "optimizer": _optimizer_name(scenario, train),
        "workers": scenario.topology.num_workers,
    }
    bandwidth, latency_s = scenario.topology.access
    device = scenario.workload.device or f"stated: {train.gradient_time:g} s a gradient"
    stale = [one["staleness"] for one in steps] or [np.nan]
    of_point = {
        "topology": scenario.topology.kind,
        "network": scenario.network.kind,
        "transport": scenario.transport.kind,
        "workload": workload,
        "bandwidth_bytes_per_s": bandwidth,
        "latency_s": latency_s,
        "extrapolated": False,
        "seed": scenario.seed,
        "compute_device": device,
        "cost_source": scenario.cost.source(),
        "cost_assumed": "",
        "swept": point_name(scenario),
        "conditions": conditions_name(scenario),
        "target": train.target,
        "target_of": train.target_of,
        "staleness_mean": float(np.mean(stale)),
        "staleness_max": float(max(stale)),
        "best_dense_sync": "",
        "collective": "",
    }
    run = dict.fromkeys((*RUN_COLUMNS, *TRAIN_COLUMNS), np.nan) | of_point | place | about | row
    return Result(
        runs=pd.DataFrame([run])[[*RUN_COLUMNS, *TRAIN_COLUMNS]],
        steps=placed(pd.DataFrame(steps), place),
        links=placed(links, place),
        spans=pd.DataFrame(columns=list(place)).astype(str),
        curves=placed(pd.DataFrame(points).assign(**about), place | about),
        provenance={
            "problem": workload,
            "compute_device": device,
            "cost_source": scenario.cost.source(),
            "seed": scenario.seed,
        }
        | (provenance or {}),
    )


def _row(scenario: Scenario, train: Train, record: TrainRecord) -> dict[str, Any]:
    mean = dict.fromkeys(PARTS, 0.0) | record.parts | {"exposed_comm_s": record.parts["comm_s"]}
    # Who does not wait for others meets them on the way, of which nobody's own plans know.
    meet = isinstance(train.optimizer, Asynchronous)
    plans, state = record.plans, record.link_state
    last, reached = record.curve[-1], record.status == "target"
    values = np.array([one[GOALS[train.target_of]] for one in record.curve])
    return {
        "wire_bytes_per_worker": float(record.sent_bytes.mean()) / max(_turns(record), 1),
        "status": record.status,
        "time_to_target_s": last["time_s"] if reached else np.nan,
        "steps_to_target": float(last["step"]) if reached else np.nan,
        "epochs_to_target": last["epoch"] if reached else np.nan,
        "best": best_of(train, values),
        "total_s": record.total_s,
        "step_time_s": sum(mean[part] for part in PARTS),
        "comm_s": mean["comm_s"],
        "bottleneck": bottleneck_of_plans(scenario, plans, state, mean, meet=meet) if record.updates else "",
    } | {part: mean[part] for part in PARTS}


def _turns(record: TrainRecord) -> float:
    """Return how often a worker took part in an update: in every synchronous one, in a share of the others."""
    together = all(one["worker"] < 0 for one in record.updates)
    return len(record.updates) / (1 if together else len(record.sent_bytes))


def _optimizer_name(scenario: Scenario, train: Train) -> str:
    """Return the optimizer's label, and what else of a training is neither its scheme nor its cluster."""
    passes, policy = scenario.job.grad_accumulation, adapted(scenario)
    more = [f"grad_accumulation({passes})"] if passes > 1 else []
    return "+".join([train.optimizer.label, *more, *([policy.label] if policy else [])])


def conditions_name(scenario: Scenario) -> str:
    """Return what befalls the cluster, by kind; `none` where nothing does."""
    return " + ".join(one.kind for one in scenario.conditions) or "none"


def place_of(scenario: Scenario) -> dict[str, str]:
    """Return the columns by which all tables of a result say which point they are about."""
    return {
        "scenario": scenario.name,
        "point": point_name(scenario),
        "scheme": scenario.scheme.label,
        "sync": label(scenario.sync),
    }


def point_name(scenario: Scenario) -> str:
    """Return what a sweep changes at this point, as text; empty without a sweep."""
    return ", ".join(f"{key}={value}" for key, value in scenario.swept)


def link_table(
    names: Sequence[str], capacity_bytes_per_s: NDArray[np.float64], latency_s: NDArray[np.float64]
) -> pd.DataFrame:
    """Return a row for every link."""
    import pandas as pd

    return pd.DataFrame({"link": names, "capacity_bytes_per_s": capacity_bytes_per_s, "latency_s": latency_s})


def placed(table: pd.DataFrame, place: dict[str, Any]) -> pd.DataFrame:
    """Return a table with the columns that say which point it belongs to, first."""
    return table.assign(**place)[[*place, *(name for name in table.columns if name not in place)]]
