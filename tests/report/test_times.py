"""The panel of times to a target: who reached it stands at its seconds, who missed it above, in a lane of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from netsim.report.style import GREY, Look, looks
from netsim.report.times import times

NAMES = ("a", "b", "c", "d")


def drawn(seconds: dict[str, list[float]]):
    """Return the axes, and each line with something in it as (colour, hollow, its points as shares of the panel)."""
    rows = pd.DataFrame(
        [
            {"name": name, "workers": workers, "time_to_target_s": time_s}
            for name, line in seconds.items()
            for workers, time_s in zip((4, 8, 16), line, strict=True)
        ]
    )
    axes = Figure().subplots()
    times(axes, rows, "workers", "name", {name: Look(f"C{index}", "o") for index, name in enumerate(NAMES)})
    found = []
    for line in axes.lines:
        points = line.get_transform().transform(np.column_stack([line.get_xdata(), line.get_ydata()]).astype(float))
        shares = axes.transAxes.inverted().transform(points)
        shares = shares[np.isfinite(shares).all(axis=1)]
        if len(shares) and line.get_color() != GREY:
            found.append((line.get_color(), line.get_markerfacecolor() == "white", shares))
    return axes, found


@pytest.mark.parametrize("longest", [3.0, 300.0])
def test_those_that_missed_are_above_and_apart(longest: float) -> None:
    nan = np.nan
    axes, found = drawn({"a": [1, 2, longest], "b": [1, nan, nan], "c": [nan] * 3, "d": [2, 2, nan]})
    reached = np.concatenate([shares for _, hollow, shares in found if not hollow])
    missed = {colour: shares for colour, hollow, shares in found if hollow}
    assert {colour: len(shares) for colour, shares in missed.items()} == {"C1": 2, "C2": 3, "C3": 1}
    heights = [shares[0, 1] for shares in missed.values()]
    assert max(heights) <= 1
    assert reached[:, 1].max() < min(heights) - 0.05
    assert np.diff(np.sort(heights)).min() > 0.05
    assert max(axes.get_yticks()) <= 1.06 * longest


def test_nobody_reached_the_target() -> None:
    axes, found = drawn({"a": [np.nan] * 3})
    assert [hollow for _, hollow, _ in found] == [True]
    assert not len(axes.get_yticks())


def test_everybody_reached_it() -> None:
    _, found = drawn({"a": [1, 2, 3], "b": [3, 2, 1]})
    assert [hollow for _, hollow, _ in found] == [False, False]


def test_a_colour_that_comes_again_has_another_pattern() -> None:
    names = [f"scheme{rank}" for rank in range(11)]
    rows = pd.DataFrame(
        [{"name": name, "workers": n, "time_to_target_s": n + rank} for rank, name in enumerate(names) for n in (1, 2)]
    )
    axes = Figure().subplots()
    times(axes, rows, "workers", "name", looks(names))
    first, again = axes.lines[0], axes.lines[10]
    assert first.get_color() == again.get_color()
    assert [first.is_dashed(), again.is_dashed()] == [False, True]
