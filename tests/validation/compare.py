"""Predicted beside measured: rows of a published table, their errors, and what is asserted of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Compared(NamedTuple):
    """One figure of a published table and what netsim predicts for it."""

    what: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Return predicted / measured - 1."""
        return self.predicted / self.measured - 1


def show(title: str, rows: list[Compared]) -> None:
    """Print a table; pytest shows it with -s, or when an assertion fails."""
    print(f"\n{title}")  # noqa: T201
    for one in rows:
        print(f"  {one.what:40s} predicted {one.predicted:10.4g}  measured {one.measured:10.4g}  {one.error:+7.1%}")  # noqa: T201
    errors = [abs(one.error) for one in rows]
    print(f"  median {np.median(errors):.1%}, worst {max(errors):.1%}")  # noqa: T201
