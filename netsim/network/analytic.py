"""The analytic fidelity: latency plus the link-load bound, in closed form for every round. Plans never meet each other.

For each round, the transfers that begin or end at one node and cross one link cannot be over before the first of them
has begun and all their bytes have passed the link. Every such group bounds the node's part of the round from below, as
does each transfer alone at the full rate of its route. A link that several nodes share bounds the plan as a whole: it
has to carry all bytes of all rounds, from the first one on. A plan ends for all its nodes at once, at the last of these
bounds, so a plan is never predicted to end later than the flow fidelity ends it, and symmetric plans end when it does
(but for the latencies after the first of rounds that fill a shared link).

Where links change, bytes have passed a link when the integral of its capacity has reached them, and a transfer begins
at the earliest that any entry into its round from then on allows: a latency that falls lets later ones pass. What a
bound says up to an instant hangs on what links were like until then alone, so it is found anew at every change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from netsim.network.base import Execution, Fidelity, Network, fidelities, repeats
from netsim.network.links import Links
from netsim.network.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import simpy
    from numpy.typing import NDArray

    from netsim.network.base import Done, LinkState, Round, Transfers
    from netsim.network.links import Routed
    from netsim.network.transport import Transport
    from netsim.topology.graph import Topology

_SAME_INSTANT = 1e-12
"""Relative: what is over by so little later is over."""


class Spell(NamedTuple):
    """What links are like from a second on, until the next spell: bytes/s [L], and the routes of rounds."""

    since_s: float
    capacity: NDArray[np.float64]
    route: Callable[[Round], Routed]


PlanTime: TypeAlias = "Callable[[Sequence[Round], Sequence[Spell], NDArray[np.float64]], float]"
"""(rounds, spells, [nodes] when each joins): moves the times on, in place, to when nodes are through at the earliest.

Returns a bound on the end of the whole plan, 0 where there is none but the nodes' own.
"""


class _Groups(NamedTuple):
    """A round's transfers by the node at one of their ends and the link they cross.

    Entries [E] are the transfers on each link of their routes; group [E] is the place of each entry's group [G].
    """

    flow: NDArray[np.int64]
    group: NDArray[np.int64]
    node: NDArray[np.int64]
    link: NDArray[np.int64]


def passed_s(
    begin_s: NDArray[np.float64],
    nbytes: NDArray[Any],
    rates: Sequence[NDArray[np.float64]],
    spells: Sequence[Spell],
) -> NDArray[np.float64]:
    """Return [N] when bytes have passed at rates [spells][N], the first of them at `begin_s`; infinity for never."""
    at_s, left = begin_s, nbytes
    with np.errstate(divide="ignore", invalid="ignore"):
        for rate, (until_s, *_) in zip(rates, spells[1:], strict=False):
            end_s = at_s + np.where(left > 0, left / rate, 0.0)
            stays, passes_s = end_s > until_s, np.maximum(until_s - at_s, 0.0)
            left = np.where(stays, np.where(passes_s > 0, left - rate * passes_s, left), 0.0)
            at_s = np.where(stays, np.maximum(at_s, until_s), end_s)
        return np.asarray(at_s + np.where(left > 0, left / rates[-1], 0.0))


def _begin_s(one: Round, time_s: NDArray[np.float64], spells: Sequence[Spell]) -> NDArray[np.float64]:
    """Return [F] when a round's transfers begin at the earliest, if their sources enter it at `time_s` or later."""
    begin_s = np.full(len(one.src), np.inf)
    untils_s = [*(spell.since_s for spell in spells[1:]), np.inf]
    for spell, until_s in zip(spells, untils_s, strict=True):
        enter_s = time_s[one.src] if spell is spells[0] else np.maximum(time_s[one.src], spell.since_s)
        delayed_s = enter_s + one.hold_s + spell.route(one).delay_s
        begin_s = np.where(enter_s <= until_s, np.minimum(begin_s, delayed_s), begin_s)
    return begin_s


def link_load(rounds: Sequence[Round], spells: Sequence[Spell], time_s: NDArray[np.float64]) -> float:
    """Move every node's time on to the bound on the end of its part; return the bound that the links give."""
    size, route = len(spells[0].capacity), spells[0].route
    first_s, load_bytes = np.full(size, np.inf), np.zeros(size)
    known: dict[tuple[int, int], tuple[_Groups, _Groups]] = {}
    for one in rounds:
        pair = (id(one.src), id(one.dst))
        if pair not in known:
            known[pair] = _grouped(one.src, route(one), size), _grouped(one.dst, route(one), size)
        begin_s = _move_on(one, spells, known[pair], time_s)
        routed, flow = route(one), known[pair][0].flow
        np.minimum.at(first_s, routed.links, begin_s[flow])
        load_bytes += np.bincount(routed.links, one.nbytes[flow], len(load_bytes))
    used = load_bytes > 0
    rates = [spell.capacity[:size][used] for spell in spells]
    return float(passed_s(first_s[used], load_bytes[used], rates, spells).max(initial=0.0))


def _move_on(
    one: Round, spells: Sequence[Spell], both_ends: tuple[_Groups, _Groups], time_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Move every node's time on over one round, in place; return [F] when its transfers begin at the earliest."""
    begin_s = _begin_s(one, time_s, spells)
    alone_s = passed_s(begin_s, one.nbytes, [spell.route(one).rate for spell in spells], spells)
    for node in (one.src, one.dst):
        np.maximum.at(time_s, node, alone_s)
    for flow, group, node, link in both_ends:
        first_s = np.full(len(node), np.inf)
        np.minimum.at(first_s, group, begin_s[flow])
        load_bytes = np.bincount(group, one.nbytes[flow], len(node))
        np.maximum.at(time_s, node, passed_s(first_s, load_bytes, [spell.capacity[link] for spell in spells], spells))
    return begin_s


def _grouped(node: NDArray[np.int64], routed: Routed, size: int) -> _Groups:
    flow = np.repeat(np.arange(len(node)), np.diff(routed.start))
    key, group = np.unique(node[flow] * size + routed.links, return_inverse=True)
    return _Groups(flow, group, key // size, key % size)


class _Plan(Execution):
    def __init__(self, network: Bound, rounds: Sequence[Round], nodes: NDArray[np.int64], done: Done) -> None:
        self.network, self.rounds, self.nodes, self.done = network, rounds, nodes, done
        self.joined_s = np.full(int(nodes.max()) + 1, np.nan)
        self.end_s = np.inf
        self.past: list[Spell] = []
        self.since_s = float(network.env.now)

    def join(self, nodes: NDArray[np.int64]) -> None:
        """Let `nodes` begin; the plan's end is known once all have."""
        self.joined_s[nodes] = self.network.env.now
        if self.find_end():
            self.network.timer.set(min(plan.end_s for plan in self.network.plans))

    def find_end(self) -> bool:
        """Find out when the plan ends, as links are now; return False where not all have joined it."""
        if np.isnan(self.joined_s[self.nodes]).any():
            return False
        links, time_s = self.network.links, self.joined_s.copy()
        spells = [*self.past, Spell(self.since_s, links.capacity, links.route)]
        least_s = self.network.plan_time(self.rounds, spells, time_s)
        self.end_s = max(least_s, float(time_s[self.nodes].max()))
        return True

    def keep(self) -> None:
        """Remember what links were like until now: they are about to change."""
        links, now_s = self.network.links, float(self.network.env.now)
        if now_s > self.since_s:
            routes = {id(one): links.route(one) for one, _ in repeats(self.rounds)}
            self.past.append(Spell(self.since_s, links.capacity.copy(), lambda one: routes[id(one)]))
            self.since_s = now_s

    def uses(self, links: NDArray[np.int64]) -> bool:
        """Say whether any of its transfers crosses one of these links."""
        route = self.network.links.route
        return any(bool(np.isin(route(one).links, links).any()) for one, _ in repeats(self.rounds))

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
        self.plan_time = plan_time

    def begin(
        self, rounds: Sequence[Round], nodes: NDArray[np.int64], done: Done, *, collective: bool = True
    ) -> Execution:
        """Return the execution of a plan; see Network.begin."""
        self.links.account(rounds)
        plan = _Plan(self, rounds, nodes, done)
        self.plans.append(plan)
        return plan

    def expect_changes(self) -> None:
        """Get ready for links that change."""
        self.links.expect_changes()

    def change(self, links: NDArray[np.int64], state: LinkState) -> None:
        """Change links from now on; see Network.change. What is over at this instant stays so."""
        now_s, moved = float(self.env.now), self.links.moved_by(links, state)
        touched = [plan for plan in self.plans if plan.end_s > now_s * (1 + _SAME_INSTANT) and plan.uses(moved)]
        for plan in touched:
            plan.keep()
        self.links.change(links, state, now_s)
        for plan in touched:
            plan.find_end()
        self.timer.set(min((plan.end_s for plan in self.plans), default=np.inf))

    def _settle(self) -> None:
        over = [plan for plan in self.plans if plan.end_s <= self.env.now * (1 + _SAME_INSTANT)]
        self.plans = [plan for plan in self.plans if plan not in over]
        for plan in over:
            plan.done(plan.nodes)
        self.timer.set(min((plan.end_s for plan in self.plans), default=np.inf))


@fidelities.register("analytic")
@dataclass(frozen=True, kw_only=True)
class Analytic(Fidelity):
    """Latency plus the link-load bound (bytes on a link / its capacity), closed form: huge sweeps and bounds."""

    changes = True

    def build(self, env: simpy.Environment, topology: Topology, transport: Transport) -> Network:
        """Return an analytic network in `env`."""
        return Bound(env, Links(topology, transport), link_load)

    def transfer_times(self, topology: Topology, transport: Transport, transfers: Transfers) -> NDArray[np.float64]:
        """Return the [F] seconds at which each transfer would finish alone on its route."""
        links = Links(topology, transport)
        src, dst, nbytes, start_s = transfers
        routed = links.routed(src, dst)
        return np.asarray(start_s + routed.delay_s + links.slow_start_s(src, dst, nbytes) + nbytes / routed.rate)
