"""Rows for what overlaps in time: nothing in a row overlaps, and there are no more rows than needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def tracks(intervals: Iterable[tuple[float, float]]) -> list[int]:
    """Return the row of each interval, which are in order of their begin: the first row that is free."""
    until_s: list[float] = []
    rows = []
    for start_s, end_s in intervals:
        row = next((row for row, free_s in enumerate(until_s) if free_s <= start_s), len(until_s))
        until_s[row : row + 1] = [end_s]
        rows.append(row)
    return rows
