"""How a figure is laid out: its panels and their titles, and a footer that says what was simulated."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from netsim.report.points import label, point_columns, split
from netsim.report.text import in_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

_FOOTER_INCHES = 0.17
_MOST_PANELS = 9


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


def some(shown: int, count: int, what: str) -> str:
    """Return the note that not all are shown, or nothing."""
    return f"{shown} of {count} {what}." if shown < count else ""


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


LEGEND_INCHES = 2.6
"""Room for a legend at the right, unless its names are long."""
_BESIDE_INCHES = 0.7
"""Of a panel, beside its axes."""


def label_inches(names: Iterable[object]) -> float:
    """Return how wide the longest of these names is, in letters of 8 points, as `in_lines` breaks it."""
    return 0.066 * max((len(line) for name in names for line in in_lines(str(name)).split("\n")), default=0)


def row_inches(names: Iterable[object]) -> float:
    """Return the height of a row beside which one of these names stands, as `in_lines` breaks it."""
    return max((0.24, *(0.14 * (1 + in_lines(str(name)).count("\n")) for name in names)))


def legend_inches(names: Iterable[object]) -> float:
    """Return the room that a legend of these names takes."""
    return max(LEGEND_INCHES, 0.55 + label_inches(names))


def title_letters(width: float) -> int:
    """Return how many letters of 10 points a line of the title of a panel of `width` inches has."""
    return max(16, int((width - _BESIDE_INCHES) * 12))


def panel_figure(
    panels: Sequence[tuple[str, pd.DataFrame]],
    width: float,
    height: float,
    *,
    sharey: bool = False,
    legend: float = LEGEND_INCHES,
    names: float = 0.0,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a titled panel of `width` x `height` inches for each, and room for a legend at the right.

    `names` are the inches that names at the left of the panels take, of all together where these share their y axis.
    """
    columns = min(len(panels), 2 if len(panels) == 4 else 3)
    rows = math.ceil(len(panels) / columns)
    made = figure(legend + width * columns + names * (1 if sharey else columns), 0.6 + height * rows)
    grid = list(made.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
    for axes, (title, _) in zip(grid, panels, strict=False):
        axes.set_title(wrapped(title, title_letters(width)), fontsize=10, loc="left")
    for axes in grid[len(panels) :]:
        axes.remove()
    return made, grid[: len(panels)]


def footer(figure: Figure, runs: pd.DataFrame, *notes: str) -> None:
    """Write under the figure what was simulated, where it was measured, and the given notes."""
    width, inches = figure.get_size_inches()
    texts = (provenance(runs), " ".join(note for note in notes if note))
    lines = [line for text in texts for line in textwrap.wrap(text, int(width * 18))]
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
        ("timing", "compute_device"),
        ("coding cost", "cost_source"),
        ("topology", "topology"),
        ("network", "network"),
        ("transport", "transport"),
        ("workers", "workers"),
    ]
    if "compute_device" in runs:
        device = runs["compute_device"]
        runs = runs.assign(compute_device=device.where(device.str.startswith("stated"), "measured on " + device))
    return "; ".join(f"{word} {_values(runs[column])}" for word, column in said if column in runs and len(runs))


def _values(column: pd.Series[Any]) -> str:
    found = [str(value) for value in column.dropna().unique() if str(value)]
    return ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "") if found else "unknown"
