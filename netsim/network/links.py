"""What a transport makes of a topology: achieved capacities, route latencies, and the bytes given to each link."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.network.base import Round
    from netsim.network.transport import Transport
    from netsim.topology.graph import Topology


_ROUTES_KEPT = 256


class Routed(NamedTuple):
    """Transfers with their routes.

    `start` [F + 1] and `links` are the routes as CSR; `delay_s` [F] is what passes before the first byte moves
    (propagation and the transport's work for a message); `rate` [F] is the least capacity on each route.
    """

    start: NDArray[np.int64]
    links: NDArray[np.int64]
    delay_s: NDArray[np.float64]
    rate: NDArray[np.float64]


class Links:
    """Capacities [L] bytes/s as a transport achieves them, and a count of the bytes [L] that every link carries."""

    def __init__(self, topology: Topology, transport: Transport) -> None:
        self.topology = topology
        self.overhead_s = transport.overhead
        efficiency = np.where(topology.local, 1.0, transport.efficiency)
        self.capacity = topology.capacity_bytes_per_s * efficiency
        self.nbytes = np.zeros(len(self.capacity))
        self._routed: dict[tuple[int, int], tuple[Round, Routed]] = {}

    def route(self, one: Round) -> Routed:
        """Return the round's routes; rounds that share their arrays of nodes are looked up once."""
        key = (id(one.src), id(one.dst))
        known = self._routed.get(key)
        if known is None:
            if len(self._routed) >= _ROUTES_KEPT:
                self._routed.clear()
            # The round is kept beside its routes so that the ids of its arrays cannot be given to others.
            known = self._routed[key] = (one, self.routed(one.src, one.dst))
        return known[1]

    def routed(self, src: NDArray[np.int64], dst: NDArray[np.int64]) -> Routed:
        """Return the routes of transfers from `src` [F] to `dst` [F]."""
        start, links = self.topology.routes(src, dst)
        if not len(src):
            return Routed(start, links, np.zeros(0), np.zeros(0))
        latency_s = np.add.reduceat(self.topology.latency_s[links], start[:-1])
        spoken = np.logical_not(np.logical_and.reduceat(self.topology.local[links], start[:-1]))
        rate = np.minimum.reduceat(self.capacity[links], start[:-1])
        return Routed(start, links, latency_s + self.overhead_s * spoken, rate)

    def account(self, rounds: Sequence[Round]) -> None:
        """Add the bytes of a plan to the links they cross."""
        times = Counter(id(one) for one in rounds)
        for one in {id(one): one for one in rounds}.values():
            routed = self.route(one)
            carried = np.repeat(one.nbytes, np.diff(routed.start)) * times[id(one)]
            self.nbytes += np.bincount(routed.links, weights=carried, minlength=len(self.nbytes))

    def latency_s(self, rounds: Sequence[Round]) -> float:
        """Return the seconds that a plan's longest delays add up to, round by round: its time if nothing had bytes."""
        longest = {id(one): float(self.route(one).delay_s.max(initial=0.0)) for one in rounds}
        return sum(longest[id(one)] for one in rounds)
