"""Recursive halving and doubling: the all-reduce of log n rounds with a ring's bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.errors import InputError
from netsim.network.base import Round
from netsim.sync.base import Collective, Payload, Sync, syncs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.sync.base import Nodes


@syncs.register("halving_doubling", paper="Thakur, Rabenseifner, Gropp 2005, doi 10.1177/1094342005051521")
@dataclass(frozen=True, kw_only=True)
class HalvingDoubling(Sync):
    """Recursive halving, then doubling: 2 log2 n rounds, a ring's bytes. Gathers and adds up by recursive doubling.

    Partners of distance p/2, p/4, ..., 1 exchange halves of what is left, then give back what they have reduced. Of n
    workers, the n - p beyond the largest power of two p first hand everything to a partner, and get the result from it.
    """

    carries = frozenset[Collective]({"sum", "union", "gather"})
    alone = frozenset({"reduce_scatter"})

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds; workers p, p + 1, ... are those beyond the power of two."""
        if payload.op == "gather":
            return _gather(payload.up_bytes, workers)
        if payload.op == "union":
            return _union(payload, workers)
        core, beyond, partner = _split(workers)
        nbytes = float(payload.up_bytes.max())
        halving = _exchange(core, _halves(nbytes, len(core)))
        doubling = [Round(one.src, one.dst, one.nbytes) for one in reversed(halving)]
        whole = np.full(len(beyond), nbytes)
        return [*_hand(beyond, partner, whole), *halving, *doubling, *_hand(partner, beyond, whole)]

    def alone_rounds(
        self, collective: str, nbytes: float, workers: Nodes, slice_bytes: float | None = None
    ) -> Sequence[Round]:
        """Return the halving alone; raise InputError where the workers are no power of two."""
        if collective not in self.alone:
            return super().alone_rounds(collective, nbytes, workers)
        if len(_split(workers)[1]):
            raise InputError(f"recursive halving among {len(workers)} workers", "use 2, 4, 8, ... workers, or 'ring'")
        return _exchange(workers, _halves(nbytes, len(workers)))

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return 1 for a sum, n for a gather."""
        return num_workers if op == "gather" else 1

    def describe(self, op: Collective) -> str:
        """Name the collective."""
        if op == "union":
            return "recursive-doubling sparse all-reduce"
        return "halving-doubling all-reduce" if op == "sum" else "recursive-doubling all-gather"


def _split(workers: Nodes) -> tuple[Nodes, Nodes, Nodes]:
    """Return the first 2^k workers, those beyond, and the partner of each of these."""
    power = 1 << (len(workers).bit_length() - 1)
    return workers[:power], workers[power:], workers[: len(workers) - power]


def _hand(src: Nodes, dst: Nodes, nbytes: NDArray[np.float64]) -> list[Round]:
    return [Round(src, dst, nbytes)] if len(src) else []


def _halves(nbytes: float, power: int) -> list[tuple[int, float]]:
    """Return (distance, bytes) of each round of halving."""
    return [(power >> step, nbytes / (1 << step)) for step in range(1, power.bit_length())]


def _exchange(core: Nodes, rounds: list[tuple[int, float]]) -> list[Round]:
    here = np.arange(len(core))
    return [Round(core, core[here ^ distance], np.full(len(core), nbytes)) for distance, nbytes in rounds]


def _gather(up_bytes: NDArray[np.float64], workers: Nodes) -> list[Round]:
    """Return recursive doubling of unequal messages: everyone passes on all that it holds."""
    core, beyond, partner = _split(workers)
    held, here = up_bytes[: len(core)].copy(), np.arange(len(core))
    held[: len(beyond)] += up_bytes[len(core) :]
    rounds, distance = _hand(beyond, partner, up_bytes[len(core) :]), 1
    while distance < len(core):
        rounds.append(Round(core, core[here ^ distance], held))
        held = held + held[here ^ distance]
        distance *= 2
    return [*rounds, *_hand(partner, beyond, up_bytes.sum() - up_bytes[len(core) :])]


def _union(payload: Payload, workers: Nodes) -> list[Round]:
    """Return recursive doubling of growing sums: partners exchange what they hold, and add what they get before more.

    Of n workers that are no power of two p, a partner at distance h holds the sum of h n / p workers in the mean.
    """
    core, beyond, partner = _split(workers)
    here = np.arange(len(core))
    rounds = _hand(beyond, partner, payload.up_bytes[len(core) :])
    nbytes, hold_s = payload.up_bytes[: len(core)], np.where(here < len(beyond), payload.decode_s, 0.0)
    if len(beyond):
        nbytes = np.where(here < len(beyond), payload.union_bytes[1], nbytes)
    distance = 1
    while distance < len(core):
        rounds.append(Round(core, core[here ^ distance], nbytes, hold_s))
        distance *= 2
        held = round(distance * len(workers) / len(core))
        nbytes, hold_s = np.full(len(core), payload.union_bytes[held - 1]), np.full(len(core), float(payload.decode_s))
    if not len(beyond):
        return rounds
    return [*rounds, Round(partner, beyond, nbytes[: len(beyond)], hold_s[: len(beyond)])]
