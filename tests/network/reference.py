"""Plain references to hold netsim against: textbook progressive filling and the one rule of time, in pure Python.

Nothing here uses netsim: links are indices, capacities and latencies are lists, routes are lists of links.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count

SAME = 1e-13


def max_min(capacity, routes):
    """Return the rate of every route: raise all rates together, freeze those that cross the link that fills first."""
    rate, left, free = {}, dict(enumerate(capacity)), set(range(len(routes)))
    while free:
        on = {}
        for flow in free:
            for link in routes[flow]:
                on.setdefault(link, []).append(flow)
        full = min(on, key=lambda link: left[link] / len(on[link]))
        share = left[full] / len(on[full])
        for flow in on[full]:
            rate[flow] = share
            free.discard(flow)
            for link in routes[flow]:
                left[link] -= share
    return [rate[flow] for flow in range(len(routes))]


def fluid(capacity, arrivals, completed):
    """Run transfers (begin_s, key, route, nbytes); `completed(key, now_s)` may return more of them."""
    order = count()
    heap = [(begin_s, next(order), key, route, nbytes) for begin_s, key, route, nbytes in arrivals]
    heapq.heapify(heap)
    active, now_s = [], 0.0  # rows [key, route, bytes left]
    while heap or active:
        rates = max_min(capacity, [route for _, route, _ in active])
        ends = [left / rate for (_, _, left), rate in zip(active, rates, strict=True)]
        step_s = min([*ends, max(heap[0][0] - now_s, 0.0) if heap else float("inf")])
        now_s += step_s
        over = [end <= step_s + SAME * now_s for end in ends]
        for row, rate in zip(active, rates, strict=True):
            row[2] = max(row[2] - rate * step_s, 0.0)
        gone = [row[0] for row, end in zip(active, over, strict=True) if end]
        active = [row for row, end in zip(active, over, strict=True) if not end]
        for key in gone:
            for begin_s, new, route, nbytes in completed(key, now_s):
                heapq.heappush(heap, (begin_s, next(order), new, route, nbytes))
        while heap and heap[0][0] <= now_s * (1 + SAME):
            _, _, key, route, nbytes = heapq.heappop(heap)
            active.append([key, route, nbytes])


def transfer_times(capacity, latency, routes, nbytes, start_s):
    """Return when independent transfers finish: the route's latency holding nothing, then the max-min fair rate."""
    finish_s = [0.0] * len(routes)

    def completed(key, now_s):
        finish_s[key] = now_s
        return ()

    arrivals = [
        (start + sum(latency[link] for link in route), number, route, size)
        for number, (start, route, size) in enumerate(zip(start_s, routes, nbytes, strict=True))
    ]
    fluid(capacity, arrivals, completed)
    return finish_s


@dataclass
class Plan:
    """Rounds of (src, dst, nbytes, hold_s) tuples, and when every node joins; `finish_s` is filled in by a run."""

    rounds: list
    joined_s: dict
    finish_s: dict = field(default_factory=dict)

    def __post_init__(self):
        self.at = dict.fromkeys(self.joined_s, -1)
        self.unsent = [self._count(one, 0) for one in self.rounds]
        self.expected = [self._count(one, 1) for one in self.rounds]

    def _count(self, one, end):
        total = dict.fromkeys(self.joined_s, 0)
        for transfer in one:
            total[transfer[end]] += 1
        return total

    def enter(self, node, now_s):
        """Move a node on as far as the rule of time lets it; yield (place in the round, round) of what it starts."""
        while True:
            here = self.at[node]
            if here >= 0 and (self.unsent[here][node] or self.expected[here][node]):
                return
            self.at[node] += 1
            if self.at[node] == len(self.rounds):
                self.finish_s[node] = now_s
                return
            for place, (src, *_) in enumerate(self.rounds[self.at[node]]):
                if src == node:
                    yield self.at[node], place


def run_plans(capacity, latency, route_of, plans):
    """Execute plans that share the links; `route_of(src, dst)` gives links. Fills in every plan's `finish_s`."""

    def started(number, node, now_s):
        plan = plans[number]
        for one, place in plan.enter(node, now_s):
            src, dst, nbytes, hold_s = plan.rounds[one][place]
            route = route_of(src, dst)
            begin_s = now_s + hold_s + sum(latency[link] for link in route)
            yield begin_s, (number, one, place), route, nbytes

    def completed(key, now_s):
        number, one, place = key
        if one == "join":
            return list(started(number, place, now_s))
        plan = plans[number]
        src, dst, *_ = plan.rounds[one][place]
        plan.unsent[one][src] -= 1
        plan.expected[one][dst] -= 1
        new = []
        for node in (src, dst):
            if plan.at[node] == one:
                new += started(number, node, now_s)
        return new

    joins = [
        (joined_s, (number, "join", node), (len(capacity),), 0.0)
        for number, plan in enumerate(plans)
        for node, joined_s in plan.joined_s.items()
    ]
    fluid([*capacity, 1.0], joins, completed)
    return plans
