"""What holds a step up: the largest part of it and, where that is communication, what its exchanges spend most on.

An exchange is taken round by round, as if each waited for the one before: the slowest transfer of a round first does
the work that is held before it, then waits for its host and for the way, and then moves at the pace of whatever is
fullest on its route: a link, by all bytes of the round that cross it, or its pair's cap. So every second of a round
belongs to one thing alone. That is the time itself wherever a plan is symmetric.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from netsim.engine.coding import Coding
from netsim.engine.step import rounds_of
from netsim.network.base import repeats
from netsim.network.links import Links
from netsim.record.result import PARTS
from netsim.sync.parameter_server import ParameterServer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from netsim.engine.coding import Exchange
    from netsim.engine.measure import Measurement
    from netsim.network.base import LinkState, Round
    from netsim.scenario.schema import Scenario

_ALIKE = 1 - 1e-9
"""Of things that are alike but for rounding, the first is named."""


class Sent(NamedTuple):
    """One of the measured steps, and how often it is sent in the mean step or turn."""

    scenario: Scenario
    measured: Measurement
    step: int
    times: float


def sent_by(scenario: Scenario, measured: Measurement) -> list[Sent]:
    """Return all steps of a measurement, those that send the same as one."""
    first: dict[tuple[int, Hashable], int] = {}
    kinds = zip(map(id, measured.stages), measured.variants, strict=True)
    steps = Counter(first.setdefault(kind, step) for step, kind in enumerate(kinds))
    return [Sent(scenario, measured, step, times / len(measured.stages)) for step, times in steps.items()]


def bottleneck(
    scenario: Scenario, sent: Iterable[Sent], state: LinkState | None, mean: Mapping[str, float], waits_s: float
) -> str:
    """Return the name of what holds steps up.

    Args:
        scenario: the point.
        sent: what the mean step sends.
        state: what links have been like, where that changes.
        mean: the seconds of the mean step.
        waits_s: those of its exposed communication in which workers wait for slower ones.
    """
    return _named(
        scenario,
        lambda links: ((rounds, one.times) for one in sent for rounds in _plans(one, links)),
        state,
        mean,
        waits_s,
        scenario.network.delays,
    )


def bottleneck_of_plans(
    scenario: Scenario,
    plans: Iterable[tuple[Sequence[Round], float]],
    state: LinkState,
    mean: Mapping[str, float],
    *,
    meet: bool,
) -> str:
    """Return the name of what holds steps up whose plans are known, each with how often the mean step sends it.

    Where plans `meet` others on the way, what they take longer than alone goes to the fullest link.
    """
    otherwise = "link" if meet else scenario.network.delays
    return _named(scenario, lambda _: plans, state, mean, mean["comm_wait_s"], otherwise)


def _named(
    scenario: Scenario,
    plans: Callable[[Links], Iterable[tuple[Sequence[Round], float]]],
    state: LinkState | None,
    mean: Mapping[str, float],
    waits_s: float,
    otherwise: str,
) -> str:
    """Return the name; what plans take longer than they alone would goes to a condition that delays, or `otherwise`."""
    largest = max(PARTS, key=lambda part: mean[part])
    if largest != "exposed_comm_s":
        return largest.removesuffix("_s")
    held = HeldUp(scenario, state)
    for rounds, times in plans(held.links):
        held.add(rounds, times)
    lost_to = next((one.delays for one in scenario.conditions if one.delays), otherwise)
    lost_s = mean["comm_s"] - mean["comm_wait_s"] - held.total_s
    return held.most(min(max(waits_s / mean["exposed_comm_s"], 0.0), 1.0), lost_to, max(lost_s, 0.0))


def _plans(sent: Sent, links: Links) -> Iterator[Sequence[Round]]:
    """Yield the rounds of every exchange of a step."""
    topology, coding = links.topology, Coding(sent.scenario, sent.measured)
    nodes = topology.workers, topology.servers[: sent.scenario.sync.dedicated_servers]
    for bucket in range(len(sent.measured.buckets)):
        for one in coding.exchanges(sent.step, bucket):
            for part in _parts(one, coding, bucket):
                yield rounds_of(part, topology, *nodes)


def _parts(exchange: Exchange, coding: Coding, bucket: int) -> list[Exchange]:
    """Return the pieces of an exchange that are exchanges; those of parameter servers are rounds of one."""
    if isinstance(exchange.sync, ParameterServer):
        return [exchange]
    return [exchange.part(piece) for piece in coding.pieces(bucket)]


class HeldUp:
    """Seconds of exchanges by what they are spent on.

    Of all links, or pairs with a cap, which are links behind the topology's, the one is named that is used for longest.
    """

    def __init__(self, scenario: Scenario, state: LinkState | None) -> None:
        topology = scenario.topology.build(scenario.sync.dedicated_servers)
        self.links = Links(topology, scenario.transport)
        if scenario.conditions and state is not None:
            self.links.expect_changes()
            self.links.change(np.arange(len(topology.link_names)), state, 0.0)
        self._takes_time = scenario.network.takes_time
        self._seconds: dict[str, float] = defaultdict(float)
        self._used_s = np.zeros(0)

    @property
    def total_s(self) -> float:
        """Return all seconds."""
        return sum(self._seconds.values())

    def add(self, rounds: Sequence[Round], plans: float) -> None:
        """Add those of a number of equal plans, or of a share of one."""
        if self._takes_time:
            self._seconds["overhead"] += plans * self.links.call_overhead_s
        for one, times in repeats(rounds):
            if len(one.src):
                self._round(one, plans * times)

    def _round(self, one: Round, times: float) -> None:
        links, hold_s = self.links, np.broadcast_to(one.hold_s, one.src.shape)
        if not self._takes_time:
            self._seconds["aggregation"] += times * float(hold_s.max())
            return
        routed = links.route(one)
        load = np.bincount(routed.links, np.repeat(one.nbytes, np.diff(routed.start)), len(links.capacity))
        used_s = np.divide(load, links.capacity, out=np.zeros(len(load)), where=load > 0)
        used_before_s, self._used_s = self._used_s, times * used_s
        self._used_s[: len(used_before_s)] += used_before_s
        moving_s = np.maximum.reduceat(used_s[routed.links], routed.start[:-1])
        slowest = int(np.argmax(hold_s + routed.delay_s + moving_s))
        route = routed.links[routed.start[slowest] : routed.start[slowest + 1]]
        own = route[route < len(links.nbytes)]
        way_s = float(links.propagation_s[own].sum())
        host_s = 0.0 if links.topology.local[own].all() else links.overhead_s
        wait_s = times * float(routed.delay_s[slowest])
        self._seconds["aggregation"] += times * float(hold_s[slowest])
        self._seconds["overhead"] += wait_s * (host_s / (host_s + way_s) if host_s else 0.0)
        self._seconds["latency"] += wait_s * (way_s / (host_s + way_s) if host_s else 1.0)
        fullest = int(route[np.argmax(used_s[route])])
        self._seconds["link" if fullest < len(links.nbytes) else "pair"] += times * float(moving_s[slowest])

    def most(self, stragglers: float, lost_to: str, lost_s: float) -> str:
        """Return what most of the time goes to, a share of which waits for `stragglers`, and `lost_s` on top."""
        all_of = dict(self._seconds)
        if lost_to:
            all_of[lost_to] = all_of.get(lost_to, 0.0) + lost_s
        total_s = sum(all_of.values())
        name = max(all_of, key=lambda one: all_of[one], default="")
        if not total_s or stragglers > (1 - stragglers) * all_of[name] / total_s:
            return "stragglers"
        links = len(self.links.nbytes)
        if name == "link":
            return f"link {self.links.topology.link_names[_first(self._used_s[:links])]}"
        return self.links.cap_name(links + _first(self._used_s[links:])) if name == "pair" else name


def _first(seconds: NDArray[np.float64]) -> int:
    """Return the place of the most seconds."""
    return int(np.argmax(seconds >= seconds.max() * _ALIKE))
