"""Binomial tree: reduce to the first worker, broadcast from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from netsim.network.base import Round
from netsim.sync.base import Collective, Payload, Sync, syncs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.sync.base import Nodes


@syncs.register(
    "tree",
    paper="Thakur, Rabenseifner, Gropp 2005, doi 10.1177/1094342005051521; facebookincubator/gloo: gloo/broadcast.cc",
)
@dataclass(frozen=True, kw_only=True)
class Tree(Sync):
    """Binomial tree: reduce, then broadcast, in 2 ceil(log2 n) rounds of S bytes. Few messages, for small tensors.

    What cannot be summed in flight goes by ring all-gather instead. On the way down nodes send to their `children`
    `in_turn`, the largest subtree first, or to all `at_once`, as Gloo's broadcast does: they then share a link, so that
    2^k workers take k (k + 1) / 2 times as long as one message, instead of k times.
    """

    children: Literal["in_turn", "at_once"] = "in_turn"

    carries = frozenset[Collective]({"sum", "merge"})
    fallback = "all_gather"
    alone = frozenset({"broadcast", "reduce"})

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds; the root is the first worker."""
        nbytes = float(payload.up_bytes.max())
        rounds = [one for name in ("reduce", "broadcast") for one in self.alone_rounds(name, nbytes, workers)]
        if payload.op != "merge":
            return rounds
        # Whoever sends between the leaves and the root's first message back has merged what came before.
        merges = len(rounds) // 2
        merged = [
            replace(one, hold_s=payload.decode_s * self._merged(one, before))
            for before, one in pairwise(rounds[: merges + 1])
        ]
        return rounds[:1] + merged + rounds[merges + 1 :]

    def _merged(self, one: Round, before: Round) -> NDArray[np.float64]:
        """Return how many messages each source of a round has to merge first: one, or all that came at once."""
        if self.children == "in_turn":
            return np.ones(len(one.src))
        return np.bincount(before.dst, minlength=int(one.src.max()) + 1)[one.src].astype(np.float64)

    def alone_rounds(
        self, collective: str, nbytes: float, workers: Nodes, slice_bytes: float | None = None
    ) -> Sequence[Round]:
        """Return the way to the root, or from it."""
        if collective not in self.alone:
            return super().alone_rounds(collective, nbytes, workers)
        child = np.arange(1, len(workers))
        parent = child & (child - 1)
        # From the leaves up: by the distance to the parent, or by that to the root.
        stage = parent - child if self.children == "in_turn" else _depth(child)
        rounds = []
        for one in np.unique(stage)[::-1]:
            ends = workers[child[stage == one]], workers[parent[stage == one]]
            down = ends if collective == "reduce" else ends[::-1]
            rounds.append(Round(*down, np.full(len(ends[0]), float(nbytes))))
        return rounds if collective == "reduce" else rounds[::-1]

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return 1."""
        return 1

    def describe(self, op: Collective) -> str:
        """Name the collective."""
        return "binomial tree all-reduce"


def _depth(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many steps worker number [k] is from the root: the bits that are set in it."""
    return np.array([one.bit_count() for one in number.tolist()], dtype=np.int64)
