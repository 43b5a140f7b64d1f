"""Results in which nothing is compressed: they compare architectures, by the seconds of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsim.report.points import UNCOMPRESSED, heading_of, label, split
from netsim.report.text import UNKNOWN, Column, ratio, seconds, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


def compresses(runs: pd.DataFrame) -> bool:
    """Return whether a result holds schemes beside none."""
    return bool((runs["scheme"] != UNCOMPRESSED).any())


def step_times(runs: pd.DataFrame, others: Sequence[str], column: str, width: int = 120) -> list[str]:
    """Return architecture x `column` tables of step times, one for each point of the `others`."""
    blocks = []
    for key, part in split(runs, others):
        where = f" at {label(others, key)}" if others else ""
        lines = [f"Step time of uncompressed training{where} (* fastest)", *_pivot(part, column, width)]
        blocks.append("\n".join(lines))
    return blocks


def _pivot(part: pd.DataFrame, column: str, width: int) -> list[str]:
    points = split(part, [column])
    columns = [Column(heading_of(column, key[0], " ")) for key, _ in points]
    rows = [[str(sync), *(_cell(point, sync) for _, point in points)] for sync in part["sync"].unique()]
    return table([Column("architecture", words=True), *columns], rows, width)


def _cell(point: pd.DataFrame, sync: str) -> str:
    times_s = point[point["sync"] == sync]["step_time_s"]
    if times_s.isna().all():
        return f"{UNKNOWN} "
    return seconds(float(times_s.median())) + ("*" if times_s.min() <= point["step_time_s"].min() else " ")


def verdict(part: pd.DataFrame) -> str:
    """Return which architecture is the fastest at a point, and how much it is ahead of the slowest."""
    fastest_first = part.dropna(subset="step_time_s").sort_values("step_time_s", kind="stable")
    if fastest_first.empty:
        return "nothing was simulated"
    fastest, slowest = fastest_first.iloc[0], fastest_first.iloc[-1]
    stale = float(fastest.get("staleness_mean", 0.0))
    found = f"uncompressed training takes {seconds(float(fastest['step_time_s']))} a step over {fastest['sync']}"
    found += f", by gradients that miss {stale:.2g} updates in the mean" if stale > 0 else ""
    if fastest["sync"] == slowest["sync"]:
        return found
    gain = float(slowest["step_time_s"] / fastest["step_time_s"])
    return f"{found}, {ratio(gain)} as fast as over {slowest['sync']}"
