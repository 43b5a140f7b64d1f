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

PLAN, ROUND, TRANSFER, HOPS = range(4)
"""Columns of a slot: what is in it, and the links of its route (0 if it is free)."""
INTS, FLOATS, NODES, ROUNDS = range(4)
"""Columns of a plan: where its integers, floats and nodes begin, and its number of rounds."""
FIRST, RECEIVES, ENDS, SIZES, TIMES = range(5)
"""Columns of a round: where in its plan's integers and floats its parts begin; see `fluid.Table`."""
SRC, DST, ROUTE, LENGTH = range(4)
"""Columns of a transfer: places of its ends, and where in its plan's integers its links are."""
TOP, FREE, PENDING, DIRTY, NEW, EPOCH, SOLVES, FINISHED, EARLY, SHIFT, COUNTS = range(11)
"""Counts: slots in use lie below TOP; lengths of lists; EARLY is the first free record, SHIFT log2 of links a slot."""

NO_ROOM = -1.0
"""Returned instead of a time where the list of early arrivals has to grow first."""


class Core(NamedTuple):
    """The state. S slots, L links, N nodes of plans, E records of early arrivals.

    Attributes:
        clock: [now, the least rate that a completed transfer has left free].
        counts: see above.
        slot: [S, 4]; rate, left_bytes, since_s, finish_s, most: [S] what a transfer gets, had left at `since_s`, when
            it will be over, and the least capacity of its route.
        link, position: [S << SHIFT] the links of each slot, and where in each link's list it is.
        met, free: [S] the last solve that touched a slot; stack of free slots.
        begin_s, begins: heap of transfers that have not begun.
        capacity, first, number, entry: each link's capacity and its list `entry[first : first + number]`.
        share_left, growing, link_met, is_dirty: [L] of the solve under way.
        dirty, involved, full, share, share_link, new, flows: lists and the heap of a solve.
        plan: [plans, 4]; ints, floats: all plans' tables.
        at, unsent, missing, early: [N] round, sends and arrivals still to come in it, list of arrivals of later rounds.
        early_round, early_next: [E].
        finished: [N, 2] plan and place of those whose part is over.
        finish_of: when transfers without a plan were over.
    """

    clock: NDArray[np.float64]
    counts: NDArray[np.int64]
    slot: NDArray[np.int32]
    rate: NDArray[np.float64]
    left_bytes: NDArray[np.float64]
    since_s: NDArray[np.float64]
    finish_s: NDArray[np.float64]
    most: NDArray[np.float64]
    link: NDArray[np.int32]
    position: NDArray[np.int32]
    met: NDArray[np.int64]
    free: NDArray[np.int32]
    begin_s: NDArray[np.float64]
    begins: NDArray[np.int32]
    new: NDArray[np.int32]
    flows: NDArray[np.int32]
    capacity: NDArray[np.float64]
    first: NDArray[np.int64]
    number: NDArray[np.int32]
    entry: NDArray[np.int32]
    share_left: NDArray[np.float64]
    growing: NDArray[np.int32]
    link_met: NDArray[np.int64]
    is_dirty: NDArray[np.bool_]
    dirty: NDArray[np.int32]
    involved: NDArray[np.int32]
    full: NDArray[np.int32]
    share: NDArray[np.float64]
    share_link: NDArray[np.int32]
    plan: NDArray[np.int64]
    ints: NDArray[np.int64]
    floats: NDArray[np.float64]
    at: NDArray[np.int32]
    unsent: NDArray[np.int32]
    missing: NDArray[np.int32]
    early: NDArray[np.int32]
    early_round: NDArray[np.int32]
    early_next: NDArray[np.int32]
    finished: NDArray[np.int32]
    finish_of: NDArray[np.float64]


# ---- heaps of (key, item), least key first


@njit(cache=True)
def _push(keys: NDArray[np.float64], items: NDArray[np.int32], size: int, key: float, item: int) -> None:
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if keys[parent] <= key:
            break
        keys[place], items[place] = keys[parent], items[parent]
        place = parent
    keys[place], items[place] = key, item


@njit(cache=True)
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


@njit(cache=True)
def solve(core: Core) -> None:
    """Share the links anew among the transfers that what has begun and ended since can have touched.

    All rates grow together; where a link is full, its transfers stop and the others go on with what is left. Rates
    below the first level at which anything differs stay as they are, and so do those of transfers that no chain of
    shared links joins to a change. A link with a single transfer matters only as the most that transfer can get.
    """
    core.counts[EPOCH] += 1
    core.counts[SOLVES] += 1
    links, flows, least = _gather(core)
    size = 0
    for place in range(links):
        link = core.involved[place]
        if core.growing[link]:
            _push(core.share, core.share_link, size, core.share_left[link] / core.growing[link], link)
            size += 1
    remaining = flows
    while remaining:
        share = np.inf
        while size:  # the shares in the heap are lower bounds: they have grown since
            link, bound = core.share_link[0], core.share[0]
            if core.growing[link] == 0:
                size -= 1
                _sink(core.share, core.share_link, size, core.share[size], core.share_link[size])
                continue
            share = core.share_left[link] / core.growing[link]
            if share <= bound * (1 + TIE):
                break
            _sink(core.share, core.share_link, size, share, link)
        if size == 0:
            share = np.inf
        if least <= share:
            kept, least = 0, np.inf
            for place in range(flows):
                flow = core.flows[place]
                if core.met[flow] != core.counts[EPOCH]:
                    continue
                if core.most[flow] <= share:
                    _stop(core, flow, core.most[flow])
                    remaining -= 1
                else:
                    core.flows[kept] = flow
                    kept += 1
                    least = min(least, core.most[flow])
            flows = kept
            continue
        size, full = _saturated(core, size, share)
        last = full == 1 and core.growing[core.full[0]] == remaining
        for place in range(full):
            link = core.full[place]
            for entry in range(core.first[link], core.first[link] + core.number[link]):
                flow = core.entry[entry] >> core.counts[SHIFT]
                if core.met[flow] == core.counts[EPOCH]:
                    if last:
                        _set_rate(core, flow, share)
                    else:
                        _stop(core, flow, share)
                    remaining -= 1
        if last:
            break
    for place in range(core.counts[DIRTY]):
        core.is_dirty[core.dirty[place]] = False
    core.counts[DIRTY] = core.counts[NEW] = 0
    core.clock[1] = np.inf


@njit(cache=True)
def _gather(core: Core) -> tuple[int, int, float]:
    """Find the links and transfers to solve for; return how many, and the least that a transfer's route allows."""
    epoch, shift = core.counts[EPOCH], core.counts[SHIFT]
    changes = core.clock[1]
    for place in range(core.counts[NEW]):
        begin = core.new[place] << shift
        for hop in range(begin, begin + core.slot[core.new[place], HOPS]):
            changes = min(changes, core.capacity[core.link[hop]] / core.number[core.link[hop]])
    changes *= 1 - 1e-9
    links = 0
    for place in range(core.counts[DIRTY]):
        core.involved[links] = core.dirty[place]
        core.link_met[core.dirty[place]] = epoch
        links += 1
    flows, least, place = 0, np.inf, 0
    while place < links:
        link = core.involved[place]
        place += 1
        left, growing = core.capacity[link], 0
        for entry in range(core.first[link], core.first[link] + core.number[link]):
            flow = core.entry[entry] >> shift
            if core.met[flow] != epoch:
                if 0 <= core.rate[flow] < changes:
                    left -= core.rate[flow]
                    continue
                core.met[flow] = epoch
                core.flows[flows] = flow
                flows += 1
                least = min(least, core.most[flow])
                begin = flow << shift
                for hop in range(begin, begin + core.slot[flow, HOPS]):
                    other = core.link[hop]
                    if core.link_met[other] != epoch and core.number[other] > 1:
                        core.link_met[other] = epoch
                        core.involved[links] = other
                        links += 1
            growing += 1
        core.share_left[link], core.growing[link] = max(left, 0.0), growing
    return links, flows, least


@njit(cache=True)
def _saturated(core: Core, size: int, share: float) -> tuple[int, int]:
    """Take the links that are full at `share` from the heap into `full`; return the sizes of both."""
    full = 0
    while size and core.share[0] <= share * (1 + TIE):
        link = core.share_link[0]
        exact = core.share_left[link] / core.growing[link] if core.growing[link] else np.inf
        if exact <= share * (1 + TIE):
            core.full[full] = link
            full += 1
        elif core.growing[link]:
            _sink(core.share, core.share_link, size, exact, link)
            continue
        size -= 1
        _sink(core.share, core.share_link, size, core.share[size], core.share_link[size])
    return size, full


@njit(cache=True)
def _stop(core: Core, flow: int, rate: float) -> None:
    """Let a transfer grow no more, and take what it gets from its links."""
    core.met[flow] = 0
    begin = flow << core.counts[SHIFT]
    for hop in range(begin, begin + core.slot[flow, HOPS]):
        core.share_left[core.link[hop]] = max(core.share_left[core.link[hop]] - rate, 0.0)
        core.growing[core.link[hop]] -= 1
    _set_rate(core, flow, rate)


@njit(cache=True)
def _set_rate(core: Core, flow: int, rate: float) -> None:
    """Give a transfer a rate; one whose rate stays keeps its finish time, so that rounding cannot add up."""
    if rate == core.rate[flow]:
        return
    now_s = core.clock[0]
    if core.rate[flow] > 0:
        core.left_bytes[flow] = max(core.left_bytes[flow] - core.rate[flow] * (now_s - core.since_s[flow]), 0.0)
    core.since_s[flow] = now_s
    core.rate[flow] = rate
    core.finish_s[flow] = now_s + core.left_bytes[flow] / rate if core.left_bytes[flow] > 0 else now_s


# ---- slots


@njit(cache=True)
def _take_slot(core: Core, plan: int, number: int, transfer: int, route: NDArray[np.int64]) -> int:
    core.counts[FREE] -= 1
    slot = core.free[core.counts[FREE]]
    core.counts[TOP] = max(core.counts[TOP], slot + 1)
    core.slot[slot, PLAN], core.slot[slot, ROUND], core.slot[slot, TRANSFER] = plan, number, transfer
    core.slot[slot, HOPS] = len(route)
    most, begin = np.inf, slot << core.counts[SHIFT]
    for hop in range(len(route)):
        core.link[begin + hop] = route[hop]
        most = min(most, core.capacity[route[hop]])
    core.most[slot], core.rate[slot] = most, FRESH
    return slot


@njit(cache=True)
def _wait(core: Core, slot: int, begin_s: float, nbytes: float) -> None:
    core.left_bytes[slot] = nbytes
    _push(core.begin_s, core.begins, core.counts[PENDING], begin_s, slot)
    core.counts[PENDING] += 1


@njit(cache=True)
def _touch(core: Core, link: int) -> None:
    if not core.is_dirty[link]:
        core.is_dirty[link] = True
        core.dirty[core.counts[DIRTY]] = link
        core.counts[DIRTY] += 1


@njit(cache=True)
def _begin(core: Core, slot: int) -> None:
    """Let a transfer hold its links."""
    core.since_s[slot] = core.clock[0]
    core.new[core.counts[NEW]] = slot
    core.counts[NEW] += 1
    begin = slot << core.counts[SHIFT]
    for hop in range(begin, begin + core.slot[slot, HOPS]):
        link = core.link[hop]
        core.entry[core.first[link] + core.number[link]] = hop
        core.position[hop] = core.number[link]
        core.number[link] += 1
        _touch(core, link)


@njit(cache=True)
def _end(core: Core, slot: int) -> None:
    """Take a transfer off its links and free its slot."""
    core.clock[1] = min(core.clock[1], core.rate[slot])
    begin = slot << core.counts[SHIFT]
    for hop in range(begin, begin + core.slot[slot, HOPS]):
        link = core.link[hop]
        core.number[link] -= 1
        moved = core.entry[core.first[link] + core.number[link]]
        core.entry[core.first[link] + core.position[hop]] = moved
        core.position[moved] = core.position[hop]
        _touch(core, link)
    core.finish_s[slot] = np.inf
    core.slot[slot, HOPS] = 0
    core.free[core.counts[FREE]] = slot
    core.counts[FREE] += 1
    while core.counts[TOP] and core.slot[core.counts[TOP] - 1, HOPS] == 0:
        core.counts[TOP] -= 1


# ---- the rule of time


@njit(cache=True)
def _start(core: Core, plan: int, number: int, transfer: int, begin_s: float, nbytes: float) -> None:
    """Queue a transfer of a plan until it begins."""
    ints = core.plan[plan, INTS]
    row = ints + core.ints[ints + number * 5 + ENDS] + 4 * transfer
    route = ints + core.ints[row + ROUTE]
    slot = _take_slot(core, plan, number, transfer, core.ints[route : route + core.ints[row + LENGTH]])
    _wait(core, slot, begin_s, nbytes)


@njit(cache=True)
def _enter(core: Core, plan: int, place: int) -> None:
    """Move a node on to its next round, and further where it has nothing to do in it."""
    ints, floats, node = core.plan[plan, INTS], core.plan[plan, FLOATS], core.plan[plan, NODES] + place
    while True:
        number = core.at[node] + 1
        core.at[node] = number
        if number == core.plan[plan, ROUNDS]:
            core.finished[core.counts[FINISHED], 0] = plan
            core.finished[core.counts[FINISHED], 1] = place
            core.counts[FINISHED] += 1
            return
        row = ints + 5 * number
        begin, end = core.ints[ints + core.ints[row + FIRST] + place], core.ints[ints + core.ints[row + FIRST] + place + 1]
        core.unsent[node] = end - begin
        core.missing[node] = core.ints[ints + core.ints[row + RECEIVES] + place] - _take_early(core, node, number)
        for one in range(begin, end):
            wait_s = core.floats[floats + core.ints[row + TIMES] + one]
            nbytes = core.floats[floats + core.ints[row + SIZES] + one]
            _start(core, plan, number, one, core.clock[0] + wait_s, nbytes)
        if core.unsent[node] or core.missing[node]:
            return


@njit(cache=True)
def _take_early(core: Core, node: int, number: int) -> int:
    """Return how many transfers of a round have come before the node entered it."""
    taken, before, record = 0, NONE, core.early[node]
    while record != NONE:
        after = core.early_next[record]
        if core.early_round[record] == number:
            if before == NONE:
                core.early[node] = after
            else:
                core.early_next[before] = after
            core.early_next[record] = core.counts[EARLY]
            core.counts[EARLY] = record
            taken += 1
        else:
            before = record
        record = after
    return taken


@njit(cache=True)
def _arrive(core: Core, node: int, number: int) -> None:
    """Count an arrival, for later where the node is not in that round yet."""
    if core.at[node] == number:
        core.missing[node] -= 1
    elif core.at[node] < number:
        record = core.counts[EARLY]
        core.counts[EARLY] = core.early_next[record]
        core.early_round[record] = number
        core.early_next[record] = core.early[node]
        core.early[node] = record


@njit(cache=True)
def _complete(core: Core, plan: int, number: int, transfer: int) -> None:
    """Count a transfer at both its ends; they go on where that was all they waited for."""
    ints, nodes = core.plan[plan, INTS], core.plan[plan, NODES]
    row = ints + core.ints[ints + number * 5 + ENDS] + 4 * transfer
    src, dst = core.ints[row + SRC], core.ints[row + DST]
    core.unsent[nodes + src] -= 1
    _arrive(core, nodes + dst, number)
    for place in (src, dst):
        node = nodes + place
        if core.at[node] == number and core.unsent[node] == 0 and core.missing[node] == 0:
            _enter(core, plan, place)


# ---- what is called from outside


@njit(cache=True)
def run(core: Core, due_s: float, horizon_s: float) -> float:
    """Let all happen that is due, and what comes before the horizon, but stop where somebody has finished.

    Returns the second of the next event, or that of the last one where somebody has finished, or NO_ROOM.
    """
    while True:
        if core.counts[DIRTY]:
            solve(core)
        next_s = core.begin_s[0] if core.counts[PENDING] else np.inf
        for slot in range(core.counts[TOP]):
            next_s = min(next_s, core.finish_s[slot])
        if next_s == np.inf or not (next_s <= due_s or next_s < horizon_s):
            return next_s
        core.clock[0] = max(core.clock[0], next_s)
        limit_s = core.clock[0] + SAME_INSTANT * core.clock[0]
        over = 0
        for slot in range(core.counts[TOP]):
            if core.finish_s[slot] <= limit_s:
                core.flows[over] = slot
                over += 1
        if not _has_records(core, over):
            return NO_ROOM
        for place in range(over):
            slot = core.flows[place]
            plan, number, transfer = core.slot[slot, PLAN], core.slot[slot, ROUND], core.slot[slot, TRANSFER]
            _end(core, slot)
            if plan == NONE:
                core.finish_of[transfer] = core.clock[0]
            else:
                _complete(core, plan, number, transfer)
        while core.counts[PENDING] and core.begin_s[0] <= limit_s:
            slot = core.begins[0]
            core.counts[PENDING] -= 1
            last = core.counts[PENDING]
            _sink(core.begin_s, core.begins, last, core.begin_s[last], core.begins[last])
            _begin(core, slot)
        if core.counts[FINISHED]:
            return core.clock[0]


@njit(cache=True)
def _has_records(core: Core, count: int) -> bool:
    record = core.counts[EARLY]
    for _ in range(count):
        if record == NONE:
            return False
        record = core.early_next[record]
    return True


@njit(cache=True)
def join(core: Core, plan: int, places: NDArray[np.int64], now_s: float) -> None:
    """Let participants of a plan begin."""
    core.clock[0] = max(core.clock[0], now_s)
    for place in places:
        _enter(core, plan, place)


@njit(cache=True)
def queue(core: Core, begin_s: NDArray[np.float64], nbytes: NDArray[np.float64], start: NDArray[np.int64], links: NDArray[np.int64]) -> None:
    """Queue transfers [F] that belong to no plan, over CSR routes."""
    for one in range(len(begin_s)):
        slot = _take_slot(core, NONE, 0, one, links[start[one] : start[one + 1]])
        _wait(core, slot, begin_s[one], nbytes[one])


@njit(cache=True)
def restore(core: Core, plan: int, at: NDArray[np.int64], done: NDArray[np.int64]) -> None:
    """Put a plan's counts to where others left it: rounds [P] of its nodes, and what is done, [K] (round, transfer)."""
    ints, nodes = core.plan[plan, INTS], core.plan[plan, NODES]
    for place in range(len(at)):
        core.at[nodes + place] = at[place]
        if 0 <= at[place] < core.plan[plan, ROUNDS]:
            row = ints + 5 * at[place]
            first = ints + core.ints[row + FIRST] + place
            core.unsent[nodes + place] = core.ints[first + 1] - core.ints[first]
            core.missing[nodes + place] = core.ints[ints + core.ints[row + RECEIVES] + place]
    for one in range(len(done)):
        number, transfer = done[one]
        row = ints + core.ints[ints + number * 5 + ENDS] + 4 * transfer
        src, dst = core.ints[row + SRC], core.ints[row + DST]
        if at[src] == number:
            core.unsent[nodes + src] -= 1
        _arrive(core, nodes + dst, number)


@njit(cache=True)
def resume(core: Core, plan: int, flying: NDArray[np.int64], begin_s: NDArray[np.float64], nbytes: NDArray[np.float64]) -> None:
    """Queue transfers [K] (round, transfer) of a plan that are under way, with the bytes they have left."""
    for one in range(len(flying)):
        _start(core, plan, flying[one, 0], flying[one, 1], begin_s[one], nbytes[one])
