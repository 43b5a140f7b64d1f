"""The trade-off: speedup against the error of the update, a point for each scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter, NullLocator

from netsim.report import layout, scales, style
from netsim.report.points import extrapolated, label, point_columns, split, spread
from netsim.report.text import EXACT, fraction

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_SYNCS = 4


def error(runs: pd.DataFrame) -> Figure:
    """Return the figure at up to three points of the sweep; up and to the left is better."""
    by = point_columns(runs)
    chosen = spread(runs, by)
    syncs = list(dict.fromkeys(runs["sync"]))[:_MOST_SYNCS]
    looks = style.looks(runs["scheme"])
    figure = layout.figure(2.8 + 3.4 * len(chosen), 0.6 + 3.2 * len(syncs))
    grid = figure.subplots(len(syncs), len(chosen), squeeze=False)
    for row, sync in zip(grid, syncs, strict=True):
        for axes, (key, part) in zip(row, chosen, strict=True):
            axes.set_title(layout.wrapped(f"{sync} at {label(by, key)}", 40), fontsize=10, loc="left")
            _scatter(axes, part[part["sync"] == sync], runs, looks)
    handles = [style.legend_handle(str(name), looks[str(name)]) for name in dict.fromkeys(runs["scheme"])]
    for handle in handles:
        handle.set_linestyle("")
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    notes = ["Error: of the update, added up over the simulated steps, relative. Up and to the left is better."]
    if extrapolated(runs).any():
        notes.append("Hollow: statistics extrapolated beyond the captured workers.")
    notes.append(layout.some(len(chosen), len(split(runs, by)), "points"))
    notes.append(layout.some(len(syncs), runs["sync"].nunique(), "architectures"))
    layout.footer(figure, runs, *notes)
    return figure


def _scatter(axes: Axes, part: pd.DataFrame, runs: pd.DataFrame, looks: dict[str, style.Look]) -> None:
    known = part[part["rel_error"].notna() & part["speedup_x"].notna()]
    errors = [one for one in scales.finite(runs["rel_error"]) if one >= EXACT]
    smallest = min(errors, default=0.1)
    # A logarithmic axis has no zero: exact schemes stand at its left edge, a decade before the smallest error.
    exact = smallest / 10
    for row in known.itertuples():
        place = max(float(str(row.rel_error)), exact)
        look = looks[str(row.scheme)]
        style.markers(axes, [place], [row.speedup_x], look, hollow=bool(getattr(row, "extrapolated", False)))
    axes.axhline(1.0, color="black", linewidth=0.7, zorder=1)
    speeds = scales.finite([*known["speedup_x"], 1.0])
    scales.ratio_axis(axes, "y", min(speeds), max(speeds))
    high = max(errors, default=1.0)
    axes.set_xscale("log")
    axes.set_xlim(exact / 1.6, high * 2)
    axes.set_xticks([exact, *scales.nice_ticks(smallest, max(high, smallest * 10))])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: "exact" if value <= exact * 1.001 else fraction(value))
    )
    axes.set_xlabel("relative error of the update", fontsize=9)
    axes.set_ylabel("speedup", fontsize=9)
    scales.tidy(axes)
