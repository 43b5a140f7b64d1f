"""Results of training in simulated time: the table of times to the target, and their figures."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import pandas as pd

from netsim.report.points import CLUSTER, label, split
from netsim.report.text import Column, nbytes, seconds, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STATUS = {
    "target": "reached",
    "until": "missed (time)",
    "max_epochs": "missed (epochs)",
    "diverged": "DIVERGED",
}


def trains(runs: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows of `runs` are trainings."""
    if "optimizer" not in runs:
        return pd.Series(False, index=runs.index)
    return runs["optimizer"].notna()


def training_summary(runs: pd.DataFrame, width: int = 120) -> str:
    """Return a table for each point of a sweep: optimizers by time to the target, then by the best."""
    by = [column for column in (*CLUSTER, "sync") if column in runs and runs[column].nunique(dropna=False) > 1]
    columns = [
        Column("optimizer", words=True), Column("target", words=True), Column("time to|target"),
        Column("updates to|target"), Column("epochs to|target"), Column("best relative|gradient norm"),
        Column("sent a worker|and update"), Column("simulated"),
    ]  # fmt: skip
    blocks = []
    for key, part in split(runs, by):
        ordered = part.sort_values(["time_to_target_s", "best"], kind="stable")
        heading = f"Training at {label(by, key)}" if by else "Training"
        first = part.iloc[0]
        heading += f" ({first['workload']}, {first['workers']} workers, target {first['target']:g})"
        blocks.append("\n".join([heading, *table(columns, [_cells(row) for _, row in ordered.iterrows()], width)]))
    return "\n\n".join(blocks)


def _cells(row: pd.Series[Any]) -> list[str]:
    def number(value: float) -> str:
        return "-" if pd.isna(value) else f"{value:.4g}"

    return [
        str(row["optimizer"]), _STATUS[row["status"]], seconds(float(row["time_to_target_s"])),
        number(row["steps_to_target"]), number(row["epochs_to_target"]), f"{row['best']:.2e}",
        nbytes(float(row["wire_bytes_per_worker"])), seconds(float(row["total_s"])),
    ]  # fmt: skip


def curves(points: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Return the relative gradient norm against simulated seconds, epochs and bytes; a row for each worker count."""
    from matplotlib.ticker import MaxNLocator

    from netsim.report import layout, scales

    looks = _looks(points)
    counts = sorted(points["workers"].unique())[:4]
    axis = {
        "time_s": "simulated time (s)",
        "epoch": "gradient evaluations / all samples",
        "wire_bytes_per_worker": "sent by a worker (bytes)",
    }
    figure = layout.figure(12.5, 0.8 + 2.9 * len(counts))
    grid = figure.subplots(len(counts), len(axis), squeeze=False, sharey=True)
    for axes_row, count in zip(grid, counts, strict=True):
        part = points[points["workers"] == count]
        for axes, (column, name) in zip(axes_row, axis.items(), strict=True):
            for keys, line in part.groupby(["point", "sync", "optimizer"], sort=False):
                colour, marker = looks[str(keys[2])]
                known = line[line["relative_gradient_norm"] > 0]
                axes.plot(known[column], known["relative_gradient_norm"], color=colour, linewidth=1.2)
                axes.plot(known[column].iloc[-1:], known["relative_gradient_norm"].iloc[-1:], marker, color=colour)
            axes.set_yscale("log")
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.set_xlabel(name, fontsize=9)
            scales.tidy(axes)
            axes.set_title(f"{count} workers", fontsize=10, loc="left")
        axes_row[0].axhline(float(runs["target"].iloc[0]), color="black", linewidth=0.7, linestyle="--")
        axes_row[0].set_ylabel("relative gradient norm", fontsize=9)
    _legend(figure, looks)
    layout.footer(figure, runs, "Norm of the exact gradient over that at the start. Dashed: the target.")
    return figure


def time_to_target(runs: pd.DataFrame) -> Figure:
    """Return the simulated seconds to the target against the workers; who missed it stands above, hollow."""
    from netsim.report import layout, scales
    from netsim.report.times import times

    looks = _looks(runs)
    figure = layout.figure(7.5, 4.2)
    axes = figure.subplots()
    times(axes, runs, "workers", "optimizer", looks)
    axes.set_ylabel("simulated time to the target (s)", fontsize=9)
    scales.value_axis(axes, "workers", runs["workers"])
    _legend(figure, looks)
    layout.footer(figure, runs, f"Target: relative gradient norm {runs['target'].iloc[0]:g}. Hollow: not reached.")
    return figure


def _looks(rows: pd.DataFrame) -> dict[str, tuple[str, str]]:
    from netsim.report.style import COLOURS, MARKERS

    names = dict.fromkeys(map(str, rows["optimizer"].dropna()))
    return {name: (colour, mark) for name, colour, mark in zip(names, cycle(COLOURS), cycle(MARKERS), strict=False)}


def _legend(figure: Figure, looks: dict[str, tuple[str, str]]) -> None:
    from netsim.report.style import Look, legend_handle

    handles = [legend_handle(name, Look(colour, marker)) for name, (colour, marker) in looks.items()]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
