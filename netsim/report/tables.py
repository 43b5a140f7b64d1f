"""The speedup table: for each architecture and point the schemes by speedup, a pivot over the sweep, the verdicts."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.report import uncompressed
from netsim.report.points import (
    expanded,
    extrapolated,
    heading_of,
    held_up_by,
    label,
    point_columns,
    split,
    value_label,
)
from netsim.report.text import UNKNOWN, Column, fraction, nbytes, ratio, seconds, table
from netsim.report.verdict import verdicts

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

_NUMBERS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("step time", "step_time_s", seconds),
    ("speedup", "speedup_x", ratio),
    ("vs best|dense", "vs_best_dense_x", ratio),
    ("headroom", "headroom_x", ratio),
    ("sent by|worker", "wire_bytes_per_worker", nbytes),
    ("compres-|sion", "compression_x", ratio),
    ("error", "rel_error", fraction),
)
_FASTEST = "*"
_EXTRAPOLATED = "~"
_EXTRAPOLATED_NOTE = f"{_EXTRAPOLATED} extrapolated beyond the captured workers"
_NOTES = (
    "speedup: against `none` over the same architecture; vs best dense: against the fastest uncompressed architecture",
    "headroom: the speedup of an infinitely fast network and free coding; error: of the summed update, relative",
)


def summary(runs: pd.DataFrame, blocks: int = 4, width: int = 120) -> str:
    """Return what a person needs to decide: the details where they are few, the pivots of a sweep, the verdicts.

    Args:
        runs: the table of a result folder.
        blocks: the most (point, architecture) pairs that are shown in detail.
        width: characters a line may have.
    """
    if runs.empty:
        return "no point was simulated"
    runs = expanded(runs)
    by = point_columns(runs)
    parts = [details(runs, width)] if len(split(runs, [*by, "sync"])) <= blocks else []
    if len(split(runs, by)) > 1:
        parts.append(pivots(runs, width))
    lines = [
        wrapped
        for line in verdicts(runs)
        for wrapped in textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="    ")
    ]
    return "\n\n".join([*parts, "\n".join(["Verdict", *lines])])


def details(runs: pd.DataFrame, width: int = 120) -> str:
    """Return one table for each point and architecture, the schemes sorted by speedup."""
    runs = expanded(runs)
    by = point_columns(runs)
    blocks = ["\n".join(_block(part, by, key, width)) for key, part in split(runs, [*by, "sync"])]
    notes = [*_NOTES, *([_EXTRAPOLATED_NOTE] if extrapolated(runs).any() else [])]
    return "\n\n".join([*blocks, "\n".join(notes)])


def _block(part: pd.DataFrame, by: list[str], key: tuple[Any, ...], width: int) -> list[str]:
    first = part.iloc[0]
    shown = [column for column in ("workload", "workers", "topology", "network") if column in part and column not in by]
    fixed = ", ".join(value_label(column, first[column]) for column in shown)
    # The headroom is a property of the architecture and the point; said once, it leaves room for long scheme names.
    same = part["headroom_x"].nunique() == 1
    bound = f"headroom {ratio(float(first['headroom_x']))}" if same else ""
    carried = "collective" in part and part["collective"].nunique() == 1 and first["collective"] != key[-1]
    by_what = f"carried by {first['collective']}" if carried else ""
    inside = "; ".join(text for text in (fixed, by_what, bound) if text)
    heading = f"{key[-1]} at {label(by, key[:-1])}" + (f" ({inside})" if inside else "")
    return [*textwrap.wrap(heading, width), *_rows(part, width, skip="headroom_x" if same else "")]


def _rows(part: pd.DataFrame, width: int, skip: str) -> list[str]:
    shown = [entry for entry in _NUMBERS if entry[1] in part and entry[1] != skip]
    carried = "collective" in part and part["collective"].nunique() > 1
    columns = [Column("scheme", words=True), *(Column(heading) for heading, _, _ in shown)]
    columns += [Column("carried|by", words=True)] if carried else []
    columns += [Column("bottleneck", words=True)]
    rows = []
    for _, row in part.sort_values("speedup_x", ascending=False, kind="stable").iterrows():
        mark = _EXTRAPOLATED if bool(row.get("extrapolated", False)) else ""
        cells = [str(row["scheme"]) + mark, *(write(float(row[column])) for _, column, write in shown)]
        # What the block's heading says already is left out: every column counts in 120 characters.
        cells += [str(row["collective"]).removeprefix(f"{row['sync']} ")] if carried else []
        rows.append([*cells, held_up_by(row) or UNKNOWN])
    return table(columns, rows, width)


def pivots(runs: pd.DataFrame, width: int = 120) -> str:
    """Return tables over bandwidth, or else what varies last: of speedups, or of steps where nothing is compressed."""
    by = point_columns(runs)
    column = "bandwidth_bytes_per_s" if "bandwidth_bytes_per_s" in by else by[-1]
    others = [one for one in by if one != column]
    tables = _speedups if uncompressed.compresses(runs) else uncompressed.step_times
    return "\n\n".join(tables(runs, others, column, width))


def _speedups(runs: pd.DataFrame, others: list[str], column: str, width: int) -> list[str]:
    """Return scheme x `column` tables of the speedup, one for each architecture and other point, and their notes."""
    blocks = []
    for key, part in split(runs, [*others, "sync"]):
        where = f" at {label(others, key[:-1])}" if others else ""
        heading = f"Speedup over {key[-1]}{where} ({_FASTEST} fastest over this architecture)"
        blocks.append("\n".join([heading, *_pivot(part, column, width)]))
    return [*blocks, *([_EXTRAPOLATED_NOTE] if extrapolated(runs).any() else [])]


def _pivot(part: pd.DataFrame, column: str, width: int) -> list[str]:
    points = split(part, [column])
    known = part[part["speedup_x"] > 0]
    # Geometric mean over the points: a scheme that is good everywhere stands above one that shines once.
    mean = np.log(known["speedup_x"]).groupby(known["scheme"]).mean().sort_values(ascending=False, kind="stable")
    order = [*mean.index, *(scheme for scheme in part["scheme"].unique() if scheme not in mean.index)]
    rows = [[str(scheme), *(_cell(point, scheme) for _, point in points)] for scheme in order]
    rows.append(["(headroom)", *(_padded(float(point["headroom_x"].max())) for _, point in points)])
    if "vs_best_dense_x" in part:
        rows.append(["(none against the best uncompressed)", *(_padded(_own_dense(point)) for _, point in points)])
    columns = [Column(heading_of(column, key[0], "  ")) for key, _ in points]
    return table([Column("scheme", words=True), *columns], rows, width)


def _own_dense(point: pd.DataFrame) -> float:
    """Return how this architecture's uncompressed step compares with the best architecture's."""
    return float((point["vs_best_dense_x"] / point["speedup_x"]).median())


def _padded(value: float, marks: str = "") -> str:
    return ratio(value) + marks.ljust(2)


def _cell(point: pd.DataFrame, scheme: str) -> str:
    rows = point[point["scheme"] == scheme]
    if rows.empty or rows["speedup_x"].isna().all():
        return UNKNOWN + "  "
    fastest = float(rows["speedup_x"].max()) >= float(point["speedup_x"].max())
    marks = (_FASTEST if fastest else "") + (_EXTRAPOLATED if extrapolated(rows).any() else "")
    return _padded(float(rows["speedup_x"].median()), marks)


def assumed_costs(runs: pd.DataFrame) -> str:
    """Return a note that names the variants of schemes that take the coding times of others; empty where none does."""
    texts = runs["cost_assumed"].dropna().unique() if "cost_assumed" in runs else ()
    said = dict.fromkeys(one for text in texts for one in str(text).split("; ") if one)
    return textwrap.fill(f"coding times assumed: {'; '.join(said)}", 120, subsequent_indent="  ") if said else ""
