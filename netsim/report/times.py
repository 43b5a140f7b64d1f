"""A panel of times to a target: a line for each training, and above them those that missed it, each in its own lane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from netsim.report import scales
from netsim.report.style import GREY, PALE, Look

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

_LANE = 0.055
"""The height of a lane, as a share of the panel's."""


def times(axes: Axes, rows: pd.DataFrame, x: str, name: str, looks: Mapping[str, Look]) -> None:
    """Draw `time_to_target_s` of `rows` against a column `x`, a line for each value of the column `name`.

    Who missed the target at some `x` stands there above a grey line, hollow, in a lane of its own. Who has no look is
    a pale line.
    """
    medians = {str(one): part.groupby(x)["time_to_target_s"].median() for one, part in rows.groupby(name, sort=False)}
    missing = [one for one, line in medians.items() if one in looks and line.isna().any()]
    ceiling = 1.0 - _LANE * (len(missing) + 1) if missing else 1.0
    for one, line in medians.items():
        if one not in looks:
            axes.plot(line.index, line, color=PALE, linewidth=1.0, zorder=1)
            continue
        look = looks[one]
        axes.plot(
            line.index, line, color=look.colour, marker=look.marker, markersize=5.5, linewidth=look.linewidth,
            linestyle=look.pattern,
        )  # fmt: skip
    _limits(axes, pd.concat(list(medians.values())).dropna(), ceiling)
    for lane, one in enumerate(missing):
        look = looks[one]
        where = medians[one].index[medians[one].isna()]
        axes.plot(
            where, [1.0 - _LANE * (lane + 0.5)] * len(where), linestyle="", marker=look.marker, markersize=5.5,
            color=look.colour, markerfacecolor="white", transform=axes.get_xaxis_transform(), clip_on=False,
        )  # fmt: skip
    if missing:
        axes.plot([0, 1], [ceiling, ceiling], color=GREY, linewidth=0.7, transform=axes.transAxes)
        axes.text(
            0.01, ceiling + 0.008, "target not reached", transform=axes.transAxes, fontsize=7, color=GREY, va="bottom"
        )
    scales.tidy(axes)


def _limits(axes: Axes, known: pd.Series[float], ceiling: float) -> None:
    """Give the y axis all known seconds below a share `ceiling` of its height; logarithmic where they differ much."""
    if not len(known):
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_locator(NullLocator())
        return
    least, most = float(known.min()), 1.06 * float(known.max())
    if most > 10 * least:
        axes.set_yscale("log")
        least /= 1.2
        axes.set_ylim(least, least * (most / least) ** (1 / ceiling))
        ticks = scales.nice_ticks(least, most)
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, most / ceiling)
        ticks = [float(tick) for tick in MaxNLocator(6).tick_values(0, most) if tick <= most]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
