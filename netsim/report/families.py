"""Which trainings share a panel, where there are too many lines for one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

MOST_LINES = 12
"""What one panel shows; more lines are shared out, and each panel shows those of others in grey."""
_MOST_PANELS = 4


def families(rows: pd.DataFrame) -> list[list[str]]:
    """Return the values of the column `name` in as many lists as there are to be panels: one where they are few.

    Those of one `optimizer` stay together as far as they fit, and the first name of all leads every list.
    """
    names = list(dict.fromkeys(map(str, rows["name"].dropna())))
    if len(names) <= MOST_LINES:
        return [names]
    most = max(6, math.ceil(len(names) / _MOST_PANELS))
    found: list[list[str]] = []
    for _, part in rows.groupby("optimizer", sort=False):
        alike = [one for one in dict.fromkeys(map(str, part["name"])) if all(one not in some for some in found)]
        for first in range(0, len(alike), most):
            some = alike[first : first + most]
            if found and len(found[-1]) + len(some) <= most:
                found[-1] += some
            else:
                found.append(some)
    return [found[0], *([found[0][0], *some] for some in found[1:])]
