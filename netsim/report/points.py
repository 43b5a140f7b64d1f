"""Which rows of `runs` belong to one point of a sweep, and how such a point is called."""

from __future__ import annotations

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
    "seed",
)
"""Columns that together say which cluster and job a row is about, whatever the scheme and the architecture."""

UNCOMPRESSED = "none"
"""The scheme that all others are measured against."""


def swept_columns(runs: pd.DataFrame) -> list[str]:
    """Return the columns that hold a swept key as written (`job.bucket`) and say more than `CLUSTER` does."""
    known = [column for column in CLUSTER if column in runs and runs[column].nunique(dropna=False) > 1]
    found = []
    for column in runs.columns:
        if "." not in str(column) or runs[column].nunique(dropna=False) < 2:
            continue
        if str(column).split(".")[0] in {"scheme", "schemes", "sync"}:
            continue
        if known and (runs.groupby(known, dropna=False)[column].nunique(dropna=False) == 1).all():
            continue
        found.append(str(column))
    return found


def point_columns(runs: pd.DataFrame) -> list[str]:
    """Return the columns whose values make a point of the sweep; at least one, even where nothing varies."""
    varying = [column for column in CLUSTER if column in runs and runs[column].nunique(dropna=False) > 1]
    return [*varying, *swept_columns(runs)] or ["bandwidth_bytes_per_s"]


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
    if column == "seed" or "." in column:
        return f"{column} {value}"
    return str(value)


def label(columns: Sequence[str], key: Sequence[Any]) -> str:
    """Return how a point is called, for example `1 Gbit/s, 16 workers`."""
    return ", ".join(value_label(column, value) for column, value in zip(columns, key, strict=True))
