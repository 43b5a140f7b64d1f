"""Where a step's time goes: stacked bars that add up to the step, a row of panels for each architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from netsim.report import layout, scales, style
from netsim.report.points import extrapolated, held_up_by, label, point_columns, split, spread
from netsim.report.text import in_lines, seconds, shorten

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_SYNCS = 4
_PANEL = 3.7
"""Inches of a panel's width."""
_CHARACTER = 0.0175
"""Width of a letter of a bar's text, as a share of the panel's."""


def breakdown(runs: pd.DataFrame) -> Figure:
    """Return the figure at up to three points of the sweep: the first, the middle one and the last."""
    by = point_columns(runs)
    chosen = spread(runs, by)
    syncs = list(dict.fromkeys(runs["sync"]))[:_MOST_SYNCS]
    order = list(dict.fromkeys(runs["scheme"]))[::-1]
    height = 0.9 + layout.row_inches(order) * len(order)
    width = max(2.2, 0.3 + layout.label_inches(order)) + _PANEL * len(chosen)
    figure = layout.figure(width, 0.7 + height * len(syncs))
    grid = figure.subplots(len(syncs), len(chosen), squeeze=False, sharey=True)
    for row, sync in zip(grid, syncs, strict=True):
        for axes, (key, part) in zip(row, chosen, strict=True):
            axes.set_title(
                layout.wrapped(f"{sync} at {label(by, key)}", layout.title_letters(_PANEL)), fontsize=10, loc="left"
            )
            _stack(axes, part[part["sync"] == sync], order, style.parts(runs))
    handles = [Patch(facecolor=colour, label=name) for name, colour in style.parts(runs).values()]
    columns = len(handles) if width > 1.25 * len(handles) else 3
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, fontsize=8, frameon=False)
    notes = ["A bar is one step; its parts do not overlap and add up to it. Numbers: step time, and its bottleneck."]
    if extrapolated(runs).any():
        notes.append("Hatched: statistics extrapolated beyond the captured workers.")
    notes.append(layout.some(len(chosen), len(split(runs, by)), "points"))
    notes.append(layout.some(len(syncs), runs["sync"].nunique(), "architectures"))
    layout.footer(figure, runs, *notes)
    return figure


def _stack(axes: Axes, part: pd.DataFrame, order: list[Any], parts: dict[str, tuple[str, str]]) -> None:
    rows = part.drop_duplicates("scheme").set_index("scheme")
    for place, scheme in enumerate(order):
        if scheme in rows.index and rows.loc[scheme, list(parts)].notna().all():
            _bar(axes, place, rows.loc[scheme], parts)
        else:
            axes.annotate("not simulated", (0, place), (3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_yticks(range(len(order)), [in_lines(str(scheme)) for scheme in order])
    ends = [float(row["step_time_s"]) / (1 - _CHARACTER * len(_text(row))) for _, row in rows.iterrows()]
    axes.set_xlim(0, max(scales.finite(ends), default=1.0))
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scales.duration(value)))
    scales.tidy(axes)
    axes.grid(visible=False, axis="y")


def _bar(axes: Axes, place: int, row: pd.Series[Any], parts: dict[str, tuple[str, str]]) -> None:
    left = 0.0
    hatch = "////" if bool(row.get("extrapolated", False)) else None
    for column, (_, colour) in parts.items():
        axes.barh(place, row[column], left=left, height=0.72, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
        left += float(row[column])
    axes.annotate(_text(row), (left, place), (3, 0), textcoords="offset points", va="center", fontsize=7)


def _text(row: pd.Series[Any]) -> str:
    return f"{seconds(float(row['step_time_s']))}  {shorten(held_up_by(row), 30)}"
