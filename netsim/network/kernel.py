"""The compiled core of the flow network: transfers that share links max-min fairly, and the one rule of time.

Transfers with the same bottleneck have the same rate. So a link that is a bottleneck has a level, the rate of each
transfer it holds back, and a count of the bytes it has given each of them; a transfer is over when that count reaches a
mark of its own, and a heap has the marks in order. A change of levels costs what it costs in links, not in transfers.

All state is arrays, in one `Core`; nothing is allocated while time moves on. A transfer has a slot for its life: it
waits in a heap until it begins, then holds its links, each of which lists who is on it. The core stands in one file,
because the compiler's cache of a function does not see that a function of another file has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_INSTANT = 1e-12
"""What happens closer than this, relative to the time, is one event; it hides rounding only."""
TIE = 1e-12
"""Links whose fair shares agree to this relative difference saturate together; it hides rounding only."""
NONE = -1
NO_ROOM = -1.0
"""Returned instead of a time where the list of early arrivals has to grow first."""

# What the columns of the arrays mean, array by array.
NOW, FREED = range(2)
FREE, PENDING, NECKS, DIRTY, NEW, OVER, SOLVES, FINISHED, EARLY, PAIR, SHIFT, EPOCH, STAMP, COUNTS = range(14)
PLAN, ROUND, TRANSFER = range(3)
FREE_LIST, BEGINS, NEW_LIST, FLOWS = range(4)
CAPACITY, REMAINS, LEVEL, NEXT, SERVED, SINCE, NARROWEST, CROWD, RATES = range(9)
FROM, NUMBER, HELD, ROW, COLUMN, GROWING, MET, STATUS, STAMPED, AT_PAIR, IS_DIRTY, MARKS = range(12)
RELEASED, SATURATED, FIXED, STATES = range(4)
DIRTY_LIST, INVOLVED, FULL, CHANGING, SHARE_LINK, SHARE_PLACE, OVER_LINK, OVER_PLACE, LISTS = range(9)
OF_LINK, OF_NECK, COUNT, ROW_NEXT, ROW_BEFORE, COLUMN_NEXT, COLUMN_BEFORE, PAIRS = range(8)
INTS, FLOATS, NODES, ROUNDS = range(4)
FIRST, RECEIVES, ENDS, SIZES, TIMES = range(5)
SRC, DST, ROUTE, LENGTH = range(4)
AT, UNSENT, MISSING, COME = range(4)
OF_ROUND, AFTER = range(2)

_OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "_nrt": False}
"""Nothing is allocated, so no references are counted: for all arrays at every call, that would be most of the work."""
compiled = njit(**_OPTIONS)


class Core(NamedTuple):
    """The state. S slots, L links, E room in the links' lists, N nodes of plans, A records of early arrivals.

    A link's neighbours are its pairs: a pair says how many transfers on a link are held back by a bottleneck. Pairs are
    chained by link (a row) and by bottleneck (a column). Where a transfer is alone on a link, the pair is left out
    unless the link is its own bottleneck: such a link matters only as the most that the transfer can get.

    Attributes:
        clock: now, and the least rate that completed transfers have left free.
        counts: lengths of lists and heaps; first free pair and record of early arrivals; log2 of the links of a slot.
        left, most: [S] bytes of transfers that have no bottleneck yet, and the least capacity of any transfer's route.
        what: [S, 3] its plan, round, and number in the round.
        neck, place: [S] the link that holds it back, and its place in the heap it is in.
        hops: [S] links of its route, 0 for a free slot.
        link, position, pair_of: [S << SHIFT] links of each slot, where in each link's list it is, and its pair there.
        slots: [4, S] stack of free slots, heap of those that have not begun (its keys are `begin_s`), two lists.
        rate: [L, 8] capacity; what of it remains in a solve; level, and next level; bytes given to each transfer held
            back, until a second; a bound from below on `most` of those, where it is less than the capacity; seconds
            that transfers have held it, added up, those on it counted from second 0 with a minus.
        links: [L, 11] where a link's lists begin, how many transfers are on it, how many of them it holds back, its row
            and column, how many grow in a solve, marks of solves.
        entry: [E] who is on each link, the latest last.
        mark, held: [E] heaps of those that each link holds back, by the bytes it will have given when they are over.
        pair: [S << SHIFT, 7] pairs; free ones are chained as rows.
        lists, share, over_s: [8, L] lists of links, a heap of them by the fair share they can give, and a heap of
            bottlenecks by the second at which the first of theirs is over.
        plan: [plans, 4] where a plan's integers, floats and nodes begin, and its number of rounds.
        ints, floats: the plans' tables (see `table`).
        node: [N, 4] the round a node is in, sends and arrivals it waits for, and what has come for later rounds.
        early: [A, 2] lists of such arrivals.
        finished: [N, 2] plan and place of those whose part is over.
        finish_of: when transfers without a plan were over.
    """

    clock: NDArray[np.float64]
    counts: NDArray[np.int64]
    left: NDArray[np.float64]
    most: NDArray[np.float64]
    what: NDArray[np.int32]
    neck: NDArray[np.int32]
    place: NDArray[np.int32]
    hops: NDArray[np.int8]
    link: NDArray[np.int32]
    position: NDArray[np.int32]
    pair_of: NDArray[np.int32]
    slots: NDArray[np.int32]
    begin_s: NDArray[np.float64]
    rate: NDArray[np.float64]
    links: NDArray[np.int64]
    entry: NDArray[np.int32]
    mark: NDArray[np.float64]
    held: NDArray[np.int32]
    pair: NDArray[np.int32]
    lists: NDArray[np.int32]
    share: NDArray[np.float64]
    over_s: NDArray[np.float64]
    plan: NDArray[np.int64]
    ints: NDArray[np.int64]
    floats: NDArray[np.float64]
    node: NDArray[np.int32]
    early: NDArray[np.int32]
    finished: NDArray[np.int32]
    finish_of: NDArray[np.float64]


# ---- heaps of (key, item), least key first, from place `begin` of their arrays; `place` [items] is where an item is


@compiled
def _put(
    keys: NDArray[np.float64],
    items: NDArray[np.int32],
    place: NDArray[np.int32],
    begin: int,
    size: int,
    hole: int,
    key: float,
    item: int,
) -> None:
    """Put an entry where a heap of `size` has a hole, or is to get one at its end, and move it to its place."""
    while hole > 0:
        parent = (hole - 1) >> 1
        if keys[begin + parent] <= key:
            break
        keys[begin + hole], items[begin + hole] = keys[begin + parent], items[begin + parent]
        place[items[begin + hole]] = hole
        hole = parent
    while True:
        child = 2 * hole + 1
        if child >= size:
            break
        if child + 1 < size and keys[begin + child + 1] < keys[begin + child]:
            child += 1
        if keys[begin + child] >= key:
            break
        keys[begin + hole], items[begin + hole] = keys[begin + child], items[begin + child]
        place[items[begin + hole]] = hole
        hole = child
    keys[begin + hole], items[begin + hole] = key, item
    place[item] = hole


@compiled
def _take(
    keys: NDArray[np.float64],
    items: NDArray[np.int32],
    place: NDArray[np.int32],
    begin: int,
    size: int,
    hole: int,
) -> None:
    """Take the entry at `hole` from a heap of `size`."""
    last = begin + size - 1
    if begin + hole < last:
        _put(keys, items, place, begin, size - 1, hole, keys[last], items[last])


# ---- pairs of a link and a bottleneck


@compiled
def _new_pair(core: Core, link: int, neck: int) -> int:
    """Return a new pair that counts one transfer."""
    pair, links = core.pair, core.links
    new = core.counts[PAIR]
    core.counts[PAIR] = pair[new, ROW_NEXT]
    pair[new, OF_LINK], pair[new, OF_NECK], pair[new, COUNT] = link, neck, 1
    row, column = links[link, ROW], links[neck, COLUMN]
    pair[new, ROW_NEXT], pair[new, ROW_BEFORE] = row, NONE
    pair[new, COLUMN_NEXT], pair[new, COLUMN_BEFORE] = column, NONE
    if row != NONE:
        pair[row, ROW_BEFORE] = new
    if column != NONE:
        pair[column, COLUMN_BEFORE] = new
    links[link, ROW] = links[neck, COLUMN] = new
    return new


@compiled
def _leave_pair(core: Core, hop: int) -> None:
    """Count a transfer no more at one of its links; forget the pair where it was the last."""
    pair, links, old = core.pair, core.links, core.pair_of[hop]
    if old == NONE:
        return
    core.pair_of[hop] = NONE
    pair[old, COUNT] -= 1
    if pair[old, COUNT]:
        return
    after, before = pair[old, ROW_NEXT], pair[old, ROW_BEFORE]
    if after != NONE:
        pair[after, ROW_BEFORE] = before
    if before != NONE:
        pair[before, ROW_NEXT] = after
    else:
        links[pair[old, OF_LINK], ROW] = after
    after, before = pair[old, COLUMN_NEXT], pair[old, COLUMN_BEFORE]
    if after != NONE:
        pair[after, COLUMN_BEFORE] = before
    if before != NONE:
        pair[before, COLUMN_NEXT] = after
    else:
        links[pair[old, OF_NECK], COLUMN] = after
    pair[old, ROW_NEXT] = core.counts[PAIR]
    core.counts[PAIR] = old


# ---- bottlenecks


@compiled
def _served(core: Core, neck: int) -> float:
    """Return the bytes that a bottleneck has given each transfer it holds back."""
    rate = core.rate
    return rate[neck, SERVED] + rate[neck, LEVEL] * (core.clock[NOW] - rate[neck, SINCE])


@compiled
def _stamp(core: Core, neck: int) -> None:
    """Note the pairs of a bottleneck at their links, for `_attach`."""
    core.counts[STAMP] += 1
    one = core.links[neck, COLUMN]
    while one != NONE:
        link = core.pair[one, OF_LINK]
        core.links[link, STAMPED], core.links[link, AT_PAIR] = core.counts[STAMP], one
        one = core.pair[one, COLUMN_NEXT]


@compiled
def _attach(core: Core, slot: int, neck: int, nbytes: float) -> None:
    """Let a transfer with so many bytes left be held back by the bottleneck that was stamped last."""
    links, begin, stamp = core.links, slot << core.counts[SHIFT], core.counts[STAMP]
    for hop in range(begin, begin + core.hops[slot]):
        link = core.link[hop]
        if links[link, NUMBER] == 1 and link != neck:
            continue
        if links[link, STAMPED] == stamp:
            core.pair[links[link, AT_PAIR], COUNT] += 1
        else:
            links[link, STAMPED], links[link, AT_PAIR] = stamp, _new_pair(core, link, neck)
        core.pair_of[hop] = links[link, AT_PAIR]
    core.neck[slot] = neck
    size = links[neck, HELD]
    links[neck, HELD] += 1
    _put(core.mark, core.held, core.place, links[neck, FROM], size + 1, size, _served(core, neck) + nbytes, slot)
    if core.most[slot] < core.rate[neck, CAPACITY]:
        core.rate[neck, NARROWEST] = min(core.rate[neck, NARROWEST], core.most[slot])


@compiled
def _detach(core: Core, slot: int) -> float:
    """Take a transfer from its bottleneck, and return the bytes it has left."""
    links, neck, place, begin = core.links, core.neck[slot], core.place[slot], slot << core.counts[SHIFT]
    nbytes = max(core.mark[links[neck, FROM] + place] - _served(core, neck), 0.0)
    _take(core.mark, core.held, core.place, links[neck, FROM], links[neck, HELD], place)
    links[neck, HELD] -= 1
    for hop in range(begin, begin + core.hops[slot]):
        _leave_pair(core, hop)
    if links[neck, NUMBER] == 1:
        links[neck, GROWING] = 0
    return nbytes


@compiled
def _foresee(core: Core, neck: int) -> None:
    """Note when the first transfer that a bottleneck holds back is over; forget a bottleneck that holds back none."""
    counts, links, rate = core.counts, core.links, core.rate
    over_s, items, place = core.over_s, core.lists[OVER_LINK], core.lists[OVER_PLACE]
    here = place[neck]
    if links[neck, HELD] == 0:
        rate[neck, LEVEL], rate[neck, SERVED], rate[neck, NARROWEST] = 0.0, 0.0, np.inf
        if here != NONE:
            _take(over_s, items, place, 0, counts[NECKS], here)
            counts[NECKS] -= 1
            place[neck] = NONE
        return
    if here == NONE:
        here = counts[NECKS]
        counts[NECKS] += 1
    _put(over_s, items, place, 0, counts[NECKS], here, _first_over_s(core, neck), neck)


@compiled
def _first_over_s(core: Core, neck: int) -> float:
    rate = core.rate
    if rate[neck, LEVEL] <= 0:
        return np.inf
    nbytes = core.mark[core.links[neck, FROM]] - rate[neck, SERVED]
    return rate[neck, SINCE] + max(nbytes, 0.0) / rate[neck, LEVEL]


# ---- max-min fair rates (Bertsekas, Gallager 1992, 6.5.2)


@compiled
def solve(core: Core) -> None:
    """Share the links anew among the transfers that what has begun and ended since can have touched.

    All rates grow together; where a link is full, its transfers stop and the others go on with what remains. Levels
    below the first at which anything differs stay as they are, and so do those that no chain of shared links joins to a
    change. Transfers stay with the bottleneck they had where that is full again before any other of their links.
    """
    counts, links, full = core.counts, core.links, core.lists[FULL]
    counts[EPOCH] += 1
    size, changing, remaining, least = _gather(core, _first_change(core))
    while remaining:
        size = _bring_up(core, size)
        level = core.share[0] if size else np.inf
        if least <= level:
            stopped, changing, least = _cap(core, level, changing)
            remaining -= stopped
            continue
        size, number = _fill(core, size, level * (1 + TIE))
        for place in range(number):
            if links[full[place], STATUS] < STATES * counts[EPOCH]:
                core.lists[CHANGING, changing] = full[place]
                changing += 1
            links[full[place], STATUS] = STATES * counts[EPOCH] + SATURATED
        for place in range(number):
            _hold_back(core, full[place])
            remaining -= _fix(core, full[place], level, links[full[place], HELD] == remaining)
    _apply(core, changing)
    for place in range(counts[NEW]):
        core.left[core.slots[NEW_LIST, place]] = NONE
    for place in range(counts[DIRTY]):
        links[core.lists[DIRTY_LIST, place], IS_DIRTY] = 0
    counts[DIRTY] = counts[NEW] = 0
    counts[SOLVES] += 1
    core.clock[FREED] = np.inf


@compiled
def _first_change(core: Core) -> float:
    """Return a level below which no rate can differ: what ended had more, and what begins gets its part at least."""
    least = core.clock[FREED]
    for place in range(core.counts[NEW]):
        slot = core.slots[NEW_LIST, place]
        for hop in range(slot << core.counts[SHIFT], (slot << core.counts[SHIFT]) + core.hops[slot]):
            link = core.link[hop]
            least = min(least, core.rate[link, CAPACITY] / core.links[link, NUMBER])
    return least * (1 - 1e-9)


@compiled
def _gather(core: Core, changes: float) -> tuple[int, int, int, float]:
    """Release the bottlenecks whose levels can differ; fill the heap of links that can become full.

    Returns the length of the heap, the number of bottlenecks released, that of transfers that grow, and a bound from
    below on the most that any of these can get.
    """
    counts, links, rate, pair, involved = core.counts, core.links, core.rate, core.pair, core.lists[INVOLVED]
    epoch, released, growers, least = counts[EPOCH], 0, counts[NEW], np.inf
    number, place = counts[DIRTY], 0
    for one in range(number):
        involved[one] = core.lists[DIRTY_LIST, one]
        links[involved[one], MET] = epoch
    while place < number:
        link = involved[place]
        place += 1
        remains, growing = rate[link, CAPACITY], 0
        one = links[link, ROW]
        while one != NONE:
            neck, count = pair[one, OF_NECK], pair[one, COUNT]
            one = pair[one, ROW_NEXT]
            if rate[neck, LEVEL] < changes:
                remains -= rate[neck, LEVEL] * count
                continue
            growing += count
            if links[neck, STATUS] >= STATES * epoch:
                continue
            links[neck, STATUS] = STATES * epoch + RELEASED
            core.lists[CHANGING, released] = neck
            released += 1
            growers += links[neck, HELD]
            least = min(least, rate[neck, NARROWEST])
            other = links[neck, COLUMN]
            while other != NONE:
                if links[pair[other, OF_LINK], MET] != epoch:
                    links[pair[other, OF_LINK], MET] = epoch
                    involved[number] = pair[other, OF_LINK]
                    number += 1
                other = pair[other, COLUMN_NEXT]
        rate[link, REMAINS], links[link, GROWING] = max(remains, 0.0), growing
    for place in range(counts[NEW]):
        slot = core.slots[NEW_LIST, place]
        least = min(least, core.most[slot])
        for hop in range(slot << counts[SHIFT], (slot << counts[SHIFT]) + core.hops[slot]):
            links[core.link[hop], GROWING] += links[core.link[hop], NUMBER] > 1
    return _heap_up(core, number), released, growers, least


@compiled
def _heap_up(core: Core, number: int) -> int:
    size = 0
    for place in range(number):
        link = core.lists[INVOLVED, place]
        growing = core.links[link, GROWING]
        if growing:
            share = core.rate[link, REMAINS] / growing
            _put(core.share, core.lists[SHARE_LINK], core.lists[SHARE_PLACE], 0, size + 1, size, share, link)
            size += 1
    return size


@compiled
def _bring_up(core: Core, size: int) -> int:
    """Bring the least share to the top of the heap, whose keys are bounds from below; return the heap's size."""
    share, items, place = core.share, core.lists[SHARE_LINK], core.lists[SHARE_PLACE]
    while size:
        link = items[0]
        growing = core.links[link, GROWING]
        if growing == 0:
            _take(share, items, place, 0, size, 0)
            size -= 1
            continue
        exact = core.rate[link, REMAINS] / growing
        if exact <= share[0]:
            share[0] = exact
            break
        _put(share, items, place, 0, size, 0, exact, link)
        if items[0] == link:
            break
    return size


@compiled
def _fill(core: Core, size: int, level: float) -> tuple[int, int]:
    """Take the links that are full at a level from the heap into `FULL`; return the sizes of both."""
    share, items, place, number = core.share, core.lists[SHARE_LINK], core.lists[SHARE_PLACE], 0
    while size and share[0] <= level:
        link = items[0]
        growing = core.links[link, GROWING]
        if growing and core.rate[link, REMAINS] / growing > level:
            _put(share, items, place, 0, size, 0, core.rate[link, REMAINS] / growing, link)
            continue
        if growing:
            core.lists[FULL, number] = link
            number += 1
        _take(share, items, place, 0, size, 0)
        size -= 1
    return size, number


@compiled
def _hold_back(core: Core, link: int) -> None:
    """Let a link that is full hold back all that grow on it, but those that another full link has already."""
    links, released, moves = core.links, STATES * core.counts[EPOCH] + RELEASED, False
    one = links[link, ROW]
    while one != NONE and not moves:
        moves = links[core.pair[one, OF_NECK], STATUS] == released
        one = core.pair[one, ROW_NEXT]
    stamped = False
    for one in range(links[link, FROM] + links[link, NUMBER] - 1, links[link, FROM] - 1, -1):
        slot = core.entry[one] >> core.counts[SHIFT]
        neck, new = core.neck[slot], core.left[slot] >= 0
        if not (new or moves):
            break  # what is new stands last
        if neck == NONE or links[neck, STATUS] == released:
            if not stamped:
                _stamp(core, link)
                stamped = True
            _attach(core, slot, link, core.left[slot] if neck == NONE else _detach(core, slot))


@compiled
def _fix(core: Core, neck: int, level: float, last: bool) -> int:
    """Give a bottleneck its next level; take what its transfers get from their links; return how many these are."""
    links, rate, pair = core.links, core.rate, core.pair
    links[neck, STATUS] = STATES * core.counts[EPOCH] + FIXED
    rate[neck, NEXT] = level
    one = NONE if last else links[neck, COLUMN]
    while one != NONE:
        link, count = pair[one, OF_LINK], pair[one, COUNT]
        rate[link, REMAINS] = max(rate[link, REMAINS] - level * count, 0.0)
        links[link, GROWING] -= count
        one = pair[one, COLUMN_NEXT]
    return links[neck, HELD]


@compiled
def _cap(core: Core, level: float, changing: int) -> tuple[int, int, float]:
    """Stop those that can get no more than a level, because of a link that they have to themselves.

    Returns how many these are, how many bottlenecks change, and the least that any other can get.
    """
    links, rate, most, flows = core.links, core.rate, core.most, core.slots[FLOWS]
    released = STATES * core.counts[EPOCH] + RELEASED
    number, least = 0, np.inf
    for place in range(core.counts[NEW]):
        slot = core.slots[NEW_LIST, place]
        if core.neck[slot] == NONE and most[slot] <= level:
            flows[number] = slot
            number += 1
        elif core.neck[slot] == NONE:
            least = min(least, most[slot])
    for place in range(changing):
        neck = core.lists[CHANGING, place]
        if links[neck, STATUS] != released:
            continue
        if rate[neck, NARROWEST] <= level:
            rate[neck, NARROWEST] = np.inf
            for one in range(links[neck, FROM], links[neck, FROM] + links[neck, HELD]):
                slot = core.held[one]
                if most[slot] <= level and most[slot] < rate[neck, CAPACITY]:
                    flows[number] = slot
                    number += 1
                elif most[slot] < rate[neck, CAPACITY]:
                    rate[neck, NARROWEST] = min(rate[neck, NARROWEST], most[slot])
        least = min(least, rate[neck, NARROWEST])
    stopped = 0
    for place in range(number):
        slot = flows[place]
        link = _own_link(core, slot)
        if link == NONE:
            continue
        nbytes = core.left[slot] if core.neck[slot] == NONE else _detach(core, slot)
        _stamp(core, link)
        _attach(core, slot, link, nbytes)
        if links[link, STATUS] < STATES * core.counts[EPOCH]:
            core.lists[CHANGING, changing] = link
            changing += 1
        stopped += _fix(core, link, most[slot], False)
    return stopped, changing, least


@compiled
def _own_link(core: Core, slot: int) -> int:
    """Return the narrowest link of a transfer's route, if it is alone there."""
    for hop in range(slot << core.counts[SHIFT], (slot << core.counts[SHIFT]) + core.hops[slot]):
        link = core.link[hop]
        if core.links[link, NUMBER] == 1 and core.rate[link, CAPACITY] <= core.most[slot]:
            return int(link)
    return NONE


@compiled
def _apply(core: Core, changing: int) -> None:
    """Give bottlenecks their next levels; one whose level stays keeps its count, so that rounding cannot add up."""
    rate = core.rate
    for place in range(changing):
        neck = core.lists[CHANGING, place]
        if core.links[neck, HELD] and rate[neck, NEXT] != rate[neck, LEVEL]:
            rate[neck, SERVED] = _served(core, neck)
            rate[neck, SINCE] = core.clock[NOW]
            rate[neck, LEVEL] = rate[neck, NEXT]
        _foresee(core, neck)


# ---- slots


@compiled
def _take_slot(core: Core, plan: int, number: int, transfer: int, route: NDArray[np.int64]) -> int:
    counts = core.counts
    counts[FREE] -= 1
    slot = core.slots[FREE_LIST, counts[FREE]]
    core.what[slot, PLAN], core.what[slot, ROUND], core.what[slot, TRANSFER] = plan, number, transfer
    core.hops[slot] = len(route)
    most, begin = np.inf, slot << counts[SHIFT]
    for hop in range(len(route)):
        core.link[begin + hop] = route[hop]
        most = min(most, core.rate[route[hop], CAPACITY])
    core.most[slot] = most
    return slot


@compiled
def _wait(core: Core, slot: int, begin_s: float, nbytes: float) -> None:
    core.left[slot] = nbytes
    pending = core.counts[PENDING]
    _put(core.begin_s, core.slots[BEGINS], core.place, 0, pending + 1, pending, begin_s, slot)
    core.counts[PENDING] += 1


@compiled
def _touch(core: Core, link: int) -> None:
    if not core.links[link, IS_DIRTY]:
        core.links[link, IS_DIRTY] = 1
        core.lists[DIRTY_LIST, core.counts[DIRTY]] = link
        core.counts[DIRTY] += 1


@compiled
def _begin(core: Core, slot: int) -> None:
    """Let a transfer hold its links."""
    counts, links = core.counts, core.links
    core.neck[slot] = NONE
    core.slots[NEW_LIST, counts[NEW]] = slot
    counts[NEW] += 1
    for hop in range(slot << counts[SHIFT], (slot << counts[SHIFT]) + core.hops[slot]):
        link = core.link[hop]
        number = links[link, NUMBER]
        if number == 1:
            first = core.entry[links[link, FROM]]
            neck = core.neck[first >> counts[SHIFT]]
            if neck != NONE and core.pair_of[first] == NONE:
                core.pair_of[first] = _new_pair(core, link, neck)
        core.entry[links[link, FROM] + number] = hop
        core.position[hop] = number
        core.pair_of[hop] = NONE
        links[link, NUMBER] += 1
        core.rate[link, CROWD] -= core.clock[NOW]
        _touch(core, link)


@compiled
def _end(core: Core, slot: int) -> None:
    """Take a transfer off its links and free its slot."""
    counts, links = core.counts, core.links
    for hop in range(slot << counts[SHIFT], (slot << counts[SHIFT]) + core.hops[slot]):
        link = core.link[hop]
        _leave_pair(core, hop)
        links[link, NUMBER] -= 1
        core.rate[link, CROWD] += core.clock[NOW]
        moved = core.entry[links[link, FROM] + links[link, NUMBER]]
        core.entry[links[link, FROM] + core.position[hop]] = moved
        core.position[moved] = core.position[hop]
        if links[link, NUMBER] == 1:
            last = core.entry[links[link, FROM]]
            if core.neck[last >> counts[SHIFT]] != link:
                _leave_pair(core, last)
        _touch(core, link)
    core.hops[slot] = 0
    core.slots[FREE_LIST, counts[FREE]] = slot
    counts[FREE] += 1


# ---- the rule of time


@compiled
def _start(core: Core, plan: int, number: int, transfer: int, begin_s: float, nbytes: float) -> None:
    """Queue a transfer of a plan until it begins."""
    ints = core.plan[plan, INTS]
    row = ints + core.ints[ints + number * 5 + ENDS] + 4 * transfer
    route = ints + core.ints[row + ROUTE]
    slot = _take_slot(core, plan, number, transfer, core.ints[route : route + core.ints[row + LENGTH]])
    _wait(core, slot, begin_s, nbytes)


@compiled
def _enter(core: Core, plan: int, place: int) -> None:
    """Move a node on to its next round, and further where it has nothing to do in it."""
    ints, floats, node = core.plan[plan, INTS], core.plan[plan, FLOATS], core.plan[plan, NODES] + place
    while True:
        number = core.node[node, AT] + 1
        core.node[node, AT] = number
        if number == core.plan[plan, ROUNDS]:
            core.finished[core.counts[FINISHED], 0] = plan
            core.finished[core.counts[FINISHED], 1] = place
            core.counts[FINISHED] += 1
            return
        row = ints + 5 * number
        begin, end = (
            core.ints[ints + core.ints[row + FIRST] + place],
            core.ints[ints + core.ints[row + FIRST] + place + 1],
        )
        core.node[node, UNSENT] = end - begin
        core.node[node, MISSING] = core.ints[ints + core.ints[row + RECEIVES] + place] - _take_early(core, node, number)
        for one in range(begin, end):
            wait_s = core.floats[floats + core.ints[row + TIMES] + one]
            nbytes = core.floats[floats + core.ints[row + SIZES] + one]
            _start(core, plan, number, one, core.clock[NOW] + wait_s, nbytes)
        if core.node[node, UNSENT] or core.node[node, MISSING]:
            return


@compiled
def _take_early(core: Core, node: int, number: int) -> int:
    """Return how many transfers of a round have come before the node entered it."""
    taken, before, record = 0, NONE, core.node[node, COME]
    while record != NONE:
        after = core.early[record, AFTER]
        if core.early[record, OF_ROUND] == number:
            if before == NONE:
                core.node[node, COME] = after
            else:
                core.early[before, AFTER] = after
            core.early[record, AFTER] = core.counts[EARLY]
            core.counts[EARLY] = record
            taken += 1
        else:
            before = record
        record = after
    return taken


@compiled
def _arrive(core: Core, node: int, number: int) -> None:
    """Count an arrival, for later where the node is not in that round yet."""
    if core.node[node, AT] == number:
        core.node[node, MISSING] -= 1
    elif core.node[node, AT] < number:
        record = core.counts[EARLY]
        core.counts[EARLY] = core.early[record, AFTER]
        core.early[record, OF_ROUND] = number
        core.early[record, AFTER] = core.node[node, COME]
        core.node[node, COME] = record


@compiled
def _complete(core: Core, plan: int, number: int, transfer: int) -> None:
    """Count a transfer at both its ends; they go on where that was all they waited for."""
    ints, nodes = core.plan[plan, INTS], core.plan[plan, NODES]
    row = ints + core.ints[ints + number * 5 + ENDS] + 4 * transfer
    src, dst = core.ints[row + SRC], core.ints[row + DST]
    core.node[nodes + src, UNSENT] -= 1
    _arrive(core, nodes + dst, number)
    for place in (src, dst):
        node = nodes + place
        if core.node[node, AT] == number and core.node[node, UNSENT] == 0 and core.node[node, MISSING] == 0:
            _enter(core, plan, place)


# ---- what is called from outside


@compiled
def run(core: Core, due_s: float, horizon_s: float) -> float:
    """Let all happen that is due, and what comes before the horizon, but stop where somebody has finished.

    Returns the second of the next event, or that of the last one where somebody has finished, or NO_ROOM.
    """
    counts = core.counts
    while True:
        if not counts[OVER]:
            if counts[DIRTY]:
                solve(core)
            next_s = core.begin_s[0] if counts[PENDING] else np.inf
            if counts[NECKS]:
                next_s = min(next_s, core.over_s[0])
            if next_s == np.inf or not (next_s <= due_s or next_s < horizon_s):
                return next_s
            core.clock[NOW] = max(core.clock[NOW], next_s)
            _take_over(core, core.clock[NOW] * (1 + SAME_INSTANT))
        if not _has_records(core, counts[OVER]):
            return NO_ROOM
        for place in range(counts[OVER]):
            slot = core.slots[FLOWS, place]
            plan, number, transfer = core.what[slot, PLAN], core.what[slot, ROUND], core.what[slot, TRANSFER]
            _end(core, slot)
            if plan == NONE:
                core.finish_of[transfer] = core.clock[NOW]
            else:
                _complete(core, plan, number, transfer)
        counts[OVER] = 0
        while counts[PENDING] and core.begin_s[0] <= core.clock[NOW] * (1 + SAME_INSTANT):
            slot = core.slots[BEGINS, 0]
            _take(core.begin_s, core.slots[BEGINS], core.place, 0, counts[PENDING], 0)
            counts[PENDING] -= 1
            _begin(core, slot)
        if counts[FINISHED]:
            return core.clock[NOW]


@compiled
def _take_over(core: Core, limit_s: float) -> None:
    """Take transfers that are over from their bottlenecks, into a list."""
    counts, links, over = core.counts, core.links, 0
    while counts[NECKS] and core.over_s[0] <= limit_s:
        neck = core.lists[OVER_LINK, 0]
        core.clock[FREED] = min(core.clock[FREED], core.rate[neck, LEVEL])
        while links[neck, HELD] and _first_over_s(core, neck) <= limit_s:
            core.slots[FLOWS, over] = core.held[links[neck, FROM]]
            over += 1
            _take(core.mark, core.held, core.place, links[neck, FROM], links[neck, HELD], 0)
            links[neck, HELD] -= 1
        _foresee(core, neck)
    counts[OVER] = over


@compiled
def _has_records(core: Core, count: int) -> bool:
    record = core.counts[EARLY]
    for _ in range(count):
        if record == NONE:
            return False
        record = core.early[record, AFTER]
    return True


@compiled
def join(core: Core, plan: int, places: NDArray[np.int64], now_s: float) -> None:
    """Let participants of a plan begin."""
    core.clock[NOW] = max(core.clock[NOW], now_s)
    for place in places:
        _enter(core, plan, place)


@compiled
def change(core: Core, links: NDArray[np.int64], capacity: NDArray[np.float64], now_s: float) -> None:
    """Give links [K] other capacities from now on; 0 stops what is on them."""
    core.clock[NOW] = max(core.clock[NOW], now_s)
    for place in range(len(links)):
        link = links[place]
        core.rate[link, CAPACITY] = capacity[place]
        _touch(core, link)
        if core.links[link, NUMBER] == 1:
            neck = core.neck[core.entry[core.links[link, FROM]] >> core.counts[SHIFT]]
            if neck != NONE:
                _touch(core, neck)
    core.clock[FREED] = 0.0  # any rate that a chain of shared links joins to these may differ
    for slot in range(len(core.most)):
        most, begin = np.inf, slot << core.counts[SHIFT]
        for hop in range(begin, begin + core.hops[slot]):
            most = min(most, core.rate[core.link[hop], CAPACITY])
        core.most[slot] = most
    for place in range(core.counts[NECKS]):
        core.rate[core.lists[OVER_LINK, place], NARROWEST] = 0.0  # found anew when it is asked for


@compiled
def abandon(core: Core, plan: int, nodes: int, now_s: float) -> None:
    """Take what a plan of so many nodes has under way off its links, and what it has in the heap and the records."""
    counts, links = core.counts, core.links
    core.clock[NOW] = max(core.clock[NOW], now_s)
    if counts[DIRTY]:
        solve(core)  # whatever has begun is held back by something then
    place = counts[PENDING] - 1
    while place >= 0:
        slot = core.slots[BEGINS, place]
        if core.what[slot, PLAN] == plan:
            _take(core.begin_s, core.slots[BEGINS], core.place, 0, counts[PENDING], place)
            counts[PENDING] -= 1
            core.hops[slot] = 0
            core.slots[FREE_LIST, counts[FREE]] = slot
            counts[FREE] += 1
            place = min(place, counts[PENDING] - 1)  # another one is in its place now
        else:
            place -= 1
    for slot in range(len(core.hops)):
        if core.hops[slot] and core.what[slot, PLAN] == plan:
            neck = core.neck[slot]
            _take(core.mark, core.held, core.place, links[neck, FROM], links[neck, HELD], core.place[slot])
            links[neck, HELD] -= 1
            _foresee(core, neck)
            _end(core, slot)
    core.clock[FREED] = 0.0
    for node in range(core.plan[plan, NODES], core.plan[plan, NODES] + nodes):
        while core.node[node, COME] != NONE:
            record = core.node[node, COME]
            core.node[node, COME] = core.early[record, AFTER]
            core.early[record, AFTER] = counts[EARLY]
            counts[EARLY] = record


@compiled
def queue(
    core: Core,
    begin_s: NDArray[np.float64],
    nbytes: NDArray[np.float64],
    start: NDArray[np.int64],
    links: NDArray[np.int64],
) -> None:
    """Queue transfers [F] that belong to no plan, over CSR routes."""
    for one in range(len(begin_s)):
        slot = _take_slot(core, NONE, 0, one, links[start[one] : start[one + 1]])
        _wait(core, slot, begin_s[one], nbytes[one])


@compiled
def restore(core: Core, plan: int, at: NDArray[np.int64], done: NDArray[np.int64]) -> None:
    """Put a plan's counts to where others left it: rounds [P] of its nodes, and what is done, [K] (round, transfer)."""
    ints, nodes = core.plan[plan, INTS], core.plan[plan, NODES]
    for place in range(len(at)):
        core.node[nodes + place, AT] = at[place]
        if 0 <= at[place] < core.plan[plan, ROUNDS]:
            row = ints + 5 * at[place]
            first = ints + core.ints[row + FIRST] + place
            core.node[nodes + place, UNSENT] = core.ints[first + 1] - core.ints[first]
            core.node[nodes + place, MISSING] = core.ints[ints + core.ints[row + RECEIVES] + place]
    for one in range(len(done)):
        number, transfer = done[one]
        row = ints + core.ints[ints + number * 5 + ENDS] + 4 * transfer
        src, dst = core.ints[row + SRC], core.ints[row + DST]
        if at[src] == number:
            core.node[nodes + src, UNSENT] -= 1
        _arrive(core, nodes + dst, number)


@compiled
def resume(
    core: Core, plan: int, flying: NDArray[np.int64], begin_s: NDArray[np.float64], nbytes: NDArray[np.float64]
) -> None:
    """Queue transfers [K] (round, transfer) of a plan that are under way, with the bytes they have left."""
    for one in range(len(flying)):
        _start(core, plan, flying[one, 0], flying[one, 1], begin_s[one], nbytes[one])
