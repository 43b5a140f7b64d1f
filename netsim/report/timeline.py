"""One step as a Gantt chart: for each worker what it computes, encodes, sends and decodes, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from netsim.errors import InputError
from netsim.report import layout, scales, style
from netsim.report.points import CLUSTER, ROW, UNCOMPRESSED, of_row
from netsim.report.tracks import tracks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WHAT = {
    "forward": ("compute", "forward", "#D9D9D9"),
    "backward": ("compute", "backward", "#A6A6A6"),
    "optimizer": ("compute", "optimizer", "#5A5A5A"),
    "encode": ("coding", "encode", "#E69F00"),
    "decode": ("coding", "decode", "#CC79A7"),
    "communicate": ("network", "communicate", "#0072B2"),
    "down": ("compute", "down", "#D55E00"),
}
"""What a span does: (lane, name, colour)."""
_LANES = ("compute", "coding", "network")
_MOST_WORKERS = 4
_HEIGHT = 0.78


def timeline(spans: pd.DataFrame, runs: pd.DataFrame, rows: Sequence[int] = (), step: int = 0) -> Figure:
    """Return the figure: a panel for each of the `rows` of `runs`, all with one time axis that starts with the step.

    Without `rows`, uncompressed training and the fastest scheme over the same architecture.

    Raises:
        InputError: no spans were recorded, or none of a row or step asked for.
    """
    if spans.empty:
        raise InputError("no spans were recorded", "run the scenario again")
    for row in rows:
        if row not in runs.index:  # which counts trainings, too
            remedy = f"name one of the {len(runs)} rows of runs.csv that do not train"
            raise InputError(f"there is no step of point {row + 1}", remedy, path="--point")
    chosen = runs.loc[list(rows)] if rows else _telling(spans, runs)
    parts = [_step(spans, row, step) for _, row in chosen.iterrows()]
    lanes = [min(part["worker"].nunique(), _MOST_WORKERS) * len(_used(part)) for part in parts]
    figure = layout.figure(11, 1.0 + sum(0.55 + 0.2 * count for count in lanes))
    grid = figure.subplots(len(parts), 1, squeeze=False, sharex=True, height_ratios=[max(count, 2) for count in lanes])
    for axes, part in zip(grid.flat, parts, strict=True):
        _gantt(axes, part)
    last = list(grid.flat)[-1]
    last.set_xlabel("time since the step began", fontsize=9)
    last.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scales.duration(value)))
    shown = [entry for what, entry in _WHAT.items() if any((part["what"] == what).any() for part in parts)]
    handles = [Patch(facecolor=colour, label=name) for _, name, colour in shown]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=8, frameon=False)
    workers = max(part["worker"].nunique() for part in parts)
    some = f"The first {_MOST_WORKERS} of {workers} workers." if workers > _MOST_WORKERS else ""
    layout.footer(figure, chosen, "Numbers are buckets.", some, f"Step {step}.")
    return figure


def _telling(spans: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the first uncompressed row and the fastest scheme's beside it, as far as there are spans of them."""
    keys = [key for key in ROW if key in spans]
    recorded = set(map(tuple, spans[keys].drop_duplicates().astype(str).to_numpy()))
    known = runs[[tuple(row) in recorded for row in runs[keys].astype(str).to_numpy()]]
    if known.empty:
        raise InputError("no spans belong to a row of runs", "run the scenario again")
    dense = known[known["scheme"] == UNCOMPRESSED]
    first = (dense if len(dense) else known).head(1)
    same = [column for column in ("sync", *CLUSTER) if column in known]
    beside = known[(known[same] == first[same].iloc[0]).all(axis=1)].sort_values("step_time_s", kind="stable")
    return pd.concat([first, beside.head(1)]).drop_duplicates(keys)


def _step(spans: pd.DataFrame, row: pd.Series[Any], step: int) -> pd.DataFrame:
    part = of_row(spans, row)
    steps = sorted(part["step"].unique())
    if step not in steps:
        remedy = f"recorded steps: {', '.join(map(str, steps))}" if steps else "no step of this point was recorded"
        raise InputError(f"no spans of step {step}", remedy, path="--step")
    chosen = part[part["step"] == step]
    begin = chosen["start_s"].min()
    return chosen.assign(start_s=chosen["start_s"] - begin, end_s=chosen["end_s"] - begin)


def _used(part: pd.DataFrame) -> list[str]:
    lanes = {_WHAT[what][0] for what in part["what"] if what in _WHAT}
    return [lane for lane in _LANES if lane in lanes]


def _gantt(axes: Axes, part: pd.DataFrame) -> None:
    workers = sorted(part["worker"].unique())[:_MOST_WORKERS]
    rows = [(worker, lane) for worker in workers for lane in _used(part)]
    duration = float(part["end_s"].max())
    shown = part[part["worker"].isin(workers) & part["what"].isin(list(_WHAT))].sort_values("start_s", kind="stable")
    lanes = shown["what"].map({what: lane for what, (lane, *_) in _WHAT.items()})
    for place, (worker, lane) in enumerate(rows):
        _lane(axes, place, shown[(shown["worker"] == worker) & (lanes == lane)], duration)
    axes.set_yticks(range(len(rows)), [f"worker {worker}: {lane}" for worker, lane in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(8))
    axes.axvline(duration, color="black", linewidth=0.8)
    first = part.iloc[0]
    title = f"{first['scheme']} over {first['sync']}: {scales.duration(duration)}"
    axes.set_title(title, fontsize=10, loc="left")
    scales.tidy(axes)
    axes.grid(visible=False, axis="y")


def _lane(axes: Axes, place: int, spans: pd.DataFrame, duration: float) -> None:
    """Draw what one worker does in a lane; what overlaps is drawn below one another."""
    rows = tracks(zip(spans["start_s"], spans["end_s"], strict=True))
    height = _HEIGHT / (max(rows, default=0) + 1)
    for row, span in zip(rows, spans.itertuples(), strict=True):
        _bar(axes, place - _HEIGHT / 2 + (row + 0.5) * height, height, span, duration)


def _bar(axes: Axes, middle: float, height: float, span: Any, duration: float) -> None:
    length, colour = span.end_s - span.start_s, _WHAT[str(span.what)][2]
    # A white edge parts neighbours; around a very short span it would leave nothing to see.
    edge = "white" if length > 0.004 * duration else colour
    axes.barh(middle, length, left=span.start_s, height=height, color=colour, edgecolor=edge, linewidth=0.4)
    numbered = span.what in {"communicate", "encode", "decode"} and pd.notna(span.bucket)
    if numbered and length > 0.015 * duration and height > _HEIGHT / 3:
        place, text = (span.start_s + length / 2, middle), f"{int(span.bucket)}"
        axes.text(*place, text, ha="center", va="center", fontsize=6.5, color=style.text_on(colour))
