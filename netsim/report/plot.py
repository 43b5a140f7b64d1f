"""Figures from the tables of a result folder: a plot is a function of a table, never of a simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from netsim.errors import InputError, closest
from netsim.record import PARTS
from netsim.report.breakdown import breakdown
from netsim.report.error import error
from netsim.report.heatmap import heatmap
from netsim.report.points import ROW, expanded
from netsim.report.speedup import speedup
from netsim.report.staleness import staleness
from netsim.report.timeline import timeline
from netsim.report.training import trains
from netsim.report.training_figures import curves, time_to_target
from netsim.writing import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

KINDS = ("speedup", "breakdown", "heatmap", "timeline", "error", "curves", "time_to_target", "staleness")
STANDARD = ("speedup", "breakdown", "heatmap")
"""What every run that compresses draws."""
UNCOMPRESSED = ("breakdown",)
"""What every run that does not draws."""
TRAINING = ("curves", "time_to_target")
"""What every run that trains draws, and what is drawn of such runs alone."""
ASYNCHRONOUS = ("staleness",)
"""What every run with an asynchronous server draws besides."""


_COLUMNS = {
    "runs": (
        *ROW, "topology", "network", "transport", "workload", "workers", "bandwidth_bytes_per_s", "latency_s",
        "step_time_s", "speedup_x", "headroom_x", "rel_error", *(one for one in PARTS if one != "lost_s"),
    ),
    "steps": ("point", "staleness"),
    "spans": ("point", "scheme", "sync", "step", "worker", "what", "bucket", "start_s", "end_s"),
    "curves": ("scenario", "point", "scheme", "sync", "optimizer", "workers", "time_s", "epoch"),
}  # fmt: skip
"""What each table of a result must have to be drawn: those of other versions may have less."""


def draw(folder: Path, kind: str, x: str = "", rows: Sequence[int] = (), step: int = 0) -> Figure:
    """Return a figure of a result folder; `x` belongs to speedup, `rows` (of runs, from 0) and `step` to timeline.

    Raises:
        InputError: the folder holds no result, the kind or a column is unknown, an argument belongs to another kind,
            or nothing was simulated.
    """
    if kind not in KINDS:
        raise InputError(f"unknown plot {kind!r}", closest(kind, KINDS), path="--kind")
    for option, given, only in (("--x", x, "speedup"), ("--point", rows, "timeline"), ("--step", step, "timeline")):
        if given and kind != only:
            raise InputError(f"plot {kind!r} has no use for it", f"leave it out, or use --kind {only}", path=option)
    runs = expanded(read(folder, "runs"))
    if runs.empty:
        raise InputError("no point was simulated", "run the scenario first", file=str(folder))
    trained = trains(runs)
    runs = runs[trained] if kind in TRAINING else runs[~trained]
    if runs.empty:
        problem = f"no point of this result is for plot {kind!r}"
        others = set(KINDS) - set(TRAINING) if kind in TRAINING else TRAINING
        raise InputError(problem, f"choose one of {', '.join(sorted(others))}", path="--kind")
    drawn: dict[str, Callable[[], Figure]] = {
        "speedup": lambda: speedup(runs, x),
        "breakdown": lambda: breakdown(runs),
        "heatmap": lambda: heatmap(runs),
        "timeline": lambda: timeline(read(folder, "spans"), runs, rows, step),
        "error": lambda: error(runs),
        "curves": lambda: curves(read(folder, "curves"), runs),
        "time_to_target": lambda: time_to_target(runs),
        "staleness": lambda: staleness(runs, read(folder, "steps")),
    }
    return drawn[kind]()


def read(folder: Path, name: str) -> pd.DataFrame:
    """Return a table of a result folder; raise InputError where it is missing, or not one that can be drawn."""
    file = Path(folder) / f"{name}.parquet"
    if not file.is_file():
        raise InputError(f"no {name}.parquet here", "give the folder that `netsim run` wrote", file=str(folder))
    try:
        table = pd.read_parquet(file)
    except (OSError, ValueError) as caught:
        raise InputError(f"not a readable table ({caught})", "run the scenario again", file=str(file)) from caught
    if missing := [column for column in _COLUMNS[name] if column not in table]:
        problem = f"has no column {missing[0]!r}: it is not of this version of netsim"
        raise InputError(problem, "run the scenario again", file=str(file))
    return table


def save(figure: Figure, file: Path) -> None:
    """Write a figure in the format of the file's suffix, at 150 dots an inch; raise InputError where it cannot."""
    known = figure.canvas.get_supported_filetypes()
    suffix = file.suffix.removeprefix(".")
    if suffix not in known:
        raise InputError(f"cannot write a {suffix or 'nameless'} picture", closest(suffix, known), path="--out")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", "choose another place", file=str(file.parent)) from error
    write_atomically(file, lambda stream: figure.savefig(stream, format=suffix, dpi=150))
