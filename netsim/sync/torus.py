"""All-reduce along the rows and columns of a grid of workers."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from netsim.errors import InputError
from netsim.sync.base import Collective, Payload, Sync, syncs
from netsim.sync.ring import circulate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.network.base import Round
    from netsim.sync.base import Nodes


@syncs.register("torus_2d", paper="Mikami et al. 2018, arXiv 1811.05233")
@dataclass(frozen=True, kw_only=True)
class Torus2d(Sync):
    """Two-dimensional torus all-reduce: reduce-scatter along rows, all-reduce along columns, all-gather along rows.

    Workers fill a grid row by row; of `rows` x c workers, a row's ring has c members and a column's has `rows`. A
    ring's bytes in 2(c-1) + 2(rows-1) rounds. `rows` is the largest divisor of n up to its square root unless given.
    What cannot be summed in flight goes by ring all-gather.
    """

    rows: Annotated[int, Ge(1)] | None = None

    carries = frozenset[Collective]({"sum"})
    fallback = "all_gather"

    def check(self, num_workers: int) -> None:
        """Raise InputError where the rows do not divide the workers."""
        if self.rows is not None and num_workers % self.rows:
            raise InputError(
                f"{num_workers} workers do not fill {self.rows} rows", "give a divisor of the workers, or leave it out"
            )

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds."""
        count = len(workers)
        self.check(count)
        rows = self.rows or max(one for one in range(1, isqrt(count) + 1) if count % one == 0)
        grid = workers.reshape(rows, count // rows)
        part = float(payload.up_bytes.max()) / grid.shape[1]
        along = circulate(grid, part, grid.shape[1] - 1)
        return [*along, *circulate(grid.T, part / rows, 2 * (rows - 1)), *along]

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return 1."""
        return 1

    def describe(self, op: Collective) -> str:
        """Name the collective."""
        return "two-dimensional torus all-reduce"
