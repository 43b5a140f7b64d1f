"""What waiting for nobody buys and costs: seconds of a worker's step, and how stale its gradients are."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from netsim.errors import InputError
from netsim.report import layout, scales, style
from netsim.report.points import label, of_row, point_columns, split, spread
from netsim.report.text import seconds

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def staleness(runs: pd.DataFrame, steps: pd.DataFrame) -> Figure:
    """Return the figure at up to three points of the sweep, for the first scheme: step times above, staleness below.

    Raises:
        InputError: every step is synchronous.
    """
    if not waits_for_nobody(runs):
        raise InputError(
            "every step of this result is synchronous",
            "simulate for example `sync: {kind: parameter_server, staleness: unbounded}`",
            path="--kind",
        )
    runs = runs[runs["scheme"] == runs["scheme"].iloc[0]]
    chosen = spread(runs, by := point_columns(runs))
    looks = dict(zip(dict.fromkeys(runs["sync"]), cycle(style.COLOURS), strict=False))
    figure = layout.figure(1.6 + 3.7 * len(chosen), 3.6 + 0.22 * len(looks))
    grid = figure.subplots(2, len(chosen), squeeze=False, sharex="row", sharey="row")
    for (above, below), (key, part) in zip(grid.T, chosen, strict=True):
        above.set_title(layout.wrapped(label(by, key), 42), fontsize=10, loc="left")
        _step_times(above, part, looks)
        _histograms(below, part, steps, looks)
    grid[1, 0].set_ylabel("share of steps", fontsize=9)
    handles = [Patch(facecolor=colour, label=sync) for sync, colour in looks.items()]
    figure.legend(handles=handles, loc="outside upper center", fontsize=8, frameon=False, ncols=1)
    note = f"Scheme {runs['scheme'].iloc[0]}. Staleness: updates by others that a gradient did not know of."
    points = layout.some(len(chosen), len(split(runs, by)), "points")
    layout.footer(figure, runs, note + " A synchronous step has none.", points)
    return figure


def waits_for_nobody(runs: pd.DataFrame) -> bool:
    """Return whether any row is of an asynchronous server."""
    return "staleness_max" in runs and bool((runs["staleness_max"] > 0).any())


def _step_times(axes: Axes, part: pd.DataFrame, looks: dict[str, str]) -> None:
    for place, (sync, colour) in enumerate(looks.items()):
        for step_s in part.loc[part["sync"] == sync, "step_time_s"].head(1):
            axes.barh(-place, step_s, height=0.72, color=colour)
            end = (step_s, -place)
            axes.annotate(seconds(step_s), end, (3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_yticks([])
    axes.margins(x=0.2)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scales.duration(value)))
    axes.set_xlabel("a worker's step", fontsize=9)
    scales.tidy(axes)
    axes.grid(visible=False, axis="y")


def _histograms(axes: Axes, part: pd.DataFrame, steps: pd.DataFrame, looks: dict[str, str]) -> None:
    """Draw the staleness of all worker-steps of each asynchronous architecture as an outline."""
    for _, row in part[part["staleness_max"] > 0].iterrows():
        mine = of_row(steps, row)
        shares = np.bincount(mine["staleness"].to_numpy(dtype=np.int64)) / len(mine)
        axes.stairs(shares, np.arange(len(shares) + 1) - 0.5, color=looks[str(row["sync"])], linewidth=1.4)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("staleness (updates)", fontsize=9)
    scales.tidy(axes)
