"""One line for each point of a sweep: what to use there, or that nothing pays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from netsim.report.points import UNCOMPRESSED, label, point_columns, split
from netsim.report.text import fraction, ratio

if TYPE_CHECKING:
    import pandas as pd

PAYS_X = 1.01
"""A scheme pays where it beats the best uncompressed architecture by more than one percent."""


def verdicts(runs: pd.DataFrame) -> list[str]:
    """Return a line a point, measured against the best uncompressed row over all architectures there."""
    by = point_columns(runs)
    return [f"at {label(by, key)}: {_verdict(part)}" for key, part in split(runs, by)]


def _verdict(part: pd.DataFrame) -> str:
    simulated = part[part["step_time_s"].notna()]
    compressed = simulated[simulated["scheme"] != UNCOMPRESSED]
    if compressed.empty:
        return "only uncompressed training was simulated"
    best = compressed.sort_values("step_time_s", kind="stable").iloc[0]
    gain = _gain(best)
    over = f"{best['scheme']} over {best['sync']}"
    dense = best.get("best_dense_sync")
    uncompressed = f"{UNCOMPRESSED} over {dense}" if isinstance(dense, str) and dense else "uncompressed training"
    if not gain > PAYS_X:
        return f"no scheme pays; the nearest, {over}, runs at {ratio(gain)} the speed of {uncompressed}"
    return (
        f"{over}, {ratio(gain)} of a possible {ratio(_bound(best, gain))} against {uncompressed}"
        f" (error {fraction(best.get('rel_error', math.nan))}{_caution(best)})"
    )


def _gain(row: pd.Series[float]) -> float:
    against_best = float(row.get("vs_best_dense_x", math.nan))
    return float(row["speedup_x"]) if math.isnan(against_best) else against_best


def _bound(row: pd.Series[float], gain: float) -> float:
    """Return the headroom in the measure of `gain`: the same infinitely fast step against the best dense row."""
    return float(row["headroom_x"]) * gain / float(row["speedup_x"])


def _caution(row: pd.Series[float]) -> str:
    return ", extrapolated" if bool(row.get("extrapolated", False)) else ""
