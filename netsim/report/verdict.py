"""One line for each point of a sweep: what to use there, or that nothing pays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from netsim.report import uncompressed
from netsim.report.points import UNCOMPRESSED, label, point_columns, split
from netsim.report.text import fraction, ratio

if TYPE_CHECKING:
    import pandas as pd

PAYS_X = 1.01
"""A scheme pays where it beats the best uncompressed architecture by more than one percent."""
KEEPS_ERROR = 0.5
"""Beyond this relative error of the update, the fastest scheme that keeps below it is named too."""


def verdicts(runs: pd.DataFrame) -> list[str]:
    """Return a line a point, measured against the best uncompressed row over all architectures there."""
    by = point_columns(runs)
    return [f"at {label(by, key)}: {_verdict(part)}" for key, part in split(runs, by)]


def _verdict(part: pd.DataFrame) -> str:
    simulated = part[part["step_time_s"].notna()]
    compressed = simulated[simulated["scheme"] != UNCOMPRESSED]
    if compressed.empty:
        return uncompressed.verdict(simulated)
    fastest_first = compressed.sort_values("step_time_s", kind="stable")
    best = fastest_first.iloc[0]
    gain = _gain(best)
    if math.isnan(gain):
        return f"{_over(best)} is the fastest scheme; no uncompressed training could be simulated to hold it against"
    if not gain > PAYS_X:
        return f"no scheme pays; the nearest, {_over(best)}, runs at {ratio(gain)} the speed of {_dense(best)}"
    return (
        f"{_over(best)}, {ratio(gain)}{_possible(best, gain)} against {_dense(best)}"
        f" (error {fraction(best.get('rel_error', math.nan))}{_caution(best)}){_keeping(fastest_first)}"
    )


def _keeping(fastest_first: pd.DataFrame) -> str:
    """Return what is the fastest among schemes that keep most of the update, unless the fastest of all is known to."""
    errors = fastest_first.get("rel_error")
    if errors is None or errors.iloc[0] <= KEEPS_ERROR:
        return ""
    keeping = fastest_first[errors <= KEEPS_ERROR]
    if keeping.empty or not (gain := _gain(keeping.iloc[0])) > PAYS_X:
        return f"; nothing with an error below {KEEPS_ERROR:g} pays"
    best = keeping.iloc[0]
    return f"; below an error of {KEEPS_ERROR:g}, {_over(best)}, {ratio(gain)} ({fraction(best['rel_error'])})"


def _over(row: pd.Series[float]) -> str:
    return f"{row['scheme']} over {row['sync']}"


def _dense(row: pd.Series[float]) -> str:
    """Return what a row is measured against."""
    named: dict[Any, Any] = dict(row)
    sync = named.get("best_dense_sync")
    if not isinstance(sync, str) or not sync:
        return "uncompressed training"
    return f"{UNCOMPRESSED} over {'the same' if sync == named['sync'] else sync}"


def _gain(row: pd.Series[float]) -> float:
    against_best = float(row.get("vs_best_dense_x", math.nan))
    return float(row["speedup_x"]) if math.isnan(against_best) else against_best


def _possible(row: pd.Series[float], gain: float) -> str:
    """Return the headroom in the measure of `gain`: the same infinitely fast step against the best dense row."""
    bound = float(row["headroom_x"]) * gain / float(row["speedup_x"])
    return "" if math.isnan(bound) else f" of a possible {ratio(bound)}"


def _caution(row: pd.Series[float]) -> str:
    return ", extrapolated" if bool(row.get("extrapolated", False)) else ""
