"""The flow fidelity: a fluid of transfers that share links max-min fairly, re-solved at arrivals and completions."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.network.base import Execution, Fidelity, Network, Round, fidelities
from netsim.network.fluid import SAME_INSTANT, Fluid
from netsim.network.lanes import NOBODY, Lanes, owners
from netsim.network.links import Links
from netsim.network.progress import Progress, Started
from netsim.network.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import simpy
    from numpy.typing import NDArray

    from netsim.network.base import Done
    from netsim.network.transport import Transport
    from netsim.topology.graph import Topology

PLAN, ROUND, TRANSFER = range(3)
"""Columns of a transfer's tag in the fluid."""


class Plan(Execution):
    """A plan under way in the flow network: as a recurrence while it meets nobody, in the fluid otherwise."""

    def __init__(self, network: FlowNetwork, rounds: Sequence[Round], nodes: NDArray[np.int64], done: Done) -> None:
        self.network = network
        self.rounds = rounds
        self.nodes = nodes
        self.done = done
        self.number = -1
        self.unfinished = len(nodes)
        self.progress: Progress | None = None
        self.lanes: Lanes | None = None
        self.owner: NDArray[np.int64] | None = None
        self.finish_s: NDArray[np.float64] | None = None
        self.told = np.zeros(len(nodes), dtype=bool)
        self.place = np.full(int(nodes.max()) + 1, -1, dtype=np.int64)
        self.place[nodes] = np.arange(len(nodes))

    def join(self, nodes: NDArray[np.int64]) -> None:
        """Let `nodes` begin the plan now."""
        self.network.join(self, self.place[nodes])

    def tell(self, places: NDArray[np.int64]) -> None:
        """Report that participants have finished, those that have not been reported yet.

        What is told may begin a plan that takes the others out of their lanes: these would then be reported twice.
        """
        places = places[~self.told[places]]
        if len(places):
            self.unfinished -= len(places)
            self.told[places] = True
            self.done(self.nodes[places])


class FlowNetwork(Network):
    """Executes plans as fluid flows. A transfer is a row of arrays for its whole life, never an object."""

    def __init__(self, env: simpy.Environment, topology: Topology, transport: Transport) -> None:
        self.links = Links(topology, transport)
        self.fluid = Fluid(self.links.capacity, tag_size=3)
        self._timer = Timer(env, self._settle)
        self._env = env
        self._plans: dict[int, Plan] = {}
        self._begun = 0
        self._arrivals: list[tuple[float, int, int, int, NDArray[np.int64]]] = []
        self._pushed = 0
        self._owed: list[tuple[Plan, NDArray[np.int64]]] = []

    def begin(
        self, rounds: Sequence[Round], nodes: NDArray[np.int64], done: Done, *, collective: bool = True
    ) -> Execution:
        """Return the execution of a plan; see Network.begin."""
        plan = Plan(self, rounds, nodes, done)
        plan.number = self._begun
        self._begun += 1
        self.links.account(rounds)
        plan.owner = owners(rounds, self.links) if collective else None
        if plan.owner is not None and self._keeps_apart(plan.owner):
            plan.lanes = Lanes(rounds, nodes, self.links)
        else:
            self._leave_lanes()
            plan.progress = Progress(rounds, nodes)
        self._plans[plan.number] = plan
        return plan

    def _keeps_apart(self, owner: NDArray[np.int64]) -> bool:
        """Say whether a plan's links are free, or owned by the same sources, in everything under way."""
        for other in self._plans.values():
            if other.lanes is None or other.owner is None:
                return False
            if ((owner != NOBODY) & (other.owner != NOBODY) & (owner != other.owner)).any():
                return False
        return True

    def join(self, plan: Plan, places: NDArray[np.int64]) -> None:
        """Let participants begin now, by their places in the plan."""
        if plan.lanes is not None and self._still_busy(plan, plan.nodes[places]):
            self._leave_lanes()
        if plan.lanes is not None:
            plan.lanes.joined_s[places] = self._env.now
            if np.isfinite(plan.lanes.joined_s).all():
                plan.finish_s = plan.lanes.finish_s()
            self._timer.set(self._next_s())
        elif plan.progress is not None:
            started, over = plan.progress.join(places)
            self._launch(plan, started)
            self._timer.set(self._env.now)
            plan.tell(over)

    def _still_busy(self, plan: Plan, nodes: NDArray[np.int64]) -> bool:
        """Say whether a node has not finished another plan: then it could send two transfers at once."""
        for other in self._plans.values():
            if other is plan or other.lanes is None:
                continue
            mine = other.place[nodes[nodes < len(other.place)]]
            mine = mine[mine >= 0]
            if (np.isfinite(other.lanes.joined_s[mine]) & ~other.told[mine]).any():
                return True
        return False

    def _leave_lanes(self) -> None:
        """Hand all recurrences over to the fluid, as they stand now."""
        apart = [plan for plan in self._plans.values() if plan.lanes is not None]
        if not apart:
            return
        now_s = self._env.now
        self.fluid.advance_to(now_s)  # it is empty: recurrences run only while nothing is in the fluid
        for plan in apart:
            assert plan.lanes is not None
            progress = Progress(plan.rounds, plan.nodes)
            standing = plan.lanes.standing(now_s + SAME_INSTANT * now_s)
            _restore(progress, standing.at, standing.done)
            self._owed.append((plan, np.flatnonzero((standing.at == len(plan.rounds)) & ~plan.told)))
            for number, transfers, begin_s in standing.waiting:
                self._push(plan, Started(number, transfers), begin_s)
            for number, transfers, left_bytes in standing.moving:
                self._flow(plan, number, transfers, left_bytes)
            plan.progress, plan.lanes, plan.finish_s = progress, None, None
        self._timer.set(now_s)

    def _launch(self, plan: Plan, started: list[Started]) -> None:
        for number, transfers in started:
            one = plan.rounds[number]
            hold_s = one.hold_s if isinstance(one.hold_s, float | int) else one.hold_s[transfers]
            delay_s = self.links.route(one).delay_s[transfers] + hold_s
            self._push(plan, Started(number, transfers), self._env.now + delay_s)

    def _push(self, plan: Plan, started: Started, begin_s: NDArray[np.float64]) -> None:
        """Queue transfers until they begin to hold bandwidth, those of one instant together."""
        for instant in np.unique(begin_s):
            self._pushed += 1
            entry = (float(instant), self._pushed, plan.number, started.round, started.transfers[begin_s == instant])
            heapq.heappush(self._arrivals, entry)

    def _flow(self, plan: Plan, number: int, transfers: NDArray[np.int64], nbytes: NDArray[np.float64]) -> None:
        tags = np.empty((len(transfers), 3), dtype=np.int64)
        tags[:, PLAN], tags[:, ROUND], tags[:, TRANSFER] = plan.number, number, transfers
        routed = self.links.route(plan.rounds[number])
        start, links = _select(routed.start, routed.links, transfers)
        self.fluid.add(tags, start, links, nbytes)

    def _next_s(self) -> float:
        next_s = self.fluid.next_completion_s()
        if self._arrivals:
            next_s = min(next_s, self._arrivals[0][0])
        for plan in self._plans.values():
            if plan.finish_s is not None:
                left = plan.finish_s[~plan.told]
                next_s = min(next_s, float(left.min()) if len(left) else np.inf)
        return next_s

    def _settle(self) -> None:
        """Do all that is due at this instant, then share the links once and set the timer for what comes next."""
        now_s = self._env.now
        due_s = now_s + SAME_INSTANT * now_s
        completed = self.fluid.advance_to(now_s)
        finished, self._owed = self._owed, []
        for number in np.unique(completed[:, PLAN]):
            plan, mine = self._plans[int(number)], completed[completed[:, PLAN] == number]
            assert plan.progress is not None
            started, over = plan.progress.complete(mine[:, ROUND], mine[:, TRANSFER])
            self._launch(plan, started)
            finished.append((plan, over))
        while self._arrivals and self._arrivals[0][0] <= due_s:
            _, _, number, round_number, transfers = heapq.heappop(self._arrivals)
            plan = self._plans[number]
            self._flow(plan, round_number, transfers, plan.rounds[round_number].nbytes[transfers])
        for plan in self._plans.values():
            if plan.finish_s is not None:
                finished.append((plan, np.flatnonzero((plan.finish_s <= due_s) & ~plan.told)))
        for plan, places in finished:
            plan.tell(places)
        for number in [number for number, plan in self._plans.items() if not plan.unfinished]:
            del self._plans[number]
        self._timer.set(self._next_s())


def _restore(progress: Progress, at: NDArray[np.int64], done: list[tuple[int, NDArray[np.int64]]]) -> None:
    """Put a plan's counts to where a recurrence left it."""
    progress.at[:] = at
    oldest = int(at.min())
    for number, transfers in done:
        if number < oldest:
            continue
        shape = progress.shape(number)
        here = at == number
        progress.unsent[here] = shape.sends[here]
        np.subtract.at(progress.expected(number), shape.dst[transfers], 1)
        sent = shape.src[transfers]
        np.subtract.at(progress.unsent, sent[at[sent] == number], 1)


def _select(
    start: NDArray[np.int64], links: NDArray[np.int64], flows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the CSR routes of some flows."""
    counts = np.diff(start)[flows]
    first = np.concatenate([[0], np.cumsum(counts)])
    offset = np.arange(int(first[-1])) - np.repeat(first[:-1], counts)
    return first, links[np.repeat(start[:-1][flows], counts) + offset]


@fidelities.register("flow", paper="Bertsekas, Gallager 1992, 6.5.2")
@dataclass(frozen=True, kw_only=True)
class Flow(Fidelity):
    """Fluid transfers with max-min fair sharing, re-solved at arrivals and completions: the answer."""

    def build(self, env: simpy.Environment, topology: Topology, transport: Transport) -> Network:
        """Return a flow network in `env`."""
        return FlowNetwork(env, topology, transport)

    def transfer_times(
        self,
        topology: Topology,
        transport: Transport,
        src: NDArray[np.int64],
        dst: NDArray[np.int64],
        nbytes: NDArray[np.float64],
        start_s: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the [F] seconds at which independent transfers finish."""
        links = Links(topology, transport)
        routed = links.routed(src, dst)
        begin_s = start_s + routed.delay_s + links.slow_start_s(src, dst, nbytes)
        order = np.argsort(begin_s, kind="stable")
        finish_s, fluid, arrived = np.zeros(len(src)), Fluid(links.capacity, tag_size=1), 0
        while arrived < len(order) or len(fluid):
            next_arrival_s = begin_s[order[arrived]] if arrived < len(order) else np.inf
            now_s = max(fluid.now_s, min(next_arrival_s, fluid.next_completion_s()))
            finish_s[fluid.advance_to(now_s)[:, 0]] = now_s
            upto = int(np.searchsorted(begin_s[order], now_s, side="right"))
            new, arrived = order[arrived:upto], max(upto, arrived)
            if len(new):
                fluid.add(new[:, None], *_select(routed.start, routed.links, new), nbytes[new])
        return finish_s
