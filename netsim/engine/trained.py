"""The result of a point that trains, and what all results have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.engine.train import run_training
from netsim.record.result import RUN_COLUMNS, TRAIN_COLUMNS, Result
from netsim.registry import label
from netsim.workload.live import Live

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from netsim.engine.train import TrainRecord
    from netsim.scenario.schema import Scenario, Train


def simulate_training(scenario: Scenario, train: Train) -> Result:
    """Return the result of one training; the same scenario gives the same result in any process."""
    import pandas as pd

    assert isinstance(scenario.workload, Live)
    problem = scenario.workload.problem(scenario.topology.num_workers, scenario.seed)
    record = run_training(scenario, train, problem)
    place = {
        "point": point_name(scenario),
        "scheme": scenario.scheme.label,
        "sync": label(scenario.sync),
    }
    about: dict[str, Any] = {"scenario": scenario.name, "optimizer": train.optimizer.label, "workers": problem.workers}
    links = link_table(
        record.topology.link_names, record.topology.capacity_bytes_per_s, record.topology.latency_s
    ).assign(
        bytes_per_step=record.link_bytes / max(len(record.updates), 1),
        utilisation=record.link_bytes
        / record.topology.capacity_bytes_per_s
        / np.maximum(record.link_share * record.total_s, 1e-300),
    )
    row = dict.fromkeys(RUN_COLUMNS, np.nan) | _row(scenario, train, record, problem.label) | place | about
    return Result(
        runs=pd.DataFrame([row])[[*RUN_COLUMNS, *TRAIN_COLUMNS]],
        steps=placed(pd.DataFrame(record.updates), place),
        links=placed(links, place),
        spans=pd.DataFrame(columns=list(place)).astype(str),
        curves=placed(pd.DataFrame(record.curve).assign(**about), place | about),
        provenance={"problem": problem.label, "cost_source": scenario.cost.source(), "seed": scenario.seed},
    )


def _row(scenario: Scenario, train: Train, record: TrainRecord, workload: str) -> dict[str, Any]:
    bandwidth, latency_s = scenario.topology.access
    last, reached = record.curve[-1], record.status == "target"
    norms = np.array([one["relative_gradient_norm"] for one in record.curve])
    return {
        "topology": scenario.topology.kind,
        "network": scenario.network.kind,
        "transport": scenario.transport.kind,
        "workload": workload,
        "bandwidth_bytes_per_s": bandwidth,
        "latency_s": latency_s,
        "wire_bytes_per_worker": float(record.sent_bytes.mean()) / max(_turns(record), 1),
        "bottleneck": "",
        "extrapolated": False,
        "seed": scenario.seed,
        "best_dense_sync": "",
        "collective": "",
        "compute_device": f"stated: {train.gradient_time:g} s a gradient",
        "cost_source": scenario.cost.source(),
        "swept": point_name(scenario),
        "status": record.status,
        "target": train.target,
        "time_to_target_s": last["time_s"] if reached else np.nan,
        "steps_to_target": float(last["step"]) if reached else np.nan,
        "epochs_to_target": last["epoch"] if reached else np.nan,
        "best": float(np.nanmin(norms)),
        "total_s": record.total_s,
    }


def _turns(record: TrainRecord) -> float:
    """Return how often a worker took part in an update: in every synchronous one, in a share of the others."""
    together = all(one["worker"] < 0 for one in record.updates)
    return len(record.updates) / (1 if together else len(record.sent_bytes))


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
