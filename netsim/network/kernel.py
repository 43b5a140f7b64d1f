"""The compiled core of the flow network: transfers that share links max-min fairly, and the one rule of time.

All state is arrays, in one `Core`; nothing is allocated while time moves on. A transfer has a slot for its life: it
waits in a heap until it begins, then holds its links, each of which lists who is on it. The core stands in one file,
because the compiler's cache of a function does not see that a function of another file has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_INSTANT = 1e-12
"""What happens closer than this, relative to the time, is one event; it hides rounding only."""
TIE = 1e-12
"""Links whose fair shares agree to this relative difference saturate together; it hides rounding only."""
FRESH = -1.0
"""The rate of a transfer that has begun and has not been given one."""
NONE = -1
NO_ROOM = -1.0
"""Returned instead of a time where the list of early arrivals has to grow first."""

# What the columns of the arrays mean, array by array.
NOW, FREED, NARROWEST = range(3)
TOP, FREE, PENDING, DIRTY, NEW, MULTI, SOLVES, FINISHED, EARLY, SHIFT, EPOCH, COUNTS = range(12)
RATE, LEFT, SINCE, NEXT = range(4)
PLAN, ROUND, TRANSFER = range(3)
IDLE, HOLDS, GROWS = range(3)
FREE_LIST, BEGINS, NEW_LIST, FLOWS = range(4)
CAPACITY, REMAINS = range(2)
FROM, NUMBER, GROWING, MET, IS_DIRTY = range(5)
DIRTY_LIST, INVOLVED, FULL, SHARE_LINK = range(4)
INTS, FLOATS, NODES, ROUNDS = range(4)
FIRST, RECEIVES, ENDS, SIZES, TIMES = range(5)
SRC, DST, ROUTE, LENGTH = range(4)
AT, UNSENT, MISSING, COME = range(4)
OF_ROUND, AFTER = range(2)


class Core(NamedTuple):
    """The state. S slots, L links, N nodes of plans, E records of early arrivals.

    Attributes:
        clock: now, the least rate that completed transfers have left free, the least capacity of any link.
        counts: slots in use lie below TOP; lengths of lists; MULTI links carry more than one transfer; the first free
            record of early arrivals; log2 of the links of a slot.
        flow: [S, 4] the rate of a transfer, the bytes it had left at a time, that time, its rate in the next solution.
        finish_s, most: [S] when it will be over, and the least capacity of its route.
        what: [S, 3] its plan, round, and number in the round.
        state, hops: [S] whether it holds links and grows in a solve; links of its route, 0 for a free slot.
        link, position: [S << SHIFT] the links of each slot, and where in each link's list it is.
        slots: [4, S] stack of free slots, heap of those that have not begun (its keys are `begin_s`), two lists.
        link_rate: [L, 2] capacity, and what of it remains in a solve.
        links: [L, 5] where a link's list in `entry` begins, its length, how many of it grow, marks of solves.
        lists, share: [4, L] lists of links, and a heap of them by the fair share they can give.
        plan: [plans, 4] where a plan's integers, floats and nodes begin, and its number of rounds.
        ints, floats: the plans' tables (see `table`).
        node: [N, 4] the round a node is in, sends and arrivals it waits for, and what has come for later rounds.
        early: [E, 2] lists of such arrivals.
        finished: [N, 2] plan and place of those whose part is over.
        finish_of: when transfers without a plan were over.
    """

    clock: NDArray[np.float64]
    counts: NDArray[np.int64]
    flow: NDArray[np.float64]
    finish_s: NDArray[np.float64]
    most: NDArray[np.float64]
    what: NDArray[np.int32]
    state: NDArray[np.int8]
    hops: NDArray[np.int8]
    link: NDArray[np.int32]
    position: NDArray[np.int32]
    slots: NDArray[np.int32]
    begin_s: NDArray[np.float64]
    link_rate: NDArray[np.float64]
    links: NDArray[np.int64]
    entry: NDArray[np.int32]
    lists: NDArray[np.int32]
    share: NDArray[np.float64]
    plan: NDArray[np.int64]
    ints: NDArray[np.int64]
    floats: NDArray[np.float64]
    node: NDArray[np.int32]
    early: NDArray[np.int32]
    finished: NDArray[np.int32]
    finish_of: NDArray[np.float64]


# ---- heaps of (key, item), least key first


@njit(cache=True, error_model="numpy")
def _push(keys: NDArray[np.float64], items: NDArray[np.int32], size: int, key: float, item: int) -> None:
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if keys[parent] <= key:
            break
        keys[place], items[place] = keys[parent], items[parent]
        place = parent
    keys[place], items[place] = key, item


@njit(cache=True, error_model="numpy")
def _sink(keys: NDArray[np.float64], items: NDArray[np.int32], size: int, key: float, item: int) -> None:
    """Put an entry in the place of the first one."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[place], items[place] = keys[child], items[child]
        place = child
    keys[place], items[place] = key, item


# ---- max-min fair rates (Bertsekas, Gallager 1992, 6.5.2)


@njit(cache=True, error_model="numpy")
def solve(core: Core) -> None:
    """Share the links anew among the transfers that what has begun and ended since can have touched.

    All rates grow together; where a link is full, its transfers stop and the others go on with what remains. Rates
    below the first level at which anything differs stay as they are, and so do those of transfers that no chain of
    shared links joins to a change. A link with a single transfer matters only as the most that transfer can get.
    """
    counts, links, link_rate, state, most = core.counts, core.links, core.link_rate, core.state, core.most
    flows, full, heap, share = core.slots[FLOWS], core.lists[FULL], core.lists[SHARE_LINK], core.share
    flow_rate, hops, slot_link, entry, shift = core.flow, core.hops, core.link, core.entry, counts[SHIFT]
    size, remaining = _gather(core)
    listed, least = remaining, core.clock[NARROWEST]
    while remaining:
        size = _bring_up(share, heap, size, links, link_rate)
        level = share[0] if size else np.inf
        if least <= level:
            least = np.inf
            for place in range(listed):
                flow = flows[place]
                if state[flow] == GROWS and most[flow] > level:
                    least = min(least, most[flow])
                elif state[flow] == GROWS:
                    _stop(slot_link, flow << shift, hops[flow], links, link_rate, most[flow])
                    flow_rate[flow, NEXT] = most[flow]
                    state[flow] = HOLDS
                    remaining -= 1
            continue
        size, number = _fill(share, heap, size, level * (1 + TIE), links, link_rate, full)
        last = number == 1 and links[full[0], GROWING] == remaining  # no link has to be kept up any more
        for place in range(number):
            begin = links[full[place], FROM]
            for one in range(begin, begin + links[full[place], NUMBER]):
                flow = entry[one] >> shift
                if state[flow] == GROWS:
                    if not last:
                        _stop(slot_link, flow << shift, hops[flow], links, link_rate, level)
                    flow_rate[flow, NEXT] = level
                    state[flow] = HOLDS
                    remaining -= 1
    _apply(flow_rate, core.finish_s, flows, listed, core.clock[NOW])
    for place in range(counts[DIRTY]):
        links[core.lists[DIRTY_LIST, place], IS_DIRTY] = 0
    counts[DIRTY] = counts[NEW] = 0
    counts[SOLVES] += 1
    core.clock[FREED] = np.inf


@njit(cache=True, error_model="numpy")
def _gather(core: Core) -> tuple[int, int]:
    """Find what to solve for: fill the heap of links and the list of transfers, and return their lengths."""
    core.counts[EPOCH] += 1
    counts, links, link_rate, state, flow_rate = core.counts, core.links, core.link_rate, core.state, core.flow
    flows, involved, slot_link, hops, entry = core.slots[FLOWS], core.lists[INVOLVED], core.link, core.hops, core.entry
    epoch, shift, changes = counts[EPOCH], counts[SHIFT], _first_change(core)
    number, multi = counts[DIRTY], 0
    for place in range(number):
        involved[place] = core.lists[DIRTY_LIST, place]
        links[involved[place], MET] = epoch
        multi += links[involved[place], NUMBER] > 1
    listed, place = 0, 0
    while place < number:
        if number - place > 16 and multi == counts[MULTI]:
            return _gather_all(core)
        link = involved[place]
        place += 1
        remains, growing = link_rate[link, CAPACITY], 0
        for one in range(links[link, FROM], links[link, FROM] + links[link, NUMBER]):
            flow = entry[one] >> shift
            if state[flow] == HOLDS:
                if 0 <= flow_rate[flow, RATE] < changes:
                    remains -= flow_rate[flow, RATE]
                    continue
                state[flow] = GROWS
                flows[listed] = flow
                listed += 1
                for hop in range(flow << shift, (flow << shift) + hops[flow]):
                    other = slot_link[hop]
                    if links[other, MET] != epoch and links[other, NUMBER] > 1:
                        links[other, MET] = epoch
                        involved[number] = other
                        number += 1
                        multi += 1
            growing += 1
        link_rate[link, REMAINS], links[link, GROWING] = max(remains, 0.0), growing
    return _heap_up(core, number), listed


@njit(cache=True, error_model="numpy")
def _gather_all(core: Core) -> tuple[int, int]:
    """Take all links that are shared, and all transfers that hold any."""
    links, state, flows = core.links, core.state, core.slots[FLOWS]
    number = listed = 0
    for link in range(len(links)):
        if links[link, NUMBER] > 1:
            core.lists[INVOLVED, number] = link
            number += 1
            core.link_rate[link, REMAINS], links[link, GROWING] = core.link_rate[link, CAPACITY], links[link, NUMBER]
    for flow in range(core.counts[TOP]):
        if state[flow] != IDLE:
            state[flow] = GROWS
            flows[listed] = flow
            listed += 1
    return _heap_up(core, number), listed


@njit(cache=True, error_model="numpy")
def _heap_up(core: Core, number: int) -> int:
    size = 0
    for place in range(number):
        link = core.lists[INVOLVED, place]
        growing = core.links[link, GROWING]
        if growing:
            _push(core.share, core.lists[SHARE_LINK], size, core.link_rate[link, REMAINS] / growing, link)
            size += 1
    return size


@njit(cache=True, error_model="numpy")
def _first_change(core: Core) -> float:
    """Return a level below which no rate can differ: what ended had more, and what begins gets its part at least."""
    least = core.clock[FREED]
    for place in range(core.counts[NEW]):
        slot = core.slots[NEW_LIST, place]
        for hop in range(slot << core.counts[SHIFT], (slot << core.counts[SHIFT]) + core.hops[slot]):
            link = core.link[hop]
            least = min(least, core.link_rate[link, CAPACITY] / core.links[link, NUMBER])
    return least * (1 - 1e-9)


@njit(cache=True, error_model="numpy")
def _bring_up(
    share: NDArray[np.float64],
    heap: NDArray[np.int32],
    size: int,
    links: NDArray[np.int64],
    link_rate: NDArray[np.float64],
) -> int:
    """Bring the least share to the top of the heap, whose keys are bounds from below; return the heap's size."""
    while size:
        link = heap[0]
        if links[link, GROWING] == 0:
            size -= 1
            _sink(share, heap, size, share[size], heap[size])
            continue
        exact = link_rate[link, REMAINS] / links[link, GROWING]
        if exact <= share[0]:
            share[0] = exact
            break
        _sink(share, heap, size, exact, link)
        if heap[0] == link:
            break
    return size


@njit(cache=True, error_model="numpy")
def _fill(
    share: NDArray[np.float64],
    heap: NDArray[np.int32],
    size: int,
    level: float,
    links: NDArray[np.int64],
    link_rate: NDArray[np.float64],
    full: NDArray[np.int32],
) -> tuple[int, int]:
    """Take the links that are full at a level from the heap into `full`; return the sizes of both."""
    number = 0
    while size and share[0] <= level:
        link = heap[0]
        growing = links[link, GROWING]
        if growing and link_rate[link, REMAINS] / growing > level:
            _sink(share, heap, size, link_rate[link, REMAINS] / growing, link)
            continue
        if growing:
            full[number] = link
            number += 1
        size -= 1
        _sink(share, heap, size, share[size], heap[size])
    return size, number


@njit(cache=True, error_model="numpy")
def _stop(
    slot_link: NDArray[np.int32],
    begin: int,
    hops: int,
    links: NDArray[np.int64],
    link_rate: NDArray[np.float64],
    rate: float,
) -> None:
    """Let a transfer grow no more: take what it gets from its links."""
    for hop in range(begin, begin + hops):
        link = slot_link[hop]
        link_rate[link, REMAINS] = max(link_rate[link, REMAINS] - rate, 0.0)
        links[link, GROWING] -= 1


@njit(cache=True, error_model="numpy")
def _apply(
    flow_rate: NDArray[np.float64], finish_s: NDArray[np.float64], flows: NDArray[np.int32], listed: int, now_s: float
) -> None:
    """Give transfers their new rates; one whose rate stays keeps its finish time, so that rounding cannot add up."""
    for place in range(listed):
        flow = flows[place]
        rate, left, since_s, new = flow_rate[flow]
        if new == rate:
            continue
        if rate > 0:
            left = max(left - rate * (now_s - since_s), 0.0)
            flow_rate[flow, LEFT] = left
        flow_rate[flow, SINCE] = now_s
        flow_rate[flow, RATE] = new
        finish_s[flow] = now_s + left / new if new > 0 else np.inf


# ---- slots


@njit(cache=True, error_model="numpy")
def _take_slot(core: Core, plan: int, number: int, transfer: int, route: NDArray[np.int64]) -> int:
    counts = core.counts
    counts[FREE] -= 1
    slot = core.slots[FREE_LIST, counts[FREE]]
    counts[TOP] = max(counts[TOP], slot + 1)
    core.what[slot, PLAN], core.what[slot, ROUND], core.what[slot, TRANSFER] = plan, number, transfer
    core.hops[slot] = len(route)
    most, begin = np.inf, slot << counts[SHIFT]
    for hop in range(len(route)):
        core.link[begin + hop] = route[hop]
        most = min(most, core.link_rate[route[hop], CAPACITY])
    core.most[slot] = most
    return slot


@njit(cache=True, error_model="numpy")
def _wait(core: Core, slot: int, begin_s: float, nbytes: float) -> None:
    core.flow[slot, RATE], core.flow[slot, LEFT] = FRESH, nbytes
    _push(core.begin_s, core.slots[BEGINS], core.counts[PENDING], begin_s, slot)
    core.counts[PENDING] += 1


@njit(cache=True, error_model="numpy")
def _touch(core: Core, link: int) -> None:
    if not core.links[link, IS_DIRTY]:
        core.links[link, IS_DIRTY] = 1
        core.lists[DIRTY_LIST, core.counts[DIRTY]] = link
        core.counts[DIRTY] += 1


@njit(cache=True, error_model="numpy")
def _begin(core: Core, slot: int) -> None:
    """Let a transfer hold its links."""
    counts, links = core.counts, core.links
    core.flow[slot, SINCE] = core.clock[NOW]
    core.state[slot] = HOLDS
    core.slots[NEW_LIST, counts[NEW]] = slot
    counts[NEW] += 1
    for hop in range(slot << counts[SHIFT], (slot << counts[SHIFT]) + core.hops[slot]):
        link = core.link[hop]
        core.entry[links[link, FROM] + links[link, NUMBER]] = hop
        core.position[hop] = links[link, NUMBER]
        links[link, NUMBER] += 1
        counts[MULTI] += links[link, NUMBER] == 2
        _touch(core, link)


@njit(cache=True, error_model="numpy")
def _end(core: Core, slot: int) -> None:
    """Take a transfer off its links and free its slot."""
    counts, links = core.counts, core.links
    core.clock[FREED] = min(core.clock[FREED], core.flow[slot, RATE])
    for hop in range(slot << counts[SHIFT], (slot << counts[SHIFT]) + core.hops[slot]):
        link = core.link[hop]
        links[link, NUMBER] -= 1
        counts[MULTI] -= links[link, NUMBER] == 1
        moved = core.entry[links[link, FROM] + links[link, NUMBER]]
        core.entry[links[link, FROM] + core.position[hop]] = moved
        core.position[moved] = core.position[hop]
        _touch(core, link)
    core.finish_s[slot], core.state[slot], core.hops[slot] = np.inf, IDLE, 0
    core.slots[FREE_LIST, counts[FREE]] = slot
    counts[FREE] += 1
    while counts[TOP] and core.hops[counts[TOP] - 1] == 0:
        counts[TOP] -= 1


# ---- the rule of time


@njit(cache=True, error_model="numpy")
def _start(core: Core, plan: int, number: int, transfer: int, begin_s: float, nbytes: float) -> None:
    """Queue a transfer of a plan until it begins."""
    ints = core.plan[plan, INTS]
    row = ints + core.ints[ints + number * 5 + ENDS] + 4 * transfer
    route = ints + core.ints[row + ROUTE]
    slot = _take_slot(core, plan, number, transfer, core.ints[route : route + core.ints[row + LENGTH]])
    _wait(core, slot, begin_s, nbytes)


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def run(core: Core, due_s: float, horizon_s: float) -> float:
    """Let all happen that is due, and what comes before the horizon, but stop where somebody has finished.

    Returns the second of the next event, or that of the last one where somebody has finished, or NO_ROOM.
    """
    while True:
        if core.counts[DIRTY]:
            solve(core)
        finish_s, top = core.finish_s, core.counts[TOP]
        next_s = core.begin_s[0] if core.counts[PENDING] else np.inf
        for slot in range(top):
            next_s = min(next_s, finish_s[slot])
        if next_s == np.inf or not (next_s <= due_s or next_s < horizon_s):
            return next_s
        core.clock[NOW] = max(core.clock[NOW], next_s)
        limit_s = core.clock[NOW] + SAME_INSTANT * core.clock[NOW]
        over, flows = 0, core.slots[FLOWS]
        for slot in range(top):
            if finish_s[slot] <= limit_s:
                flows[over] = slot
                over += 1
        if not _has_records(core, over):
            return NO_ROOM
        for place in range(over):
            slot = flows[place]
            plan, number, transfer = core.what[slot, PLAN], core.what[slot, ROUND], core.what[slot, TRANSFER]
            _end(core, slot)
            if plan == NONE:
                core.finish_of[transfer] = core.clock[NOW]
            else:
                _complete(core, plan, number, transfer)
        while core.counts[PENDING] and core.begin_s[0] <= limit_s:
            slot = core.slots[BEGINS, 0]
            core.counts[PENDING] -= 1
            last = core.counts[PENDING]
            _sink(core.begin_s, core.slots[BEGINS], last, core.begin_s[last], core.slots[BEGINS, last])
            _begin(core, slot)
        if core.counts[FINISHED]:
            return core.clock[NOW]


@njit(cache=True, error_model="numpy")
def _has_records(core: Core, count: int) -> bool:
    record = core.counts[EARLY]
    for _ in range(count):
        if record == NONE:
            return False
        record = core.early[record, AFTER]
    return True


@njit(cache=True, error_model="numpy")
def join(core: Core, plan: int, places: NDArray[np.int64], now_s: float) -> None:
    """Let participants of a plan begin."""
    core.clock[NOW] = max(core.clock[NOW], now_s)
    for place in places:
        _enter(core, plan, place)


@njit(cache=True, error_model="numpy")
def change(core: Core, links: NDArray[np.int64], capacity: NDArray[np.float64], now_s: float) -> None:
    """Give links [K] other capacities from now on; 0 stops what is on them."""
    core.clock[NOW] = max(core.clock[NOW], now_s)
    for place in range(len(links)):
        core.link_rate[links[place], CAPACITY] = capacity[place]
        _touch(core, links[place])
    core.clock[NARROWEST] = core.link_rate[:, CAPACITY].min()
    core.clock[FREED] = 0.0  # any rate that a chain of shared links joins to these may differ
    for slot in range(core.counts[TOP]):
        most, begin = np.inf, slot << core.counts[SHIFT]
        for hop in range(begin, begin + core.hops[slot]):
            most = min(most, core.link_rate[core.link[hop], CAPACITY])
        core.most[slot] = most


@njit(cache=True, error_model="numpy")
def abandon(core: Core, plan: int, nodes: int, now_s: float) -> None:
    """Take what a plan of so many nodes has under way off its links, and what it has in the heap and the records."""
    core.clock[NOW] = max(core.clock[NOW], now_s)
    pending = core.counts[PENDING]
    kept = core.slots[BEGINS, :pending].copy()
    begin_s = core.begin_s[:pending].copy()
    core.counts[PENDING] = 0
    for place in range(pending):
        if core.what[kept[place], PLAN] != plan:
            _push(core.begin_s, core.slots[BEGINS], core.counts[PENDING], begin_s[place], kept[place])
            core.counts[PENDING] += 1
    for slot in range(core.counts[TOP] - 1, -1, -1):
        if core.hops[slot] and core.what[slot, PLAN] == plan:
            if core.state[slot] == IDLE:
                core.hops[slot] = 0  # it has not begun, and so holds nothing
            _end(core, slot)
    core.clock[FREED] = 0.0
    for node in range(core.plan[plan, NODES], core.plan[plan, NODES] + nodes):
        while core.node[node, COME] != NONE:
            record = core.node[node, COME]
            core.node[node, COME] = core.early[record, AFTER]
            core.early[record, AFTER] = core.counts[EARLY]
            core.counts[EARLY] = record


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def resume(
    core: Core, plan: int, flying: NDArray[np.int64], begin_s: NDArray[np.float64], nbytes: NDArray[np.float64]
) -> None:
    """Queue transfers [K] (round, transfer) of a plan that are under way, with the bytes they have left."""
    for one in range(len(flying)):
        _start(core, plan, flying[one, 0], flying[one, 1], begin_s[one], nbytes[one])
