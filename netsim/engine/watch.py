"""Runs a simulation until something has come, and notices where it never will."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netsim.errors import Deadlock

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import simpy

    from netsim.conditions import Cluster
    from netsim.engine.coding import Exchange

EVENTS = 10_000
"""Events between two looks at a job."""
PATIENCE = 1000.0
"""A job that has not got on for so many times what a step can take at most, by itself, is starved."""


class Watch:
    """Looks at a job that other traffic keeps company: events then never end, whether or not the job gets on.

    `moved` returns something else whenever the job has got on, `usual_s` the most seconds that a step can take by
    itself. Time in which a worker is down, a link has failed, or a checkpoint is saved or loaded does not count.
    """

    def __init__(self, cluster: Cluster, usual_s: Callable[[], float], moved: Callable[[], Hashable]) -> None:
        self._cluster, self._usual_s, self._moved = cluster, usual_s, moved
        self._seen: Hashable = None
        self._since_s = 0.0

    def starved_s(self) -> float:
        """Return for how many seconds the job has not got on, if that is too long, else 0."""
        now_s, seen = float(self._cluster.env.now), self._moved()
        if seen != self._seen or not self._cluster.is_whole():
            self._seen, self._since_s = seen, now_s
        waits_s = now_s - max(self._since_s, self._cluster.rests_until_s)
        return waits_s if waits_s > PATIENCE * self._usual_s() else 0.0


def run_until(event: simpy.Event, waiting: Callable[[], list[str]], watch: Watch | None = None) -> None:
    """Run until an event has come, and no longer: what befalls a cluster may go on for ever.

    Raises:
        Deadlock: it will never come; `waiting` tells who waits for what.
    """
    env, events, problem = event.env, 0, ""
    while not (event.processed or problem):
        if env.peek() == np.inf:
            problem = "the simulation is stuck"
            break
        env.step()
        events += 1
        if watch is not None and not events % EVENTS and (waits_s := watch.starved_s()):
            problem = f"no worker has got on for {waits_s:.4g} s, while other traffic goes on"
    if problem:
        raise Deadlock(f"{problem}: " + "; ".join(waiting()[:20]))


def alone_s(exchanges: Sequence[Sequence[Exchange]], compute_s: float, cluster: Cluster) -> float:
    """Return more than a step can take by itself: all crosses the slowest that a link has been, one after another."""
    payloads = [one.payload for stages in exchanges for one in stages]
    nbytes = sum(float(one.up_bytes.sum()) + len(one.up_bytes) * one.down_bytes for one in payloads)
    latency_s = float(cluster.topology.latency_s.sum()) * len(payloads)
    return 1.0 + compute_s + latency_s + 2 * nbytes / cluster.network.links.slowest_bytes_per_s()
