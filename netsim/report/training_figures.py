"""Figures of training in simulated time: curves, and times to the target."""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from netsim.report import layout, scales
from netsim.report.families import families
from netsim.report.points import label, split, spread
from netsim.report.style import PALE, Look, legend_handle, looks
from netsim.report.text import nbytes
from netsim.report.times import times
from netsim.report.training import GOALS, named, places

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = {"gradient_norm": "relative_gradient_norm", "loss": "loss", "accuracy": "metric"}
_X = {
    "time_s": "simulated time (s)",
    "epoch": "gradient evaluations / all samples",
    "wire_bytes_per_worker": "sent by a worker",
}
_PALE = "Grey: what has its colours in another column."


def curves(points: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Return what the target is about against simulated seconds, evaluations and bytes; up to four points, a row each.

    Where lines are too many for a panel, columns are families of them, rows are seconds at each point, and evaluations
    and bytes at the last.
    """
    runs = runs.assign(name=named(runs))
    shared = [_looks(names) for names in families(runs)]
    by = places(runs)
    facets = spread(runs, by, 4)
    points_shown = layout.some(len(facets), len(split(runs, by)), "points")
    if len(shared) == 1:
        rows = [[(part, label(by, key), x, shared[0]) for x in _X] for key, part in facets]
    else:
        shown = [(part, label(by, key), "time_s") for key, part in facets]
        shown += [(*shown[-1][:2], x) for x in _X if x != "time_s"]
        rows = [[(*one, look_of) for look_of in shared] for one in shown]
    legend = max(map(layout.legend_inches, shared))
    width, beside, above = (3.3, legend, 0.0) if len(shared) == 1 else (max(3.3, legend), 0.0, 0.17 * len(shared[0]))
    figure = layout.figure(beside + width * len(rows[0]), 0.8 + above + 2.9 * len(rows))
    grid = figure.subplots(len(rows), len(rows[0]), squeeze=False, sharey="row")
    for axes_row, row in zip(grid, rows, strict=True):
        for axes, (part, _, x, look_of) in zip(axes_row, row, strict=True):
            _panel(axes, points, part, x, look_of)
        first, title = row[0][0].iloc[0], row[0][1]
        axes_row[0].set_title(title or f"{first['workers']} workers", fontsize=10, loc="left")  # of the row
        if first["target_of"] == "gradient_norm":
            axes_row[0].set_yscale("log")
        axes_row[0].set_ylabel(GOALS[first["target_of"]], fontsize=9)
    _legends(figure, list(grid[0]), shared)
    layout.footer(figure, runs, "Dashed: the target.", _PALE if len(shared) > 1 else "", points_shown)
    return figure


def _panel(axes: Axes, points: pd.DataFrame, part: pd.DataFrame, x: str, look_of: dict[str, Look]) -> None:
    """Draw the curves of a point; those that have no look are pale, behind the others."""
    first = part.iloc[0]
    keys = ["scenario", "point", "scheme", "sync", "optimizer", "workers"]
    lines = points.merge(part[[*keys, "name"]].drop_duplicates(), on=keys)
    for name, line in lines.groupby("name", sort=False):
        _draw(axes, line, x, _COLUMNS[first["target_of"]], look_of.get(str(name)))
    _axis(axes, x)
    axes.set_xlabel(_X[x], fontsize=9)
    axes.axhline(float(first["target"]), color="black", linewidth=0.7, linestyle="--")


def _draw(axes: Axes, line: pd.DataFrame, x: str, y: str, look: Look | None) -> None:
    known = line[line[y] > 0]
    if x == "wire_bytes_per_worker":
        known = known[known[x] > 0]
    if look is None:
        axes.plot(known[x], known[y], color=PALE, linewidth=0.8, zorder=1)
    else:
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
    x = (
        "bandwidth_bytes_per_s"
        if runs["workers"].nunique() < 2 < 1 + runs["bandwidth_bytes_per_s"].nunique()
        else "workers"
    )
    by = [column for column in places(runs) if column != x]
    panels = [(label(by, key), part) for key, part in spread(runs, by, 6)]
    points_shown = layout.some(len(panels), len(split(runs, by)), "points")
    names = families(runs) if len(panels) == 1 else [list(dict.fromkeys(runs["name"]))]
    shared = [_looks(some) for some in names]
    legend = max(map(layout.legend_inches, shared))
    width, beside = (5.0, legend) if len(shared) == 1 else (max(3.6, legend), 0.0)
    figure, grid = layout.panel_figure(panels * len(shared), width, 3.6, legend=beside)
    for place, axes in enumerate(grid):
        part = panels[place % len(panels)][1]
        times(axes, part, x, "name", shared[place // len(panels)])
        scales.value_axis(axes, x, part[x])
    grid[0].set_ylabel("simulated time to the target (s)", fontsize=9)
    _legends(figure, grid, shared)
    pale = _PALE if len(shared) > 1 else ""
    layout.footer(figure, runs, "Hollow: the target was not reached.", pale, points_shown)
    return figure


def _looks(names: list[str]) -> dict[str, Look]:
    """Return a look for every training of a panel, in the order in which they are listed."""
    found = looks(names)
    return {name: found[name] for name in names}


def _legends(figure: Figure, top: list[Axes], shared: list[dict[str, Look]]) -> None:
    """Name the lines at the right of all panels, or above each column those that have their looks in it."""
    handles = [[legend_handle(*one) for one in look_of.items()] for look_of in shared]
    if len(shared) == 1:
        figure.legend(handles=handles[0], loc="outside right upper", fontsize=8, frameon=False)
        return
    for axes, some in zip(top, handles, strict=True):
        axes.legend(
            handles=some, loc="lower left", bbox_to_anchor=(0, 1.08), fontsize=8, frameon=False, borderaxespad=0
        )
