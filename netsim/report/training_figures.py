"""Figures of training in simulated time: curves, and times to the target."""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from netsim.report import layout, scales
from netsim.report.points import label, spread
from netsim.report.style import Look, legend_handle, looks
from netsim.report.text import nbytes
from netsim.report.times import times
from netsim.report.training import GOALS, named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = {"gradient_norm": "relative_gradient_norm", "loss": "loss", "accuracy": "metric"}
_X = {
    "time_s": "simulated time (s)",
    "epoch": "gradient evaluations / all samples",
    "wire_bytes_per_worker": "sent by a worker",
}
_FACETS = ("workload", "workers", "bandwidth_bytes_per_s", "latency_s", "sync")


def curves(points: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Return what the target is about against simulated seconds, epochs and bytes; up to four points, a row each."""
    runs = runs.assign(name=named(runs))
    look_of = _looks(runs)
    keys = ["scenario", "point", "scheme", "sync", "optimizer", "workers"]
    by = [column for column in _FACETS if runs[column].nunique(dropna=False) > 1]
    facets = spread(runs, by, 4) if by else [((), runs)]
    figure = layout.figure(9.9 + layout.legend_inches(look_of), 0.8 + 2.9 * len(facets))
    grid = figure.subplots(len(facets), len(_X), squeeze=False, sharey="row")
    for axes_row, (key, part) in zip(grid, facets, strict=True):
        first = part.iloc[0]
        column = _COLUMNS[first["target_of"]]
        lines = points.merge(part[[*keys, "name"]].drop_duplicates(), on=keys)
        for axes, (x, title) in zip(axes_row, _X.items(), strict=True):
            for name, line in lines.groupby("name", sort=False):
                _draw(axes, line, x, column, look_of[str(name)])
            _axis(axes, x)
            axes.set_xlabel(title, fontsize=9)
            axes.axhline(float(first["target"]), color="black", linewidth=0.7, linestyle="--")
        axes_row[0].set_title(label(by, key) or f"{first['workers']} workers", fontsize=10, loc="left")  # of the row
        if first["target_of"] == "gradient_norm":
            axes_row[0].set_yscale("log")
        axes_row[0].set_ylabel(GOALS[first["target_of"]], fontsize=9)
    _legend(figure, look_of)
    layout.footer(figure, runs, "Dashed: the target.")
    return figure


def _draw(axes: Axes, line: pd.DataFrame, x: str, y: str, look: Look) -> None:
    known = line[line[y] > 0]
    if x == "wire_bytes_per_worker":
        known = known[known[x] > 0]
    axes.plot(known[x], known[y], color=look.colour, linewidth=look.linewidth, linestyle=look.pattern)
    axes.plot(known[x].iloc[-1:], known[y].iloc[-1:], look.marker, color=look.colour)
    scales.tidy(axes)


def _axis(axes: Axes, x: str) -> None:
    """Give the x axis its ticks: logarithmic for bytes, as who sends at every step sends thousands of times more."""
    if x != "wire_bytes_per_worker":
        axes.xaxis.set_major_locator(MaxNLocator(5))
        return
    axes.set_xscale("log")
    ticks = scales.nice_ticks(*axes.get_xlim())
    wide = len(ticks) > 5
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if not wide or log10(tick) % 1 == 0]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: nbytes(value)))


def time_to_target(runs: pd.DataFrame) -> Figure:
    """Return the simulated seconds to the target against workers, or else bandwidth; who missed it stands above."""
    runs = runs.assign(name=named(runs))
    look_of = _looks(runs)
    x = (
        "bandwidth_bytes_per_s"
        if runs["workers"].nunique() < 2 < 1 + runs["bandwidth_bytes_per_s"].nunique()
        else "workers"
    )
    by = [column for column in _FACETS if column != x and runs[column].nunique(dropna=False) > 1]
    panels = spread(runs, by, 6) if by else [((), runs)]
    figure, grid = layout.panel_figure(
        [(label(by, key), part) for key, part in panels], 5.0, 3.6, legend=layout.legend_inches(look_of)
    )
    for axes, (_, part) in zip(grid, panels, strict=True):
        times(axes, part, x, "name", look_of)
        scales.value_axis(axes, x, part[x])
    grid[0].set_ylabel("simulated time to the target (s)", fontsize=9)
    _legend(figure, look_of)
    layout.footer(figure, runs, "Hollow: the target was not reached.")
    return figure


def _looks(rows: pd.DataFrame) -> dict[str, Look]:
    """Return a look for every training of a table, in the order in which they are listed."""
    names = list(dict.fromkeys(map(str, rows["name"].dropna())))
    found = looks(names)
    return {name: found[name] for name in names}


def _legend(figure: Figure, look_of: dict[str, Look]) -> None:
    handles = [legend_handle(name, look) for name, look in look_of.items()]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
