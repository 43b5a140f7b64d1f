"""Results of training in simulated time: the table of times to the target, and where faster steps do not pay."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

import pandas as pd

from netsim.report.points import expanded, held_up_by, label, split, varying_columns
from netsim.report.text import UNKNOWN, Column, nbytes, ratio, seconds, table

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
        blocks.append("\n".join([heading, *lines, *(_notes(part) if rivals else [])]))
    warnings = [
        wrapped
        for line in disagreements(runs)
        for wrapped in textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="    ")
    ]
    return "\n\n".join([*blocks, *(["\n".join(["Warning", *warnings])] if warnings else [])])


def _block(part: pd.DataFrame, goal: str, width: int, first_s: float | None) -> list[str]:
    """Return the lines of a table; `first_s` is the time that unlike trainings are held against, not each one's own.

    Comparisons are left out where there is nothing to compare, and what can be spared where names would be cut.
    """
    heading, target_x = "speedup to|target", part["speedup_to_target_x"]
    if first_s is not None:
        heading, target_x = "against|the first", first_s / part["time_to_target_s"].replace(0.0, float("nan"))
    compared = {heading: target_x, "speedup|of steps": part["speedup_x"]}
    columns: dict[Column, list[str]] = {
        Column("training", words=True): list(named(part)),
        Column("target", words=True): [_STATUS[one] for one in part["status"]],
        Column("time to|target"): [seconds(one) for one in part["time_to_target_s"]],
        **{Column(name): [ratio(one) for one in values] for name, values in compared.items() if values.notna().any()},
        Column("updates"): [_number(one) for one in part["steps_to_target"]],
        Column("epochs"): [_number(one) for one in part["epochs_to_target"]],
        Column(f"best|{goal.split()[-1]}"): [f"{one:.3g}" for one in part["best"]],
        Column("sent a|turn"): [nbytes(one) for one in part["wire_bytes_per_worker"]],
        Column("simulated"): [seconds(one) for one in part["total_s"]],
        Column("held up by", words=True): [held_up_by(row) or UNKNOWN for _, row in part.iterrows()],
    }
    for spare in ("simulated", "held up by", "updates"):
        if max(map(len, _lines(columns, 1000))) > width:
            columns = {column: cells for column, cells in columns.items() if column.heading != spare}
    return _lines(columns, width)


def _notes(part: pd.DataFrame) -> list[str]:
    """Return the line that says what unlike trainings are held against, where they are."""
    target = "" if pd.isna(part["time_to_target_s"].iloc[0]) else f"the first: {named(part).iloc[0]}"
    steps = "steps: against those of each optimizer without compression" if part["speedup_x"].notna().any() else ""
    said = "; ".join(one for one in (target, steps) if one)
    return [f"  {said}"] if said else []


def _lines(columns: dict[Column, list[str]], width: int) -> list[str]:
    return table(list(columns), zip(*columns.values(), strict=True), width)


def _number(value: float) -> str:
    return UNKNOWN if pd.isna(value) else f"{value:.4g}"


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
