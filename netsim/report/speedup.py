"""Speedup against bandwidth (or any column): a panel for each architecture, a line for each scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from netsim.errors import InputError, closest
from netsim.report import layout, scales, style
from netsim.report.points import extrapolated
from netsim.report.text import ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BACKGROUND = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
_DEFINITION = (
    "Speedup: against scheme none over the same architecture. Headroom: an infinitely fast network and free coding."
)
_DASHED = "Dashed and hollow: statistics extrapolated beyond the captured workers."


def speedup(runs: pd.DataFrame, x: str = "") -> Figure:
    """Return the figure; where `x` has a single value, bars instead of lines.

    Raises:
        InputError: the table has no column `x`.
    """
    x = x or _default_x(runs)
    if x not in runs:
        raise InputError(f"no column {x!r} in the table of runs", closest(x, map(str, runs.columns)), path="--x")
    runs = runs.assign(dashed=extrapolated(runs))
    single = runs[x].nunique() < 2
    panels, left_out = layout.panels(runs, ["sync"], x)
    height = 0.5 + (0.6 + 0.24 * runs["scheme"].nunique() if single else 3.5)
    figure, grid = layout.panel_figure(panels, 4.1, height, sharey=single)
    order = list(runs.groupby("scheme", sort=False)["speedup_x"].mean().sort_values(na_position="first").index)
    looks = style.looks(runs["scheme"])
    for axes, (_, part) in zip(grid, panels, strict=True):
        if single:
            _bars(axes, part, order, looks)
        else:
            _lines(axes, part, x, looks)
    _legend(figure, runs, x, looks, single=single)
    layout.footer(figure, runs, _DEFINITION, _DASHED if runs["dashed"].any() else "", left_out)
    return figure


def _default_x(runs: pd.DataFrame) -> str:
    varying = [column for column in ("bandwidth_bytes_per_s", "workers", "latency_s") if runs[column].nunique() > 1]
    return (varying or ["bandwidth_bytes_per_s"])[0]


def _lines(axes: Axes, part: pd.DataFrame, x: str, looks: dict[str, style.Look]) -> None:
    place = _places(part, x)
    for scheme, rows in part.groupby("scheme", sort=False):
        line = rows.groupby(place, sort=True).agg(speedup_x=("speedup_x", "median"), dashed=("dashed", "max"))
        _line(axes, line.dropna(), looks[str(scheme)])
    bound = part.groupby(place, sort=True)["headroom_x"].max().dropna()
    axes.plot(bound.index, bound, color="black", linewidth=1.1, linestyle="-.", zorder=1)
    axes.axhline(1.0, color="black", linewidth=0.7, zorder=1)
    values = scales.finite([*part["speedup_x"], *bound, 1.0])
    scales.ratio_axis(axes, "y", min(values), max(values))
    axes.fill_between(bound.index, bound, axes.get_ylim()[1], color="#F0F0F0", zorder=0, linewidth=0)
    axes.set_ylabel("speedup", fontsize=9)
    scales.tidy(axes)
    scales.value_axis(axes, x, part[x])


def _line(axes: Axes, line: pd.DataFrame, look: style.Look) -> None:
    """Draw one scheme: a segment is dashed where one of its ends is extrapolated, and that end is hollow."""
    xs, ys, dashed = line.index.to_numpy(), line["speedup_x"].to_numpy(), line["dashed"].to_numpy(dtype=bool)
    for first in range(len(xs) - 1):
        ends = slice(first, first + 2)
        pattern = "--" if dashed[ends].any() else look.pattern
        axes.plot(xs[ends], ys[ends], color=look.colour, linewidth=look.linewidth, linestyle=pattern)
    for hollow in (False, True):
        chosen = dashed == hollow
        style.markers(axes, xs[chosen], ys[chosen], look, hollow=hollow)


def _places(part: pd.DataFrame, x: str) -> pd.Series[Any]:
    """Return where each row stands on the x axis: the number, or the rank of a word."""
    if pd.api.types.is_numeric_dtype(part[x]):
        return part[x]
    names = list(dict.fromkeys(part[x]))
    return part[x].map({name: rank for rank, name in enumerate(names)})


def _bars(axes: Axes, part: pd.DataFrame, order: list[Any], looks: dict[str, style.Look]) -> None:
    rows = part.groupby("scheme", sort=False).agg(speedup_x=("speedup_x", "median"), dashed=("dashed", "max"))
    for place, scheme in enumerate(order):
        known = scheme in rows.index and pd.notna(rows.loc[scheme, "speedup_x"])
        value = float(rows.loc[scheme, "speedup_x"]) if known else 0.0
        dashed = known and bool(rows.loc[scheme, "dashed"])
        colour = looks[str(scheme)].colour
        axes.barh(
            place, value, height=0.7, edgecolor=colour, facecolor="white" if dashed else colour,
            linestyle="--" if dashed else "-",
        )  # fmt: skip
        text = ratio(value) if known else "unknown"
        axes.annotate(
            text, (value, place), (3, 0), textcoords="offset points", va="center", fontsize=8, bbox=_BACKGROUND
        )
    axes.set_yticks(range(len(order)), [str(name) for name in order])
    bound = part["headroom_x"].max()
    if np.isfinite(bound):
        axes.axvline(bound, color="black", linewidth=1.1, linestyle="-.")
    axes.axvline(1.0, color="black", linewidth=0.7)
    axes.set_xlim(0, 1.18 * max(scales.finite([*part["speedup_x"], bound, 1.0])))
    axes.set_xlabel("speedup", fontsize=9)
    scales.tidy(axes)
    axes.grid(visible=False, axis="y")


def _legend(figure: Figure, runs: pd.DataFrame, x: str, looks: dict[str, style.Look], *, single: bool) -> None:
    """Name the lines outside the panels, in the order in which they start at the left of the first panel."""
    handles: list[Any] = []
    if not single:
        first = runs[runs["sync"] == runs["sync"].iloc[0]]
        start = first[first[x] == (first[x].min() if pd.api.types.is_numeric_dtype(runs[x]) else first[x].iloc[0])]
        ranked = start.sort_values("speedup_x", ascending=False)["scheme"]
        names = dict.fromkeys([*ranked, *runs["scheme"]])
        handles += [style.legend_handle(str(name), looks[str(name)]) for name in names]
        handles.append(Patch(facecolor="#F0F0F0", label="out of reach"))
    handles.append(Line2D([], [], color="black", linewidth=1.1, linestyle="-.", label="headroom"))
    handles.append(Line2D([], [], color="black", linewidth=0.7, label="1x: as fast as none"))
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
