"""How figures look: a colour and marker for every scheme, ticks with units, a footer that says what was simulated."""

from __future__ import annotations

import math
import textwrap
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from netsim.report.points import UNCOMPRESSED, label, point_columns, split, value_label
from netsim.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes

# Okabe and Ito (2008) without yellow and black, then Tol's muted ones and a brown: told apart with any colour vision.
_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#882255",
    "#999933",
    "#332288",
    "#8C564B",
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
GREY = "#444444"
PARTS = {
    "compute_s": ("compute", "#B8B8B8"),
    "encode_s": ("encode", "#E69F00"),
    "exposed_comm_s": ("exposed communication", "#0072B2"),
    "decode_s": ("decode", "#CC79A7"),
    "optimizer_s": ("optimizer", "#666666"),
}
"""The parts of a step, in the order they are stacked: column -> (name, colour)."""

_FOOTER_INCHES = 0.17
_MOST_PANELS = 9


class Look(NamedTuple):
    """A scheme's colour, marker and thickness in every figure of a result.

    The thickness falls from 1 to 0 in the order of drawing, so that coinciding lines all remain visible.
    """

    colour: str
    marker: str
    thickness: float = 0.5


def looks(runs: pd.DataFrame) -> dict[str, Look]:
    """Return a look for every scheme of the whole table, so that all panels and figures agree."""
    names = [str(name) for name in dict.fromkeys(runs["scheme"]) if name != UNCOMPRESSED]
    found = {
        name: Look(colour, marker, 1 - rank / len(names))
        for rank, (name, colour, marker) in enumerate(zip(names, cycle(_COLOURS), cycle(_MARKERS), strict=False))
    }
    return {UNCOMPRESSED: Look(GREY, "*", 0.0)} | found


def legend_handle(name: str, look: Look) -> Line2D:
    """Return the legend entry of a scheme."""
    return Line2D([], [], color=look.colour, marker=look.marker, markersize=5.5, linewidth=1.4, label=name)


def panels(runs: pd.DataFrame, by: Sequence[str], *drawn: str) -> tuple[list[tuple[str, pd.DataFrame]], str]:
    """Return (title, rows) of each panel: one for each value of `by` and of what varies beside the `drawn` columns.

    The second value says how many panels were left out, or nothing.
    """
    constant = runs[list(drawn)].astype(str).agg("|".join, axis=1) if drawn else None
    others = [
        column for column in point_columns(runs) if column not in {*by, *drawn} and _varies(runs, column, constant)
    ]
    found = split(runs, [*by, *others])
    named = [(label([*by, *others], key), part) for key, part in found]
    left_out = f"The first {_MOST_PANELS} of {len(named)} panels." if len(named) > _MOST_PANELS else ""
    return named[:_MOST_PANELS], left_out


def _varies(runs: pd.DataFrame, column: str, drawn: pd.Series[str] | None) -> bool:
    """Return whether a column has several values that the drawn columns do not explain."""
    if runs[column].nunique(dropna=False) < 2:
        return False
    return drawn is None or bool((runs.groupby(drawn)[column].nunique(dropna=False) > 1).any())


def figure(width: float, height: float) -> Figure:
    """Return a figure of these inches whose panels, titles and legends never overlap."""
    return Figure(figsize=(width, height), layout="constrained")


def wrapped(text: str, characters: int) -> str:
    """Return a title in as many lines as it needs."""
    return "\n".join(textwrap.wrap(text, characters))


def panel_figure(
    panels: Sequence[tuple[str, pd.DataFrame]], width: float, height: float, *, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a titled panel of `width` x `height` inches for each, and room for a legend at the right."""
    columns = min(len(panels), 2 if len(panels) == 4 else 3)
    rows = math.ceil(len(panels) / columns)
    made = figure(2.6 + width * columns, 0.6 + height * rows)
    grid = list(made.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
    for axes, (title, _) in zip(grid, panels, strict=False):
        axes.set_title(wrapped(title, int(width * 12)), fontsize=10, loc="left")
    for axes in grid[len(panels) :]:
        axes.remove()
    return made, grid[: len(panels)]


def markers(axes: Axes, xs: Any, ys: Any, look: Look, *, hollow: bool) -> None:
    """Draw a scheme's markers, hollow where the values are extrapolated."""
    face = "white" if hollow else look.colour
    axes.plot(
        xs, ys, linestyle="", marker=look.marker, markersize=4 + 4 * look.thickness, color=look.colour,
        markerfacecolor=face, zorder=3 - look.thickness,
    )  # fmt: skip


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
        axes.set_xticks(range(len(names)), names)
        return
    ordered = sorted(set(values.dropna()))
    if ordered[0] > 0 and ordered[-1] / ordered[0] > 5:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    if len(ordered) <= 9:
        axes.xaxis.set_major_locator(FixedLocator(ordered))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(column, value)))


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


def footer(figure: Figure, runs: pd.DataFrame, *notes: str) -> None:
    """Write under the figure what was simulated, where it was measured, and the given notes."""
    width, inches = figure.get_size_inches()
    texts = (provenance(runs), " ".join(note for note in notes if note))
    lines = [line for text in texts for line in textwrap.wrap(text, int(width * 19))]
    reserved = (_FOOTER_INCHES * len(lines) + 0.08) / inches
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0, reserved, 1, 1 - reserved))  # type: ignore[call-arg]
    figure.text(0.01, 0.06 / inches, "\n".join(lines), fontsize=7, color="#555555", va="bottom", linespacing=1.35)


def provenance(runs: pd.DataFrame) -> str:
    """Return one line: workload, devices, topology, network and transport of a table."""
    said = [
        ("scenario", "scenario"),
        ("workload", "workload"),
        ("timing measured on", "compute_device"),
        ("coding cost from", "cost_device"),
        ("topology", "topology"),
        ("network", "network"),
        ("transport", "transport"),
        ("workers", "workers"),
    ]
    return "; ".join(f"{word} {_values(runs[column])}" for word, column in said if column in runs and len(runs))


def _values(column: pd.Series[Any]) -> str:
    found = [str(value) for value in column.dropna().unique() if str(value)]
    return ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "") if found else "unknown"


def extrapolated(runs: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows stand on statistics beyond the captured workers."""
    if "extrapolated" not in runs:
        return pd.Series(False, index=runs.index)
    return runs["extrapolated"].fillna(False).astype(bool)


def duration(value: float) -> str:
    """Return a tick label for seconds."""
    return "0" if value == 0 else format_duration(value)


def text_on(colour: str) -> str:
    """Return black or white, whichever reads better on this `#RRGGBB` (relative luminance, WCAG 2)."""
    red, green, blue = (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
    return "black" if 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.18 else "white"


def finite(values: Iterable[float]) -> list[float]:
    """Return the positive finite values, for axis limits."""
    return [float(value) for value in values if value > 0 and math.isfinite(value)]


def tidy(axes: Axes) -> None:
    """Take away the frame's upper and right edge and draw a light grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#E4E4E4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, length=3)
