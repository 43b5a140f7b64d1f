"""What a simulation gives: five tidy tables with units in their column names, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

RUN_COLUMNS = (
    "scenario", "point", "scheme", "sync", "topology", "network", "transport", "workload", "workers",
    "bandwidth_bytes_per_s", "latency_s", "step_time_s", "speedup_x", "compute_s", "encode_s", "decode_s",
    "exposed_comm_s", "optimizer_s", "comm_s", "wire_bytes_per_worker", "dense_bytes", "compression_x", "rel_error",
    "cosine", "headroom_x", "bottleneck", "extrapolated", "seed", "vs_best_dense_x", "best_dense_sync", "collective",
    "compute_device", "cost_source", "swept", "staleness_mean", "staleness_max", "server_imbalance_x", "lost_s",
    "conditions", "cost_assumed",
)  # fmt: skip
"""Columns of `runs`, one row a simulated point; the parts of a step add up to `step_time_s`.

With an asynchronous server a step is one worker's, `steps` has a row for each in the steady state, and its staleness is
the number of updates by others that its gradient did not know of; `server_imbalance_x` is the fullest server's share of
the model over the mean. `cost_assumed` names the variants of schemes that take the coding times of others. A speedup is
empty where what it is against could not be simulated; provenance lists all such architectures as `not_compared`."""

TRAIN_COLUMNS = (
    "optimizer", "status", "target", "target_of", "time_to_target_s", "steps_to_target", "epochs_to_target", "best",
    "total_s", "speedup_to_target_x", "baseline_time_to_target_s",
)  # fmt: skip
"""Columns that `runs` has besides where a point trains; `best` is the best value reached of what the target is about.

`baseline_time_to_target_s` is the time to the target of `none` over the same architecture, empty where that misses it,
`speedup_to_target_x` that over this one's; `speedup_x` of a training compares the seconds for one sample, so that
larger batches and local steps compare, and an optimizer that compresses by itself is held against the one that it
approximates.

`status` is `target`, `until` or `max_epochs` (limits that ended it before the target), or `diverged`. A step is an
update; where workers do not wait for each other, a turn of one of them, from its last push to the next. What belongs to
layers or to replayed gradients alone is empty in rows without them."""

PARTS = ("compute_s", "encode_s", "exposed_comm_s", "decode_s", "optimizer_s", "lost_s")
"""Columns that account for a step completely: they add up to `step_time_s`.

`lost_s` are the seconds in which devices were down, in which a checkpoint was saved, or that failures undid."""


@dataclass(frozen=True)
class Result:
    """One simulated point.

    Attributes:
        runs: one row, with RUN_COLUMNS.
        steps: one row a step.
        links: one row a link: its bytes and utilisation.
        spans: who did what from when to when, in the first step.
        curves: where the point trains, one row a recorded point of the curve; else empty.
        provenance: scenario hash, seed, versions, trace id, device.
    """

    runs: pd.DataFrame
    steps: pd.DataFrame
    links: pd.DataFrame
    spans: pd.DataFrame
    curves: pd.DataFrame
    provenance: dict[str, Any]
