"""Transfers as a fluid: each holds all links of its route at the max-min fair rate until its last byte. No SimPy here.

Two questions only: when is the next thing to happen, and, now that time has moved, who has finished.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netsim.network import kernel
from netsim.network.room import Room
from netsim.network.table import make_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.network.base import Round
    from netsim.network.lanes import Flying
    from netsim.network.links import Routed


class Fluid(Room):
    """The transfers under way, and how far the plans they belong to have come."""

    @property
    def solves(self) -> int:
        """Return how often rates have been solved for."""
        return int(self.core.counts[kernel.SOLVES])

    def abandon(self, plan: int, now_s: float) -> None:
        """Forget a plan that is under way, and all that it has on the links."""
        kernel.abandon(self.core, plan, self._lent[plan].nodes, now_s)
        self.close(plan)

    def join(self, plan: int, places: NDArray[np.int64], now_s: float) -> None:
        """Let participants begin now."""
        kernel.join(self.core, plan, places, now_s)

    def run(self, due_s: float, horizon_s: float) -> float:
        """Let all happen that is due, and what comes before the horizon, but stop where somebody has finished.

        Returns the second of the next event, or, where somebody has finished, that of the last one.
        """
        while True:
            time_s = float(kernel.run(self.core, due_s, horizon_s))
            if time_s != kernel.NO_ROOM:
                return time_s
            self._more_records(max(len(self.core.early), 16))

    def change(self, links: NDArray[np.int64], now_s: float) -> None:
        """Take the capacities over that `links` [K] have from now on; all that was due must have happened."""
        self._more_links()
        kernel.change(self.core, links, self.links.capacity[links], now_s)

    def held_s(self, now_s: float) -> NDArray[np.float64]:
        """Return [L] the seconds that transfers have held each link until now, added up over transfers."""
        links = slice(len(self.links.nbytes))
        on_link: NDArray[np.int64] = self.core.links[links, kernel.NUMBER]
        return np.asarray(self.core.rate[links, kernel.CROWD] + on_link * now_s)

    def used(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return [L] the bytes/s that each link carries now, and the number of transfers that hold it."""
        core, links = self.core, len(self.links.nbytes)
        slots = np.flatnonzero(core.hops)
        waiting = core.slots[kernel.BEGINS, : core.counts[kernel.PENDING]]
        slots = slots[~np.isin(slots, waiting)]
        link, hops = self._links_of(slots)
        rate = np.repeat(core.rate[core.neck[slots], kernel.LEVEL], hops)
        carried = np.zeros(links)
        np.add.at(carried, link[link < links], rate[link < links])
        return carried, core.links[:links, kernel.NUMBER].copy()

    def left_bytes(
        self, plan: int, rounds: Sequence[Round], place: NDArray[np.int64], now_s: float
    ) -> NDArray[np.float64]:
        """Return [L] the bytes of a plan that have not passed each link by now; all that was due must have happened."""
        begin, links = int(self.core.plan[plan, kernel.NODES]), len(self.links.nbytes)
        at = self.core.node[begin : begin + self._lent[plan].nodes, kernel.AT].astype(np.int64)
        slots = self._slots_of(plan)
        link, hops = self._links_of(slots)
        real, nbytes = link < links, np.repeat(self._left(slots, now_s), hops)
        under_way = np.bincount(link[real], nbytes[real], links)
        return self.links.still_to_start(rounds, place, at) + under_way

    def _slots_of(self, plan: int) -> NDArray[np.int64]:
        """Return the slots of a plan's transfers that have been started and are not over."""
        return np.flatnonzero((self.core.hops > 0) & (self.core.what[:, kernel.PLAN] == plan))

    def _left(self, slots: NDArray[np.int64], now_s: float) -> NDArray[np.float64]:
        """Return the bytes [K] that are left of what is in slots."""
        core = self.core
        left, neck = core.left[slots].copy(), core.neck[slots]
        held = left < 0
        rate, mark = core.rate[neck[held]], core.mark[core.links[neck[held], kernel.FROM] + core.place[slots[held]]]
        served = rate[:, kernel.SERVED] + rate[:, kernel.LEVEL] * (now_s - rate[:, kernel.SINCE])
        left[held] = np.maximum(mark - served, 0.0)
        return left

    def _links_of(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the links of slots [K], one slot after another, and how many each has [K]."""
        hops = self.core.hops[slots].astype(np.int64)
        offset = np.arange(int(hops.sum())) - np.repeat(np.cumsum(hops) - hops, hops)
        return self.core.link[np.repeat(slots << self.core.counts[kernel.SHIFT], hops) + offset], hops

    def retime(self, plan: int, rounds: Sequence[Round], place: NDArray[np.int64]) -> None:
        """Let transfers of a plan that are still to start wait as long as its links make them wait now."""
        lent, begin = self._lent[plan], int(self.core.plan[plan, kernel.FLOATS])
        table = make_table(rounds, place, lent.nodes, self.links)
        self.core.floats[begin : begin + len(table.floats)] = table.floats

    def finished(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Return who has finished since this was asked last, as plans and places."""
        count = int(self.core.counts[kernel.FINISHED])
        if not count:
            return []
        plan, place = self.core.finished[:count].T.astype(np.int64)
        self.core.counts[kernel.FINISHED] = 0
        return [(int(one), np.sort(place[plan == one])) for one in np.unique(plan)]

    def resume(self, plan: int, flying: Flying, now_s: float) -> None:
        """Go on with a plan from where a recurrence left it."""
        order = self._lent[plan].table.order
        self.core.clock[kernel.NOW] = max(self.core.clock[kernel.NOW], now_s)
        rank = {id(one): np.argsort(one) for one in order}

        def pairs(number: int, transfers: NDArray[np.int64]) -> NDArray[np.int64]:
            ranked = rank[id(order[number])][transfers]
            return np.stack([np.full(len(ranked), number), ranked], axis=1)

        oldest = int(flying.at.min())
        done = [pairs(number, transfers) for number, transfers in flying.done if number >= oldest]
        none = np.zeros((0, 2), dtype=np.int64)
        completed = np.concatenate([none, *done])
        self._more_records(len(completed))
        kernel.restore(self.core, plan, flying.at, completed)
        rounds = flying.rounds
        for number, transfers, begin_s in flying.waiting:
            kernel.resume(self.core, plan, pairs(number, transfers), begin_s, rounds[number].nbytes[transfers])
        for number, transfers, left_bytes in flying.moving:
            kernel.resume(self.core, plan, pairs(number, transfers), np.full(len(transfers), now_s), left_bytes)

    def queue(self, routed: Routed, begin_s: NDArray[np.float64], nbytes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Queue transfers [F] that hold their links from `begin_s` on, on their own; return what will be their ends."""
        on_link = np.bincount(routed.links, minlength=len(self.links.capacity))
        self._make_room(len(begin_s), on_link, int(np.diff(routed.start).max(initial=1)))
        finish_s = np.full(len(begin_s), np.inf)
        self.core = self.core._replace(finish_of=finish_s)
        kernel.queue(self.core, begin_s, nbytes, routed.start, routed.links)
        return finish_s
