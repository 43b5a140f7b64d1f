"""Which rows of `runs` belong to one point of a sweep, and how such a point is called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from netsim.units import format_bandwidth, format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

CLUSTER = (
    "scenario",
    "workload",
    "topology",
    "network",
    "transport",
    "workers",
    "bandwidth_bytes_per_s",
    "latency_s",
    "conditions",
    "seed",
)
"""Columns that together say which cluster and job a row is about, whatever the scheme and the architecture."""

ROW = ("scenario", "point", "scheme", "sync")
"""Columns by which steps, spans and links find their row of `runs`."""

_PAIR = re.compile(r"([A-Za-z_][\w.]*)=(.*?)(?=, [A-Za-z_][\w.]*=|$)", re.DOTALL)

UNCOMPRESSED = "none"
"""The scheme that all others are measured against."""


def expanded(runs: pd.DataFrame) -> pd.DataFrame:
    """Return `runs` with a column for every swept key that its `swept` texts (`key=value, key=value`) name."""
    if "swept" not in runs:
        return runs
    pairs = [dict(_PAIR.findall(text)) for text in runs["swept"].fillna("")]
    keys = dict.fromkeys(key for one in pairs for key in one)
    return runs.assign(**{key: [one.get(key, "") for one in pairs] for key in keys if key not in runs})


def swept_columns(runs: pd.DataFrame) -> list[str]:
    """Return the columns of swept keys (`job.bucket`) that say more than the training, architecture and `CLUSTER`."""
    known = [column for column in ("scheme", "sync", "optimizer", *CLUSTER) if column in runs]
    keys = [str(column) for column in runs.columns if "." in str(column) and runs[column].nunique(dropna=False) > 1]
    return [key for key in keys if (runs.groupby(known, dropna=False)[key].nunique(dropna=False) > 1).any()]


def point_columns(runs: pd.DataFrame) -> list[str]:
    """Return the columns whose values make a point of the sweep; at least one, even where nothing varies."""
    return varying_columns(runs) or ["bandwidth_bytes_per_s"]


def varying_columns(runs: pd.DataFrame) -> list[str]:
    """Return the columns whose values tell the points of a sweep apart."""
    varying = [column for column in CLUSTER if column in runs and runs[column].nunique(dropna=False) > 1]
    found = [*varying, *swept_columns(runs)]
    others = [column for column in found if column != "scenario"]
    # A file's name says nothing where its points differ in something that can be named.
    if others and (runs.groupby(others, dropna=False)["scenario"].nunique() == 1).all():
        found = others
    return found


def extrapolated(runs: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows stand on statistics beyond the captured workers."""
    if "extrapolated" not in runs:
        return pd.Series(False, index=runs.index)
    return runs["extrapolated"].fillna(False).astype(bool)


def split(runs: pd.DataFrame, by: Sequence[str]) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Return the groups of `runs` by the columns `by`, keys as tuples, numbers rising, text in order of appearance."""
    if not by:
        return [((), runs)]
    parts = [
        (key if isinstance(key, tuple) else (key,), part)
        for key, part in runs.groupby(list(by), dropna=False, sort=False)
    ]
    numeric = [pd.api.types.is_numeric_dtype(runs[column]) for column in by]
    seen = [{value: rank for rank, value in enumerate(runs[column].unique())} for column in by]

    def order(item: tuple[tuple[Any, ...], pd.DataFrame]) -> tuple[float, ...]:
        pairs = zip(item[0], numeric, seen, strict=True)
        return tuple(float(value) if number else ranks.get(value, len(ranks)) for value, number, ranks in pairs)

    return sorted(parts, key=order)


def spread(runs: pd.DataFrame, by: Sequence[str], most: int = 3) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Return up to `most` of the points `by`, evenly spread from the first to the last."""
    found = split(runs, by)
    count = min(most, len(found))
    places = [round(index * (len(found) - 1) / max(count - 1, 1)) for index in range(count)]
    return [found[place] for place in places]


def value_label(column: str, value: Any) -> str:
    """Return how people write one value of a column: with its unit, or with its name where there is none."""
    if pd.isna(value):
        return f"{column} unknown"
    if column == "bandwidth_bytes_per_s":
        return format_bandwidth(float(value))
    if column == "latency_s":
        return f"{format_duration(float(value))} latency"
    if column == "workers":
        return f"{value} workers" if value != 1 else "1 worker"
    if column == "conditions" and value == "none":
        return "undisturbed"
    if column in {"seed", "scenario"} or "." in column:
        return f"{column} {value}"
    return str(value)


def heading_of(column: str, value: Any, pad: str = "") -> str:
    """Return the heading of a table's column for one value, what is added up (`a + b`) in a line each."""
    text = value_label(column, value).removesuffix(" latency").removeprefix(f"{column} ")
    return "|".join(line + pad for line in text.replace(" + ", " +|").split("|"))


def held_up_by(row: pd.Series[Any]) -> str:
    """Return what holds a row's steps up, links by their names alone; nothing where that is not known."""
    return str(row.get("bottleneck", "")).removeprefix("link ")


def of_row(table: pd.DataFrame, row: pd.Series[Any]) -> pd.DataFrame:
    """Return what a table of steps, spans or links has of a row of `runs`."""
    keys = [key for key in ROW if key in table]
    return table[(table[keys].astype(str) == row[keys].astype(str)).all(axis=1)]


def label(columns: Sequence[str], key: Sequence[Any]) -> str:
    """Return how a point is called, for example `1 Gbit/s, 16 workers`."""
    return ", ".join(value_label(column, value) for column, value in zip(columns, key, strict=True))
