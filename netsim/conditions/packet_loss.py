"""Links that lose packets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Lt

from netsim.conditions.base import Cluster, Condition, conditions, links_named
from netsim.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from netsim.topology.graph import Topology


@conditions.register("packet_loss", paper="Padhye et al. 1998, SIGCOMM; Mathis et al. 1997, CCR; RFC 9438")
@dataclass(frozen=True, kw_only=True)
class PacketLoss(Condition):
    """Links that lose packets at random: each connection slows down to what its congestion control makes of that.

    Loss caps the goodput of every pair of hosts by the round-trip time and the loss on the way, for transports over
    TCP (`OverTcp.lossy_rate`); single messages are not delayed by a retransmission. By `network: packet` each packet is
    lost by itself, and sent again. `links` are names or patterns, `*` for all; loss begins `at` a second and lasts for
    `duration`, or to the end.
    """

    links: tuple[str, ...]
    probability: Annotated[float, Gt(0), Lt(1)]
    at: Seconds = 0.0
    duration: Annotated[Seconds, Gt(0)] | None = None

    def check(self, topology: Topology) -> None:
        """Raise InputError for unknown links."""
        links_named(topology, self.links)

    def begin(self, cluster: Cluster, number: int) -> None:
        """Start the process that loses packets."""
        cluster.env.process(self._run(cluster, number))

    def _run(self, cluster: Cluster, number: int) -> Generator[simpy.Event, None, None]:
        links = links_named(cluster.topology, self.links)
        yield cluster.env.timeout(self.at)
        cluster.states.put(number, links, loss=self.probability)
        if self.duration is not None:
            yield cluster.env.timeout(self.duration)
            cluster.states.put(number, links)
