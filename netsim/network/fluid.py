"""Transfers as a fluid: each holds all links of its route at the max-min fair rate until its last byte. No SimPy here.

Two questions only: when is the next thing to happen, and, now that time has moved, who has finished. This module keeps
the room that the compiled core needs; it grows with the plans under way and is used again when they are over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from netsim.network import kernel
from netsim.network.kernel import Core
from netsim.network.table import make_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.network.base import Round
    from netsim.network.lanes import Flying
    from netsim.network.links import Links, Routed
    from netsim.network.table import Table

_SLOT_ARRAYS = ("rate", "left_bytes", "since_s", "finish_s", "most", "met", "free", "begin_s", "begins", "new", "flows")


class _Lent(NamedTuple):
    """What a plan under way occupies."""

    table: Table
    nodes: int


class Fluid:
    """The transfers under way, and how far the plans they belong to have come."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self._lent: dict[int, _Lent] = {}
        self._spare: list[int] = []
        self._used = np.zeros(3, dtype=np.int64)
        self._on_link = np.zeros(len(links.capacity), dtype=np.int64)
        self._in_flight = 0
        self.core = _empty(links.capacity)

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
        self._on_link -= table.on_link
        self._spare.append(plan)

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
            self._more_records(len(self.core.early_next))

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
        self.core.clock[0] = max(self.core.clock[0], now_s)
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

    def finish_s(self, routed: Routed, begin_s: NDArray[np.float64], nbytes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [F] when transfers finish that hold their links from `begin_s` [F] on and belong to no plan."""
        on_link = np.bincount(routed.links, minlength=len(self._on_link))
        self._make_room(len(begin_s), on_link, int(np.diff(routed.start).max(initial=1)))
        self.core = self.core._replace(finish_of=np.zeros(len(begin_s)))
        kernel.queue(self.core, begin_s, nbytes, routed.start, routed.links)
        self.run(np.inf, np.inf)
        return self.core.finish_of

    # ---- room

    def _make_room(self, in_flight: int, on_link: NDArray[np.int64], most_hops: int) -> None:
        """Have slots and lists for so many more transfers."""
        self._in_flight += in_flight
        self._on_link += on_link
        shift = int(most_hops - 1).bit_length()
        if shift > self.core.counts[kernel.SHIFT]:
            self._widen(shift)
        have = len(self.core.rate)
        if self._in_flight > have:
            self._more_slots(max(self._in_flight - have, have))
        room = np.diff(self.core.first)
        if (self._on_link > room).any():
            self._longer_lists(np.where(self._on_link > room, 2 * self._on_link, room))

    def _more_slots(self, count: int) -> None:
        core, have = self.core, len(self.core.rate)
        grown = {name: _longer(getattr(core, name), count) for name in _SLOT_ARRAYS}
        grown["finish_s"][have:] = np.inf
        wide = {name: _longer(getattr(core, name), count << core.counts[kernel.SHIFT]) for name in ("link", "position")}
        free = int(core.counts[kernel.FREE])
        grown["free"][count : count + free] = core.free[:free]
        grown["free"][:count] = np.arange(have + count, have, -1) - 1  # the lowest is taken first
        core.counts[kernel.FREE] += count
        self.core = core._replace(**grown, **wide, slot=_longer(core.slot, count))

    def _widen(self, shift: int) -> None:
        """Give every slot more links."""
        core, old = self.core, int(self.core.counts[kernel.SHIFT])
        slots = len(core.rate)
        wide = {}
        for name in ("link", "position"):
            wide[name] = np.zeros((slots, 1 << shift), dtype=np.int32)
            wide[name][:, : 1 << old] = getattr(core, name).reshape(slots, 1 << old)
        entry = ((core.entry >> old) << shift) + (core.entry & ((1 << old) - 1))
        core.counts[kernel.SHIFT] = shift
        self.core = core._replace(entry=entry, **{name: one.ravel() for name, one in wide.items()})

    def _longer_lists(self, room: NDArray[np.int64]) -> None:
        core = self.core
        first = np.concatenate([[0], np.cumsum(room)])
        entry = np.zeros(int(first[-1]), dtype=np.int32)
        number = core.number.astype(np.int64)
        offset = np.arange(int(number.sum())) - np.repeat(np.cumsum(number) - number, number)
        entry[np.repeat(first[:-1], number) + offset] = core.entry[np.repeat(core.first[:-1], number) + offset]
        self.core = core._replace(first=first, entry=entry)

    def _make_tables(self, number: int, table: Table, rounds: int, nodes: int) -> None:
        """Append a plan's table and nodes; where most of what is there belongs to plans that are over, pack it first."""
        core = self.core
        if not self._lent:
            self._used[:] = 0
        need = np.array([len(table.ints), len(table.floats), nodes])
        have = np.array([len(core.ints), len(core.floats), len(core.at)])
        if (self._used + need > have).any():
            self._pack(need)
            core = self.core
        ints, floats, node = self._used.tolist()
        core.ints[ints : ints + len(table.ints)] = table.ints
        core.floats[floats : floats + len(table.floats)] = table.floats
        core.at[node : node + nodes] = kernel.NONE
        core.early[node : node + nodes] = kernel.NONE
        if number >= len(core.plan):
            core = self.core = core._replace(plan=_longer(core.plan, len(core.plan)))
        core.plan[number] = ints, floats, node, rounds
        self._used += need

    def _pack(self, need: NDArray[np.int64]) -> None:
        """Move the tables of the plans under way together, into arrays with room for as much again."""
        core = self.core
        live = {plan: (len(lent.table.ints), len(lent.table.floats), lent.nodes) for plan, lent in self._lent.items()}
        total = 2 * (np.array(list(live.values()), dtype=np.int64).reshape(-1, 3).sum(axis=0) + need)
        columns = {"ints": 0, "floats": 1, "at": 2, "unsent": 2, "missing": 2, "early": 2}
        packed = {name: np.zeros(total[column], getattr(core, name).dtype) for name, column in columns.items()}
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
        core, have = self.core, len(self.core.early_next)
        early_next = np.concatenate([core.early_next, np.arange(have + 1, have + count + 1, dtype=np.int32)])
        if count:
            early_next[-1] = core.counts[kernel.EARLY]
            core.counts[kernel.EARLY] = have
        self.core = core._replace(early_next=early_next, early_round=_longer(core.early_round, count))


def _longer(array: NDArray[np.generic], count: int) -> NDArray[np.generic]:
    return np.concatenate([array, np.zeros((count, *array.shape[1:]), dtype=array.dtype)])


def _empty(capacity: NDArray[np.float64]) -> Core:
    """Return a core with nothing in it."""
    links, slots, records = len(capacity), 16, 16

    def whole(*shape: int) -> NDArray[np.int32]:
        return np.zeros(shape, dtype=np.int32)

    counts = np.zeros(kernel.COUNTS, dtype=np.int64)
    counts[[kernel.FREE, kernel.SHIFT]] = slots, 2
    early_next = np.arange(1, records + 1, dtype=np.int32)
    early_next[-1] = kernel.NONE
    return Core(
        clock=np.array([0.0, np.inf]),
        counts=counts,
        slot=whole(slots, 4),
        rate=np.zeros(slots),
        left_bytes=np.zeros(slots),
        since_s=np.zeros(slots),
        finish_s=np.full(slots, np.inf),
        most=np.zeros(slots),
        link=whole(slots << 2),
        position=whole(slots << 2),
        met=np.zeros(slots, dtype=np.int64),
        free=np.arange(slots, dtype=np.int32)[::-1].copy(),
        begin_s=np.zeros(slots),
        begins=whole(slots),
        new=whole(slots),
        flows=whole(slots),
        capacity=np.asarray(capacity, dtype=np.float64),
        first=np.arange(links + 1) * 4,
        number=whole(links),
        entry=whole(4 * links),
        share_left=np.zeros(links),
        growing=whole(links),
        link_met=np.zeros(links, dtype=np.int64),
        is_dirty=np.zeros(links, dtype=np.bool_),
        dirty=whole(links),
        involved=whole(links),
        full=whole(links),
        share=np.zeros(links),
        share_link=whole(links),
        plan=np.zeros((4, 4), dtype=np.int64),
        ints=np.zeros(0, dtype=np.int64),
        floats=np.zeros(0),
        at=whole(0),
        unsent=whole(0),
        missing=whole(0),
        early=whole(0),
        early_round=whole(records),
        early_next=early_next,
        finished=whole(0, 2),
        finish_of=np.zeros(0),
    )

