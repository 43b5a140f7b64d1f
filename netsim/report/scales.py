"""Axes that read well: ticks at the simulated values with their units, ratios as `2x`, logarithms where they help."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from netsim.report.points import value_label
from netsim.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matplotlib.axes import Axes


_LETTERS = 40
"""More of them do not fit below a panel in one line."""


def nice_ticks(low: float, high: float) -> list[float]:
    """Return ticks between two positive values: 1-2-5 of a decade, more where few fit, else powers of ten."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= m * 10.0**d <= high]
    if len(fine) < 4:
        fine = [m * 10.0**d for d in decades for m in (1, 1.5, 2, 3, 4, 6, 8) if low <= m * 10.0**d <= high]
    coarse = [10.0**d for d in decades if low <= 10.0**d <= high]
    return fine if len(fine) <= 9 or len(coarse) < 2 else coarse


def factor(value: float, _: object = None) -> str:
    """Return a ratio as `2x`, `0.95x`, `12x`."""
    return f"{value:.0f}x" if value >= 100 else f"{value:.4g}x"


def ratio_axis(axes: Axes, which: Literal["x", "y"], low: float, high: float) -> None:
    """Give an axis ratios from `low` to `high`: logarithmic where they differ much, labelled `2x`."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    if high / low > 3:
        axes.set(**{f"{which}scale": "log"})
        low, high = low / 1.15, high * 1.15
        axis.set_major_locator(FixedLocator(nice_ticks(low, high)))
        axis.set_minor_locator(NullLocator())
    else:
        margin = max(0.06 * (high - low), 0.05 - (high - low) / 2)
        low, high = low - margin, high + margin
        axis.set_major_locator(MaxNLocator(6))
    axis.set_major_formatter(FuncFormatter(factor))
    axes.set(**{f"{which}lim": (low, high)})


def value_axis(axes: Axes, column: str, values: pd.Series[Any]) -> None:
    """Give the x axis the simulated values as ticks, logarithmic where they span more than a factor of five."""
    axes.set_xlabel(axis_name(column), fontsize=9)
    axes.xaxis.set_minor_locator(NullLocator())
    if not pd.api.types.is_numeric_dtype(values):
        names = [str(name) for name in dict.fromkeys(values)]
        many = sum(map(len, names)) > _LETTERS
        axes.set_xticks(range(len(names)), names, rotation=30 if many else 0, ha="right" if many else "center")
        return
    ordered = sorted(set(values.dropna()))
    logarithmic = ordered[0] > 0 and ordered[-1] / ordered[0] > 5
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(thinned(ordered, math.log if logarithmic else float)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(column, value)))


def thinned(values: Sequence[float], place: Callable[[float], float], gap: float = 0.125) -> list[float]:
    """Return the rising values whose places are a share `gap` of the whole span apart, the last one among them."""
    kept = [values[-1]]
    span = place(values[-1]) - place(values[0])
    for value in reversed(values[:-1]):
        if place(kept[-1]) - place(value) >= gap * span:
            kept.append(value)
    return kept[::-1]


def tick(column: str, value: Any) -> str:
    """Return a tick label, number over unit; words as they are."""
    if column not in AXES:
        return f"{value:g}" if isinstance(value, float) else str(value)
    return (
        f"{value:g}" if column == "workers" else value_label(column, value).removesuffix(" latency").replace(" ", "\n")
    )


AXES = {
    "bandwidth_bytes_per_s": "bandwidth of an access link",
    "latency_s": "latency",
    "workers": "workers",
}


def axis_name(column: str) -> str:
    """Return what an axis of this column is called."""
    return AXES.get(column, column.replace("_", " "))


def duration(value: float) -> str:
    """Return a tick label for seconds."""
    return "0" if value == 0 else format_duration(value)


def finite(values: Iterable[float]) -> list[float]:
    """Return the positive finite values, for axis limits."""
    return [float(value) for value in values if value > 0 and math.isfinite(value)]


def tidy(axes: Axes) -> None:
    """Take away the frame's upper and right edge and draw a light grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#E4E4E4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, length=3)
