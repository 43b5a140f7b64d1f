"""A calibration as people read it: what was fitted, how surely, what it misses, and the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter

from netsim.report import layout, scales
from netsim.report.style import COLOURS
from netsim.report.text import Column, nbytes, seconds, table
from netsim.units import format_bandwidth, format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from netsim.calibration import Fit

_WRITTEN: dict[str, Callable[[float], str]] = {
    "efficiency": lambda value: f"{value:.4g}",
    "overhead": seconds,
    "cap": format_bandwidth,
}


def fitted(fit: Fit) -> str:
    """Return the fitted fields with their intervals, every sample beside its prediction, and what the log left open."""
    lines = [f"{fit.transport.kind}, fitted to {len(fit.samples)} samples", *_fields(fit), "", *_residuals(fit), ""]
    return "\n".join([*lines, summary(fit), *(f"Note: {note}." for note in fit.notes)])


def summary(fit: Fit) -> str:
    """Return the median and the worst error in one line."""
    errors = np.abs(fit.errors)
    return f"Predicted against measured: median error {np.median(errors):.1%}, worst {errors.max():.1%}."


def intervals(fit: Fit) -> list[str]:
    """Return one line for each fitted field: its value and its interval of 95 %."""
    return [
        f"{name} {_WRITTEN[name](one.value)}, 95 % of {_WRITTEN[name](one.low)} to {_WRITTEN[name](one.high)}"
        if np.isfinite(one.low)
        else f"{name} {_WRITTEN[name](one.value)}, too few samples for an interval"
        for name, one in fit.estimates.items()
    ]


def _fields(fit: Fit) -> list[str]:
    return [f"  {line}" for line in intervals(fit)]


def _residuals(fit: Fit) -> list[str]:
    columns = [
        Column("operation", words=True), Column("workers"), Column("size"), Column("measured"), Column("predicted"),
        Column("error"),
    ]  # fmt: skip
    rows = [
        (one.operation, str(one.workers), nbytes(one.size_bytes), seconds(one.time_s), seconds(found), f"{error:+.1%}")
        for one, found, error in zip(fit.samples, fit.predicted_s.tolist(), fit.errors.tolist(), strict=True)
    ]
    return table(columns, rows)


def figure(fit: Fit) -> Figure:
    """Return measured times as points and predicted ones as lines against size, a colour for each operation."""
    drawn = layout.figure(6.4, 4.2)
    axes = drawn.subplots()
    groups = sorted({(one.operation, one.workers) for one in fit.samples})
    for (operation, workers), colour in zip(groups, COLOURS * len(groups), strict=False):
        found = sorted(
            (one.size_bytes, one.time_s, predicted)
            for one, predicted in zip(fit.samples, fit.predicted_s.tolist(), strict=True)
            if (one.operation, one.workers) == (operation, workers)
        )
        size, measured, predicted = zip(*found, strict=True)
        axes.plot(size, measured, "o", color=colour, label=f"{operation}, {workers} workers, measured")
        axes.plot(size, predicted, "-", color=colour, label="predicted")
    axes.set(xscale="log", yscale="log", xlabel="size", ylabel="time")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_size(value)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_duration(value)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    scales.tidy(axes)
    axes.set_title("; ".join(intervals(fit)), fontsize=8, loc="left")
    axes.legend(fontsize=8, frameon=False)
    return drawn
