"""Transfers as a fluid: each holds all links of its route at the max-min fair rate until its last byte. No SimPy here.

Two questions only: when is the next thing to happen, and, now that time has moved, who has finished. This module keeps
the room that the compiled core needs; it grows with the plans under way and is used again when they are over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from netsim.network import kernel
from netsim.network.kernel import Core
from netsim.network.table import make_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.network.base import Round
    from netsim.network.lanes import Flying
    from netsim.network.links import LinkTable, Routed
    from netsim.network.table import Table

_OF_SLOTS = ("left", "most", "what", "neck", "place", "hops", "begin_s")
_OF_HOPS = ("link", "position", "pair_of")


class _Lent(NamedTuple):
    """What a plan under way occupies."""

    table: Table
    nodes: int


class Fluid:
    """The transfers under way, and how far the plans they belong to have come."""

    def __init__(self, links: LinkTable) -> None:
        self.links = links
        self._lent: dict[int, _Lent] = {}
        self._spare: list[int] = []
        self._used = np.zeros(3, dtype=np.int64)
        self._on_link = np.zeros(len(links.capacity), dtype=np.int64)
        self._in_flight = 0
        self._room = np.full(len(links.capacity), 4)
        self.core = _empty(links.capacity, self._room)
        self._more_pairs()

    @property
    def solves(self) -> int:
        """Return how often rates have been solved for."""
        return int(self.core.counts[kernel.SOLVES])

    def open(self, rounds: Sequence[Round], nodes: NDArray[np.int64], place: NDArray[np.int64]) -> int:
        """Make room for a plan between nodes [P] with places [nodes of the topology]; return its number here."""
        table = make_table(rounds, place, len(nodes), self.links)
        number = self._spare.pop() if self._spare else len(self._lent)
        self._make_room(table.in_flight, table.on_link, table.most_hops)
        self._make_tables(number, table, len(rounds), len(nodes))
        self._lent[number] = _Lent(table, len(nodes))
        return number

    def close(self, plan: int) -> None:
        """Forget a plan that is over."""
        table = self._lent.pop(plan).table
        self._in_flight -= table.in_flight
        self._on_link[: len(table.on_link)] -= table.on_link
        self._spare.append(plan)

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

    # ---- room

    def _make_room(self, in_flight: int, on_link: NDArray[np.int64], most_hops: int) -> None:
        """Have slots and lists for so many more transfers, and the caps that were met when they were routed."""
        self._more_links()
        if len(self.links.capacity) > len(self.links.nbytes):
            self.core.rate[:, kernel.CAPACITY] = self.links.capacity
        self._in_flight += in_flight
        self._on_link += on_link
        shift = int(most_hops - 1).bit_length()
        if shift > self.core.counts[kernel.SHIFT]:
            self._widen(shift)
        have = len(self.core.most)
        if self._in_flight > have:
            self._more_slots(max(self._in_flight - have, have))
        if (self._on_link > self._room).any():
            self._longer_lists(np.where(self._on_link > self._room, 2 * self._on_link, self._room))

    def _more_links(self) -> None:
        """Have room for the private links of pairs of hosts that have been met since."""
        have, capacity = len(self._on_link), self.links.capacity
        if len(capacity) == have:
            return
        room, core = np.full(len(capacity) - have, 4), self.core
        new = _empty(capacity[have:], room)
        new.links[:, kernel.FROM] += len(core.entry)
        self._on_link, self._room = _longer(self._on_link, len(room)), np.concatenate([self._room, room])
        grown: dict[str, Any] = {
            name: np.concatenate([getattr(core, name), getattr(new, name)])
            for name in ("rate", "links", "entry", "mark", "held", "share", "over_s")
        }
        self.core = core._replace(**grown, lists=np.concatenate([core.lists, new.lists], axis=1))

    def _more_slots(self, count: int) -> None:
        core, have = self.core, len(self.core.most)
        grown: dict[str, Any] = {name: _longer(getattr(core, name), count) for name in _OF_SLOTS}
        for name in _OF_HOPS:
            grown[name] = _longer(getattr(core, name), count << core.counts[kernel.SHIFT])
        slots = np.concatenate([core.slots, np.zeros((4, count), dtype=np.int32)], axis=1)
        free = int(core.counts[kernel.FREE])
        slots[kernel.FREE_LIST, count : count + free] = core.slots[kernel.FREE_LIST, :free]
        slots[kernel.FREE_LIST, :count] = np.arange(have + count, have, -1) - 1  # the lowest is taken first
        core.counts[kernel.FREE] += count
        self.core = core._replace(**grown, slots=slots)
        self._more_pairs()

    def _widen(self, shift: int) -> None:
        """Give every slot more links."""
        core, old = self.core, int(self.core.counts[kernel.SHIFT])
        slots = len(core.most)
        wide: dict[str, Any] = {}
        for name in _OF_HOPS:
            wide[name] = np.zeros((slots, 1 << shift), dtype=np.int32)
            wide[name][:, : 1 << old] = getattr(core, name).reshape(slots, 1 << old)
        entry = ((core.entry >> old) << shift) + (core.entry & ((1 << old) - 1))
        core.counts[kernel.SHIFT] = shift
        self.core = core._replace(entry=entry, **{name: one.ravel() for name, one in wide.items()})
        self._more_pairs()

    def _more_pairs(self) -> None:
        """Have a pair for every link of every slot."""
        core, have, need = self.core, len(self.core.pair), len(self.core.link)
        pair = _longer(core.pair, need - have)
        pair[have:, kernel.ROW_NEXT] = np.arange(have + 1, need + 1)
        pair[-1, kernel.ROW_NEXT] = core.counts[kernel.PAIR]
        core.counts[kernel.PAIR] = have
        self.core = core._replace(pair=pair)

    def _longer_lists(self, room: NDArray[np.int64]) -> None:
        core, begin = self.core, np.cumsum(room) - room
        grown: dict[str, Any] = {}
        for name, length in (("entry", kernel.NUMBER), ("mark", kernel.HELD), ("held", kernel.HELD)):
            number, old = core.links[:, length], getattr(core, name)
            offset = np.arange(int(number.sum())) - np.repeat(np.cumsum(number) - number, number)
            grown[name] = np.zeros(int(room.sum()), dtype=old.dtype)
            grown[name][np.repeat(begin, number) + offset] = old[np.repeat(core.links[:, kernel.FROM], number) + offset]
        core.links[:, kernel.FROM] = begin
        self._room, self.core = room, core._replace(**grown)

    def _make_tables(self, number: int, table: Table, rounds: int, nodes: int) -> None:
        """Append a plan's table and nodes; where there is no room, pack those of the others first."""
        core = self.core
        if not self._lent:
            self._used[:] = 0
        need = np.array([len(table.ints), len(table.floats), nodes])
        have = np.array([len(core.ints), len(core.floats), len(core.node)])
        if (self._used + need > have).any():
            self._pack(need)
            core = self.core
        ints, floats, node = self._used.tolist()
        core.ints[ints : ints + len(table.ints)] = table.ints
        core.floats[floats : floats + len(table.floats)] = table.floats
        core.node[node : node + nodes] = kernel.NONE
        if number >= len(core.plan):
            core = self.core = core._replace(plan=_longer(core.plan, len(core.plan)))
        core.plan[number] = ints, floats, node, rounds
        self._used += need

    def _pack(self, need: NDArray[np.int64]) -> None:
        """Move the tables of the plans under way together, into arrays with room for as much again."""
        core = self.core
        live = {plan: (len(lent.table.ints), len(lent.table.floats), lent.nodes) for plan, lent in self._lent.items()}
        total = 2 * (np.array(list(live.values()), dtype=np.int64).reshape(-1, 3).sum(axis=0) + need)
        columns = {"ints": 0, "floats": 1, "node": 2}
        packed: dict[str, Any] = {
            name: _longer(getattr(core, name)[:0], total[column]) for name, column in columns.items()
        }
        used = np.zeros(3, dtype=np.int64)
        for plan, lengths in live.items():
            old = core.plan[plan, :3].copy()
            for name, column in columns.items():
                here, there, length = old[column], used[column], lengths[column]
                packed[name][there : there + length] = getattr(core, name)[here : here + length]
            core.plan[plan, :3] = used
            used += lengths
        self._used = used
        self.core = core._replace(**packed, finished=_longer(core.finished, max(total[2] - len(core.finished), 0)))

    def _more_records(self, count: int) -> None:
        """Have room for more arrivals that come before their round."""
        core, have = self.core, len(self.core.early)
        early = _longer(core.early, count)
        early[have:, kernel.AFTER] = np.arange(have + 1, have + count + 1)
        if count:
            early[-1, kernel.AFTER] = core.counts[kernel.EARLY]
            core.counts[kernel.EARLY] = have
        self.core = core._replace(early=early)


def _longer(array: NDArray[Any], count: int) -> NDArray[Any]:
    return np.concatenate([array, np.zeros((count, *array.shape[1:]), dtype=array.dtype)])


def _empty(capacity: NDArray[np.float64], room: NDArray[np.int64]) -> Core:
    """Return a core with nothing in it."""
    count, slots = len(capacity), 16

    def whole(*shape: int) -> NDArray[np.int32]:
        return np.zeros(shape, dtype=np.int32)

    counts = np.zeros(kernel.COUNTS, dtype=np.int64)
    counts[[kernel.FREE, kernel.EARLY, kernel.PAIR]] = slots, kernel.NONE, kernel.NONE
    rate = np.zeros((count, kernel.RATES))
    rate[:, kernel.CAPACITY], rate[:, kernel.NARROWEST] = capacity, np.inf
    links = np.zeros((count, kernel.MARKS), dtype=np.int64)
    links[:, kernel.FROM] = np.cumsum(room) - room
    links[:, [kernel.ROW, kernel.COLUMN]] = kernel.NONE
    lists, of_slots = whole(kernel.LISTS, count), whole(4, slots)
    lists[kernel.OVER_PLACE] = kernel.NONE
    of_slots[kernel.FREE_LIST] = np.arange(slots)[::-1]
    return Core(
        clock=np.array([0.0, np.inf]),
        counts=counts,
        left=np.zeros(slots),
        most=np.zeros(slots),
        what=whole(slots, 3),
        neck=whole(slots),
        place=whole(slots),
        hops=np.zeros(slots, dtype=np.int8),
        link=whole(slots),
        position=whole(slots),
        pair_of=whole(slots),
        slots=of_slots,
        begin_s=np.zeros(slots),
        rate=rate,
        links=links,
        entry=whole(int(room.sum())),
        mark=np.zeros(int(room.sum())),
        held=whole(int(room.sum())),
        pair=whole(0, kernel.PAIRS),
        lists=lists,
        share=np.zeros(count),
        over_s=np.zeros(count),
        plan=np.zeros((4, 4), dtype=np.int64),
        ints=np.zeros(0, dtype=np.int64),
        floats=np.zeros(0),
        node=whole(0, 4),
        early=whole(0, 2),
        finished=whole(0, 2),
        finish_of=np.zeros(0),
    )
