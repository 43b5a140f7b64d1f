"""Traffic of others: messages that come and go between nodes, whatever the job does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Gt

from netsim.conditions.base import Cluster, Condition, conditions, nodes_named
from netsim.errors import InputError
from netsim.units import Bandwidth, Bytes, Seconds

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy
    from numpy.typing import NDArray

    from netsim.topology.graph import Topology


@conditions.register("background", paper="Paxson, Floyd 1995, IEEE/ACM ToN")
@dataclass(frozen=True, kw_only=True)
class Background(Condition):
    """Traffic of others: messages between nodes at a mean rate, evenly spaced or as a Poisson process, on and off.

    Messages of `size` go from a node of `src` to another of `dst` (names or patterns; drawn where there are several),
    `rate` bytes a second in the mean: `poisson` arrivals, or `constant` spacing. With `on` and `off`, both means of
    exponential distributions, they come during the one and pause for the other; the rate is that while they come. A
    message shares its links fairly with all else, and does not wait for the one before: where the network cannot keep
    up, they pile up.
    """

    src: tuple[str, ...]
    dst: tuple[str, ...]
    rate: Bandwidth
    size: Annotated[Bytes, Gt(0)] = 1e6
    arrivals: Literal["poisson", "constant"] = "poisson"
    on: Annotated[Seconds, Gt(0)] | None = None
    off: Annotated[Seconds, Gt(0)] | None = None

    changes_links = False
    delays = "other traffic"

    def __post_init__(self) -> None:
        """Raise InputError where only one of `on` and `off` is given."""
        if (self.on is None) != (self.off is None):
            raise InputError("`on` and `off` belong together", "give both, or neither", "on")

    def check(self, topology: Topology) -> None:
        """Raise InputError for unknown nodes, or where some have nobody or no way to send to."""
        src, dst = self._ends(topology)
        if not len(src):
            raise InputError(f"{self.src[0]!r} would send to itself", "name another node as `dst`", "dst")
        topology.refuse_apart(np.union1d(src, dst))

    def _ends(self, topology: Topology) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the nodes that send, those with nobody but themselves to send to left out, and those that receive."""
        src, dst = nodes_named(topology, self.src), nodes_named(topology, self.dst)
        return (src if len(dst) > 1 else src[src != dst]), dst

    def begin(self, cluster: Cluster, number: int) -> None:
        """Start the process that sends."""
        cluster.env.process(self._run(cluster, number))

    def _run(self, cluster: Cluster, number: int) -> Generator[simpy.Event, None, None]:
        rng, env, topology = cluster.rng(number), cluster.env, cluster.topology
        src, dst = self._ends(topology)
        gap_s, on_s, off_s = self.size / self.rate, self.on or np.inf, self.off or 0.0
        until_s = rng.exponential(on_s) if self.on is not None else np.inf
        while True:
            wait_s = rng.exponential(gap_s) if self.arrivals == "poisson" else gap_s
            while env.now + wait_s > until_s:
                # What of the gap is left when the pause begins passes after it.
                wait_s -= until_s - env.now
                yield env.timeout(until_s - env.now + rng.exponential(off_s))
                until_s = env.now + rng.exponential(on_s)
            yield env.timeout(wait_s)
            one = int(rng.choice(src))
            cluster.send(one, int(rng.choice(dst[dst != one])), self.size)
