"""Links that fail and come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netsim.conditions.base import Cluster, conditions, links_named
from netsim.conditions.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from netsim.topology.graph import Topology


@conditions.register("link_failure")
@dataclass(frozen=True, kw_only=True)
class LinkFailure(Outage):
    """Links that fail together and come back: what is on them stalls, and goes on from where it was.

    `links` are names or patterns: `worker3->switch` for one direction, `worker3` for all links of a node, `spine*`.
    Routes stay as they are: transfers wait, as over a path that no protocol repairs. A connection that times out
    meanwhile takes longer, which `network: packet` with a congestion control shows.
    """

    delays = "failures"

    links: tuple[str, ...]

    def check(self, topology: Topology) -> None:
        """Raise InputError for unknown links."""
        links_named(topology, self.links)

    def begin(self, cluster: Cluster, number: int) -> None:
        """Start the process that fails them."""
        cluster.env.process(self._run(cluster, number))

    def _run(self, cluster: Cluster, number: int) -> Generator[simpy.Event, None, None]:
        links = links_named(cluster.topology, self.links)
        for down_s, up_s in self.times(cluster.rng(number)):
            yield cluster.env.timeout(down_s - cluster.env.now)
            cluster.states.put(number, links, share=0.0)
            yield cluster.env.timeout(up_s - cluster.env.now)
            cluster.states.put(number, links)
