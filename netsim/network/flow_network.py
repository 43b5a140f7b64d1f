"""The flow network in SimPy: which plans run as recurrences, which in the fluid, and when somebody is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netsim.errors import InputError
from netsim.network.base import Execution, Network, Round, repeats
from netsim.network.fluid import Fluid
from netsim.network.folds import FoldedFluid, fold_of
from netsim.network.kernel import SAME_INSTANT
from netsim.network.lanes import NOBODY, Lanes, levels, owners
from netsim.network.links import Links
from netsim.network.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import simpy
    from numpy.typing import NDArray

    from netsim.network.base import Done, LinkState, Seen
    from netsim.network.transport import Transport
    from netsim.topology.graph import Topology


class Plan(Execution):
    """A plan under way in the flow network: as a recurrence while it meets nobody, in the fluid otherwise."""

    def __init__(self, network: FlowNetwork, rounds: Sequence[Round], nodes: NDArray[np.int64], done: Done) -> None:
        self.network = network
        self.rounds = rounds
        self.nodes = nodes
        self.done = done
        self.number = -1
        self.unfinished = len(nodes)
        self.lanes: Lanes | None = None
        self.owner: NDArray[np.int64] | None = None
        self.finish_s: NDArray[np.float64] | None = None
        self.told = np.zeros(len(nodes), dtype=bool)
        self.place = np.full(int(nodes.max()) + 1, -1, dtype=np.int64)
        self.place[nodes] = np.arange(len(nodes))

    def join(self, nodes: NDArray[np.int64]) -> None:
        """Let `nodes` begin the plan now."""
        self.network.join(self, self.place[nodes])

    def abandon(self) -> None:
        """End the plan here."""
        self.network.abandon(self)

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
    """Executes plans as fluid flows. A transfer is a row of arrays for its whole life, never an object.

    Between two events of SimPy nobody can begin anything, so the fluid runs ahead to the next of them, or to the next
    instant at which somebody finishes.
    """

    def __init__(self, env: simpy.Environment, topology: Topology, transport: Transport) -> None:
        self.links = Links(topology, transport)
        self.fluid = Fluid(self.links)
        self._timer = Timer(env, self._settle)
        self._env = env
        self._changing, self._changed_s = False, -1.0
        self._seen: Seen | None = None
        self._held_s = np.zeros(len(self.links.nbytes))
        self._in_lanes: list[Plan] = []
        self._in_fluid: dict[int, Plan] = {}
        self._owed: list[tuple[Plan, NDArray[np.int64]]] = []

    def begin(
        self, rounds: Sequence[Round], nodes: NDArray[np.int64], done: Done, *, collective: bool = True
    ) -> Execution:
        """Return the execution of a plan; see Network.begin."""
        self._refuse_many(rounds, solved=False)
        plan = Plan(self, rounds, nodes, done)
        self.links.account(rounds)
        lanes = self._lanes(plan) if collective and not self._in_fluid and self._seen is None else None
        if lanes is not None and self._keeps_apart(plan) and self._are_up(rounds):
            plan.lanes = lanes
            self._in_lanes.append(plan)
        else:
            self._leave_lanes()
            self._open(plan, folds=collective)
        return plan

    def _lanes(self, plan: Plan) -> Lanes | None:
        """Return the plan as a recurrence, its links' owners noted, or None where it is none."""
        plan.owner, known = owners(plan.rounds, self.links), None
        if plan.owner is None:
            known = levels(plan.rounds, plan.nodes, self.links)
            if known is None:
                return None
            # Plans between the same nodes follow one another; to those between others, its links are not free.
            plan.owner = np.full(len(self.links.nbytes), NOBODY)
            plan.owner[self._used(plan.rounds)] = NOBODY - 1 - int(plan.nodes.min())
        return Lanes(plan.rounds, plan.nodes, self.links, known)

    def _used(self, rounds: Sequence[Round]) -> NDArray[np.int64]:
        """Return the links that a plan uses, without private ones."""
        used = np.unique(np.concatenate([self.links.route(one).links for one, _ in repeats(rounds)]))
        return used[used < len(self.links.nbytes)]

    def _refuse_many(self, rounds: Sequence[Round], *, solved: bool) -> None:
        """Refuse more transfers than are wanted; what is not solved one by one is held once for all its repetitions."""
        if not np.isfinite(self.most_transfers):
            return
        number = sum((times if solved else 1) * len(one.src) for one, times in repeats(rounds))
        if number > self.most_transfers and owners(rounds, self.links) is None:
            raise InputError(
                f"an exchange of {number:,} messages is more than {self.most_transfers:,.0f}",
                "use fewer workers, or another sync",
                "sync",
            )

    def _keeps_apart(self, plan: Plan) -> bool:
        """Say whether a plan's links are free, or owned by the same sources, in all other lanes."""
        owner = plan.owner
        assert owner is not None
        for other in self._in_lanes:
            if ((owner != NOBODY) & (other.owner != NOBODY) & (owner != other.owner)).any():
                return False
        return True

    def _are_up(self, rounds: Sequence[Round]) -> bool:
        """Say whether no link of a plan has failed: a recurrence would never end."""
        return not self._changing or all((self.links.route(one).rate > 0).all() for one, _ in repeats(rounds))

    def carried_bytes(self) -> NDArray[np.float64]:
        """Return [L] the bytes that each link has carried until now, without what is still under way."""
        left_bytes = sum(map(self._left_bytes, [*self._in_lanes, *self._in_fluid.values()]))
        return np.maximum(self.links.nbytes - left_bytes, 0.0)

    def _left_bytes(self, plan: Plan) -> NDArray[np.float64]:
        """Return [L] the bytes of a plan that have not passed each link by now."""
        if plan.lanes is not None:
            return plan.lanes.left_bytes(self._env.now)
        return self.fluid.left_bytes(plan.number, plan.rounds, plan.place, self._env.now)

    def held_s(self) -> NDArray[np.float64]:
        """Return [L] the seconds that transfers have held each link until now, added up over transfers."""
        in_lanes = sum(plan.lanes.held_s(plan.lanes.standing(self._env.now)) for plan in self._in_lanes if plan.lanes)
        return self._held_s + self.fluid.held_s(self._env.now) + in_lanes

    def watch(self, seen: Seen) -> None:
        """Tell at every instant what each link carries; nothing then runs as a recurrence, nor ahead of time."""
        self._seen = seen

    def expect_changes(self) -> None:
        """Get ready for links that change."""
        self._changing = True
        self.links.expect_changes()
        self.fluid = Fluid(self.links)

    def change(self, links: NDArray[np.int64], state: LinkState) -> None:
        """Change links from now on; see Network.change. Plans in lanes that they touch leave these first."""
        now_s = self._env.now
        moved = self.links.moved_by(links, state)
        shared = moved[moved < len(self.links.nbytes)]
        if len(shared) < len(moved) or any(self._uses(plan, shared) for plan in self._in_lanes):
            self._leave_lanes()
        if now_s != self._changed_s:  # changes of one instant are one change: nothing happens between them
            self.fluid.run(now_s + SAME_INSTANT * now_s, now_s)
        self._changed_s = now_s
        self.links.change(links, state, now_s)
        self.fluid.change(moved, now_s)
        for number, plan in self._in_fluid.items():
            self.fluid.retime(number, plan.rounds, plan.place)
        self._timer.set(now_s)

    @staticmethod
    def _uses(plan: Plan, links: NDArray[np.int64]) -> bool:
        return plan.owner is not None and bool((plan.owner[links] != NOBODY).any())

    def _open(self, plan: Plan, *, folds: bool = False) -> None:
        """Take a plan into the fluid: a part that stands for all of it, where all that is there turns alike."""
        fold, here = None, self.fluid
        if folds and self._may_fold():
            fold = fold_of(plan.rounds, plan.nodes, plan.place, self.links)
        if fold is None or not (isinstance(here, FoldedFluid) and here.fold.same(fold)):
            self._unfold()
            if fold is not None and not self._in_fluid:
                self._change_fluid(FoldedFluid(fold, self.links))
        if not isinstance(self.fluid, FoldedFluid):
            self._refuse_many(plan.rounds, solved=True)
        plan.number = self.fluid.open(plan.rounds, plan.nodes, plan.place)
        self._in_fluid[plan.number] = plan

    def _may_fold(self) -> bool:
        """Say whether a part of a plan can stand for it: nobody looks at links nor changes them, and all turn alike."""
        alone = not self._in_fluid or isinstance(self.fluid, FoldedFluid)
        return alone and not self._changing and self._seen is None

    def _change_fluid(self, fluid: Fluid) -> None:
        """Put another fluid in the place of one that is left."""
        self._held_s += self.fluid.held_s(self._env.now)
        self.fluid = fluid

    def _unfold(self) -> None:
        """Go on with each transfer by itself, if it was not so."""
        folded, now_s = self.fluid, self._env.now
        if not isinstance(folded, FoldedFluid):
            return
        self._owed += [(self._in_fluid[number], places) for number, places in folded.finished()]
        self._change_fluid(Fluid(self.links))
        plans, self._in_fluid = self._in_fluid, {}
        for number, plan in plans.items():
            standing = folded.standing(number, plan.rounds, now_s)
            self._open(plan)
            self.fluid.resume(plan.number, standing, now_s)
        self._timer.set(now_s)

    def join(self, plan: Plan, places: NDArray[np.int64]) -> None:
        """Let participants begin now, by their places in the plan."""
        if plan.lanes is not None and self._still_busy(plan, plan.nodes[places]):
            self._leave_lanes()
        if plan.lanes is not None:
            plan.lanes.joined_s[places] = self._env.now
            if np.isfinite(plan.lanes.joined_s).all():
                plan.finish_s = plan.lanes.finish_s()
            self._timer.set(self._next_in_lanes_s())
        else:
            if isinstance(self.fluid, FoldedFluid) and not self.fluid.whole(places):
                self._unfold()
            self.fluid.join(plan.number, places, self._env.now)
            self._timer.set(self._env.now)

    def abandon(self, plan: Plan) -> None:
        """End a plan here, unless it has ended; what it has left is taken back."""
        self._unfold()
        if plan in self._in_lanes:
            assert plan.lanes is not None
            self.links.nbytes -= self._left_bytes(plan)
            self._held_s += plan.lanes.held_s(plan.lanes.standing(self._env.now))
            self._in_lanes.remove(plan)
        elif self._in_fluid.get(plan.number) is plan:
            self._owed += [(self._in_fluid[number], places) for number, places in self.fluid.finished()]
            self.links.nbytes -= self._left_bytes(plan)
            del self._in_fluid[plan.number]
            self.fluid.abandon(plan.number, self._env.now)
        plan.told[:] = True
        self._timer.set(self._env.now)

    def _still_busy(self, plan: Plan, nodes: NDArray[np.int64]) -> bool:
        """Say whether a node has not finished another plan: then it could send two transfers at once."""
        for other in self._in_lanes:
            if other is plan or other.lanes is None:
                continue
            mine = other.place[nodes[nodes < len(other.place)]]
            mine = mine[mine >= 0]
            if (np.isfinite(other.lanes.joined_s[mine]) & ~other.told[mine]).any():
                return True
        return False

    def _leave_lanes(self) -> None:
        """Hand all recurrences over to the fluid, as they stand now."""
        now_s = self._env.now
        for plan in self._in_lanes:
            assert plan.lanes is not None
            self._open(plan)
            standing = plan.lanes.standing(now_s + SAME_INSTANT * now_s)
            self._held_s += plan.lanes.held_s(standing)
            self._owed.append((plan, np.flatnonzero((standing.at == len(plan.rounds)) & ~plan.told)))
            self.fluid.resume(plan.number, standing, now_s)
            plan.lanes, plan.finish_s = None, None
        if self._in_lanes:
            self._in_lanes = []
            self._timer.set(now_s)

    def _breaks_up(self) -> bool:
        """Say whether a plan in lanes cannot stay there, as some have begun without the others."""
        return any(plan.lanes is not None and plan.lanes.breaks_up for plan in self._in_lanes)

    def _next_in_lanes_s(self) -> float:
        if self._breaks_up():
            return float(self._env.now)
        next_s = np.inf
        for plan in self._in_lanes:
            if plan.finish_s is not None:
                next_s = min(next_s, float(plan.finish_s[~plan.told].min(initial=np.inf)))
        return next_s

    def _forget(self, plans: Iterable[Plan]) -> None:
        """Let go of plans that are over."""
        for plan in self._in_lanes:
            if not plan.unfinished and plan.lanes is not None:
                self._held_s += plan.lanes.held_s()
        self._in_lanes = [plan for plan in self._in_lanes if plan.unfinished]
        for plan in plans:
            if not plan.unfinished and self._in_fluid.get(plan.number) is plan:
                del self._in_fluid[plan.number]
                self.fluid.close(plan.number)

    def _settle(self) -> None:
        """Tell who has finished by now; then find out when the next will."""
        now_s = self._env.now
        if self._breaks_up():
            self._leave_lanes()
        self.fluid.run(now_s + SAME_INSTANT * now_s, now_s)
        finished, self._owed = self._owed, []
        finished += [(self._in_fluid[number], places) for number, places in self.fluid.finished()]
        for plan in self._in_lanes:
            if plan.finish_s is not None:
                over = (plan.finish_s <= now_s + SAME_INSTANT * now_s) & ~plan.told
                finished.append((plan, np.flatnonzero(over)))
        for plan, places in finished:
            plan.tell(places)
        self._forget(plan for plan, _ in finished)
        horizon_s = self._env.peek() if self._seen is None else now_s
        next_s = self.fluid.run(now_s, horizon_s) if self._in_fluid else np.inf
        if self._seen is not None:
            self._seen(now_s, *self.fluid.used())
        self._timer.set(min(next_s, self._next_in_lanes_s()))
