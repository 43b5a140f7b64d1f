"""Results of training in simulated time: the table of times to the target, and where faster steps do not pay."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

import pandas as pd

from netsim.report.points import expanded, label, split, varying_columns
from netsim.report.text import Column, nbytes, ratio, seconds, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATUS = {
    "target": "reached",
    "until": "missed (time)",
    "max_epochs": "missed (epochs)",
    "diverged": "DIVERGED",
}
GOALS = {"gradient_norm": "relative gradient norm", "loss": "loss", "accuracy": "accuracy"}
"""What each kind of target is called."""
_PARAMETER = re.compile(r"(\w+)=([^,()]*)")
"""A parameter of a label, and what follows up to the next one."""


def trains(runs: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows of `runs` are trainings."""
    if "optimizer" not in runs:
        return pd.Series(False, index=runs.index)
    return runs["optimizer"].notna()


def named(rows: pd.DataFrame) -> pd.Series[str]:
    """Return what each row's training is called among the others: its scheme, its optimizer, or both."""
    rows = rows.assign(optimizer=_told_apart(rows["optimizer"]))
    one_scheme = rows["scheme"].nunique() < 2
    # Each workload may have an optimizer of its own: who compares within one needs no name for it.
    one_optimizer = rows.groupby("workload")["optimizer"].nunique().max() < 2
    if one_scheme:
        return rows["optimizer"].astype(str)
    if one_optimizer:
        return rows["scheme"].astype(str)
    # Where one optimizer alone has schemes, its parameters are told of it without one.
    coded = rows[rows["scheme"] != "none"]
    optimizer = rows["optimizer"].astype(str)
    alone = coded.groupby("workload")["optimizer"].nunique().max() < 2
    both = (optimizer.str.extract(r"^(\w+)")[0] if alone else optimizer) + " " + rows["scheme"].astype(str)
    return both.where(rows["scheme"] != "none", optimizer)


def _told_apart(labels: pd.Series[str]) -> pd.Series[str]:
    """Return labels such as `sgd(lr=0.1, batch=8)` without parameters of one value that none needs to be told apart."""
    whole = [str(one) for one in labels.dropna().unique()]
    said: dict[str, set[str]] = {}
    for key, value in (pair for one in whole for pair in _PARAMETER.findall(one)):
        said.setdefault(key, set()).add(value)
    short = whole
    for key in [key for key, values in said.items() if len(values) == 1 and len(whole) > 1]:
        less = [_without(one, key) for one in short]
        short = less if len(set(less)) == len(whole) else short
    return labels.map(dict(zip(whole, short, strict=True)))


def _without(one: str, key: str) -> str:
    """Return a label without one of its parameters."""
    return re.sub(rf"(?<=\(){key}=[^,()]*(, )?|, {key}=[^,()]*", "", one).replace("()", "")


def places(runs: pd.DataFrame) -> list[str]:
    """Return the columns that say where a training took place: what a sweep varies, and the architecture."""
    return [*varying_columns(runs), *(["sync"] if runs["sync"].nunique() > 1 else [])]


def training_summary(runs: pd.DataFrame, width: int = 120) -> str:
    """Return a table for each point of a sweep, by time to the target and then by the best, and the warnings."""
    runs = expanded(runs)
    by = places(runs)
    blocks = []
    for key, part in split(runs, by):
        first = part.iloc[0]
        accuracy = first["target_of"] == "accuracy"
        ordered = part.assign(rank=part["best"] * (-1 if accuracy else 1)).sort_values(
            ["time_to_target_s", "rank"], kind="stable"
        )
        heading = f"Training at {label(by, key)}" if by else "Training"
        goal = GOALS[first["target_of"]]
        heading += f" ({first['workload']}, {first['workers']} workers, target: {goal} {first['target']:g})"
        rivals = part["optimizer"].nunique() > 1
        lines = _block(ordered, goal, width, float(first["time_to_target_s"]) if rivals else None)
        note = [f"  the first: {named(part).iloc[0]}; steps: against those of each optimizer without compression"]
        blocks.append("\n".join([heading, *lines, *(note if rivals else [])]))
    warnings = [
        wrapped
        for line in disagreements(runs)
        for wrapped in textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="    ")
    ]
    return "\n\n".join([*blocks, *(["\n".join(["Warning", *warnings])] if warnings else [])])


def _block(part: pd.DataFrame, goal: str, width: int, first_s: float | None) -> list[str]:
    """Return the lines of a table; `first_s` is the time that unlike trainings are held against, not each one's own."""
    compared = part["speedup_to_target_x"].notna().any() or part["speedup_x"].notna().any()
    columns = [
        Column("training", words=True), Column("target", words=True), Column("time to|target"),
        Column("updates"), Column("epochs"), Column(f"best|{goal.split()[-1]}"), Column("sent a|turn"),
        Column("simulated"),
    ]  # fmt: skip
    if compared:
        target = "speedup to|target" if first_s is None else "against|the first"
        columns[3:3] = [Column(target), Column("speedup|of steps")]
    rows = []
    for name, (_, row) in zip(named(part), part.iterrows(), strict=True):
        cells = _cells(name, row)
        if compared:
            own_s = float(row["time_to_target_s"]) or float("nan")
            target_x = float(row["speedup_to_target_x"]) if first_s is None else first_s / own_s
            cells[3:3] = [ratio(target_x), ratio(float(row["speedup_x"]))]
        rows.append(cells)
    for spare in ("simulated", "updates"):  # rather than a name that cannot be told from another
        if max(map(len, table(columns, rows, width=1000))) > width:
            place = next(place for place, column in enumerate(columns) if column.heading == spare)
            columns.pop(place)
            for cells in rows:
                cells.pop(place)
    return table(columns, rows, width)


def _cells(name: str, row: pd.Series[Any]) -> list[str]:
    def number(value: float) -> str:
        return "-" if pd.isna(value) else f"{value:.4g}"

    return [
        name, _STATUS[row["status"]], seconds(float(row["time_to_target_s"])),
        number(row["steps_to_target"]), number(row["epochs_to_target"]), f"{row['best']:.3g}",
        nbytes(float(row["wire_bytes_per_worker"])), seconds(float(row["total_s"])),
    ]  # fmt: skip


def disagreements(runs: pd.DataFrame) -> list[str]:
    """Return a line for every training whose steps are faster than uncompressed ones and which is slower, or reverse.

    A training that misses the target which `none` reaches is slower, one that alone reaches it is faster.
    """
    found: dict[str, list[str]] = {}
    by = places(runs)
    for name, (_, row) in zip(named(runs), runs.iterrows(), strict=True):
        for what, figure in _disagreement(row):
            place = label(by, [row[one] for one in by])
            found.setdefault(f"{name} {what}", []).append(f"{figure} at {place}" if place else figure)
    return [f"{what} ({'; '.join(where[:3])}{'; ...' if len(where) > 3 else ''})" for what, where in found.items()]


def _disagreement(row: pd.Series[Any]) -> Iterator[tuple[str, str]]:
    steps, target = float(row["speedup_x"]), float(row["speedup_to_target_x"])
    reaches, none_reaches = row["status"] == "target", not pd.isna(row["baseline_time_to_target_s"])
    if steps > 1 and target < 1:
        yield "has faster steps and trains slower", f"{ratio(steps)} a step, {ratio(target)} to the target"
    elif steps < 1 < target:
        yield "has slower steps and trains faster", f"{ratio(steps)} a step, {ratio(target)} to the target"
    elif steps > 1 and none_reaches and not reaches:
        yield "has faster steps and misses the target that `none` reaches", f"{ratio(steps)} a step"
    elif steps < 1 and reaches and not none_reaches:
        yield "has slower steps and reaches the target that `none` misses", f"{ratio(steps)} a step"
