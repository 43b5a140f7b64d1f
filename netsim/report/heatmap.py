"""Which scheme wins where: bandwidth against workers, or against the architecture where workers do not vary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.patches import Patch, Rectangle

from netsim.report import layout, scales, style
from netsim.report.points import UNCOMPRESSED, extrapolated
from netsim.report.text import ratio
from netsim.report.verdict import PAYS_X

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_AXES = ("bandwidth_bytes_per_s", "workers", "latency_s")


def heatmap(runs: pd.DataFrame) -> Figure:
    """Return the figure: a cell's colour is its fastest scheme, its number the speedup.

    Where workers (or latencies) make the rows, a cell's winner is sought over all architectures, and its number is
    against the best uncompressed one; where architectures make the rows, it is against `none` over the same one.
    """
    varying = [column for column in _AXES if runs[column].nunique() > 1]
    x = varying[0] if varying else "bandwidth_bytes_per_s"
    y = varying[1] if len(varying) > 1 else "sync"
    number = "speedup_x" if y == "sync" or "vs_best_dense_x" not in runs else "vs_best_dense_x"
    panels, left_out = layout.panels(runs, [], x, y, "sync")
    columns = sorted(runs[x].unique())
    rows = list(pd.unique(runs[y]))[::-1] if y == "sync" else sorted(runs[y].unique())  # the first one is on top
    figure, grid = layout.panel_figure(panels, 1.0 + 1.05 * max(2, len(columns)), 1.0 + 0.75 * len(rows))
    looks = style.looks(runs["scheme"])
    winners: dict[str, None] = {}
    for axes, (_, part) in zip(grid, panels, strict=True):
        for (column, row), cell in part.groupby([x, y], sort=False):
            best = _winner(cell)
            if best is not None:
                winners[str(best["scheme"])] = None
                _cell(axes, columns.index(column), rows.index(row), best, number, looks, sync=y != "sync")
        _ticks(axes, x, columns, y, rows)
    names = [name for name in looks if name in winners]
    handles = [Patch(facecolor=_fill(name, looks), label=_name(name)) for name in names]
    figure.legend(
        handles=handles, loc="outside right upper", fontsize=8, frameon=False, title="fastest", title_fontsize=8
    )
    against = "none over the same architecture" if number == "speedup_x" else "the best uncompressed architecture"
    hatched = "Hatched: extrapolated beyond the captured workers." if extrapolated(runs).any() else ""
    layout.footer(
        figure, runs, f"Number in a cell: speedup of the fastest scheme against {against}.", hatched, left_out
    )
    return figure


def _winner(cell: pd.DataFrame) -> pd.Series[Any] | None:
    """Return the fastest row: `none` unless a scheme beats it by what counts as paying, the most exact among equals."""
    known = cell[cell["step_time_s"].notna()]
    if known.empty:
        return None
    least = known["step_time_s"].min()
    dense = known[(known["scheme"] == UNCOMPRESSED) & (known["step_time_s"] <= least * PAYS_X)]
    exact = dense if len(dense) else known[known["step_time_s"] <= least * (1 + 1e-9)].sort_values("rel_error")
    best: pd.Series[Any] = exact.iloc[0]
    return best


def _name(scheme: str) -> str:
    return "none: nothing pays" if scheme == UNCOMPRESSED else scheme


def _fill(scheme: str, looks: dict[str, style.Look]) -> str:
    return "#D0D0D0" if scheme == UNCOMPRESSED else looks[scheme].colour


def _cell(
    axes: Axes, column: int, row: int, best: pd.Series[Any], number: str, looks: dict[str, style.Look], *, sync: bool
) -> None:
    scheme = str(best["scheme"])
    hatch = "////" if bool(best.get("extrapolated", False)) else None
    fill = _fill(scheme, looks)
    axes.add_patch(
        Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=fill, edgecolor="white", hatch=hatch, linewidth=1.5)
    )
    lines = ["none wins" if scheme == UNCOMPRESSED else ratio(float(best[number]))]
    lines += [str(best["sync"]).replace("_", "\n", 1)] if sync else []
    axes.text(
        column, row, "\n".join(lines), ha="center", va="center", fontsize=8, color=style.text_on(fill),
        bbox={"facecolor": fill, "edgecolor": "none", "pad": 1.0} if hatch else None,
    )  # fmt: skip


def _ticks(axes: Axes, x: str, columns: list[Any], y: str, rows: list[Any]) -> None:
    axes.set_xticks(range(len(columns)), [scales.tick(x, value) for value in columns])
    axes.set_yticks(range(len(rows)), [layout.wrapped(scales.tick(y, value), 28) for value in rows])
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-0.5, len(rows) - 0.5))
    axes.set_xlabel(scales.axis_name(x), fontsize=9)
    axes.set_ylabel("" if y == "sync" else scales.axis_name(y), fontsize=9)
    axes.spines[:].set_visible(False)
    axes.tick_params(labelsize=8, length=0)
