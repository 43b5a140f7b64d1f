"""The analytic fidelity: latency plus the link-load bound, in closed form for every round. Plans never meet each other.

For each round, the transfers that begin or end at one node and cross one link cannot be over before the first of them
has begun and all their bytes have passed the link. Every such group bounds the node's part of the round from below, as
does each transfer alone at the full rate of its route. A link that several nodes share bounds the plan as a whole: it
has to carry all bytes of all rounds, from the first one on. A plan ends for all its nodes at once, at the last of these
bounds, so a plan is never predicted to end later than the flow fidelity ends it, and symmetric plans end when it does
(but for the latencies after the first of rounds that fill a shared link).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from netsim.network.base import Execution, Fidelity, Network, fidelities
from netsim.network.links import Links
from netsim.network.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import simpy
    from numpy.typing import NDArray

    from netsim.network.base import Done, Round, Transfers
    from netsim.network.transport import Transport
    from netsim.topology.graph import Topology

PlanTime: TypeAlias = "Callable[[Sequence[Round], Links, NDArray[np.float64]], float]"
"""(rounds, links, [nodes] when each joins): moves the times on, in place, to when each node is through at the earliest.

Returns a bound on the end of the whole plan, 0 where there is none but the nodes' own.
"""


class _Groups(NamedTuple):
    """A round's transfers by the node at one of their ends and the link they cross.

    Entries [E] are the transfers on each link of their routes; group [E] is the place of each entry's group [G].
    """

    flow: NDArray[np.int64]
    group: NDArray[np.int64]
    node: NDArray[np.int64]
    capacity: NDArray[np.float64]


def link_load(rounds: Sequence[Round], links: Links, time_s: NDArray[np.float64]) -> float:
    """Move every node's time on to the bound on the end of its part; return the bound that the links give."""
    first_s, load_bytes = np.full(len(links.capacity), np.inf), np.zeros(len(links.capacity))
    known: dict[tuple[int, int], tuple[_Groups, _Groups]] = {}
    for one in rounds:
        pair = (id(one.src), id(one.dst))
        if pair not in known:
            known[pair] = _grouped(one.src, one, links), _grouped(one.dst, one, links)
        begin_s = _move_on(one, links, known[pair], time_s)
        routed, flow = links.route(one), known[pair][0].flow
        np.minimum.at(first_s, routed.links, begin_s[flow])
        load_bytes += np.bincount(routed.links, one.nbytes[flow], len(load_bytes))
    used = load_bytes > 0
    return float((first_s[used] + load_bytes[used] / links.capacity[used]).max(initial=0.0))


def _move_on(
    one: Round, links: Links, both_ends: tuple[_Groups, _Groups], time_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Move every node's time on over one round, in place; return [F] when its transfers begin at the earliest."""
    routed = links.route(one)
    begin_s = np.asarray(time_s[one.src] + one.hold_s + routed.delay_s)
    alone_s = begin_s + one.nbytes / routed.rate
    for node in (one.src, one.dst):
        np.maximum.at(time_s, node, alone_s)
    for flow, group, node, capacity in both_ends:
        first_s = np.full(len(node), np.inf)
        np.minimum.at(first_s, group, begin_s[flow])
        load_bytes = np.bincount(group, one.nbytes[flow], len(node))
        np.maximum.at(time_s, node, first_s + load_bytes / capacity)
    return begin_s


def _grouped(node: NDArray[np.int64], one: Round, links: Links) -> _Groups:
    routed = links.route(one)
    flow = np.repeat(np.arange(len(node)), np.diff(routed.start))
    size = len(links.capacity)
    key, group = np.unique(node[flow] * size + routed.links, return_inverse=True)
    return _Groups(flow, group, key // size, links.capacity[key % size])


class _Plan(Execution):
    def __init__(self, network: Bound, rounds: Sequence[Round], nodes: NDArray[np.int64], done: Done) -> None:
        self.network, self.rounds, self.nodes, self.done = network, rounds, nodes, done
        self.joined_s = np.full(int(nodes.max()) + 1, np.nan)
        self.end_s = np.inf

    def join(self, nodes: NDArray[np.int64]) -> None:
        """Let `nodes` begin; the plan's end is known once all have."""
        self.joined_s[nodes] = self.network.env.now
        if not np.isnan(self.joined_s[self.nodes]).any():
            self.end_s = self.network.end_s(self)
            self.network.timer.set(min(plan.end_s for plan in self.network.plans))

    def abandon(self) -> None:
        """End the plan here."""
        if self in self.network.plans:
            self.network.plans.remove(self)


class Bound(Network):
    """A network in which the time of a plan is a function of that plan alone."""

    def __init__(self, env: simpy.Environment, links: Links, plan_time: PlanTime) -> None:
        self.env = env
        self.links = links
        self.plans: list[_Plan] = []
        self.timer = Timer(env, self._settle)
        self._plan_time = plan_time

    def begin(
        self, rounds: Sequence[Round], nodes: NDArray[np.int64], done: Done, *, collective: bool = True
    ) -> Execution:
        """Return the execution of a plan; see Network.begin."""
        self.links.account(rounds)
        plan = _Plan(self, rounds, nodes, done)
        self.plans.append(plan)
        return plan

    def end_s(self, plan: _Plan) -> float:
        """Return when a plan that everybody has joined is over."""
        time_s = plan.joined_s.copy()
        least_s = self._plan_time(plan.rounds, self.links, time_s)
        return max(least_s, float(time_s[plan.nodes].max()))

    def _settle(self) -> None:
        over = [plan for plan in self.plans if plan.end_s <= self.env.now * (1 + 1e-12)]
        self.plans = [plan for plan in self.plans if plan not in over]
        for plan in over:
            plan.done(plan.nodes)
        self.timer.set(min((plan.end_s for plan in self.plans), default=np.inf))


@fidelities.register("analytic")
@dataclass(frozen=True, kw_only=True)
class Analytic(Fidelity):
    """Latency plus the link-load bound (bytes on a link / its capacity), closed form: huge sweeps and bounds."""

    def build(self, env: simpy.Environment, topology: Topology, transport: Transport) -> Network:
        """Return an analytic network in `env`."""
        return Bound(env, Links(topology, transport), link_load)

    def transfer_times(self, topology: Topology, transport: Transport, transfers: Transfers) -> NDArray[np.float64]:
        """Return the [F] seconds at which each transfer would finish alone on its route."""
        links = Links(topology, transport)
        src, dst, nbytes, start_s = transfers
        routed = links.routed(src, dst)
        return np.asarray(start_s + routed.delay_s + links.slow_start_s(src, dst, nbytes) + nbytes / routed.rate)
