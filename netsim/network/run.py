"""Runs one plan alone, from time 0: for timing a collective, and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import simpy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.network.base import Fidelity, Round
    from netsim.network.transport import Transport
    from netsim.topology.graph import Topology


def plan_times(
    fidelity: Fidelity,
    topology: Topology,
    transport: Transport,
    rounds: Sequence[Round],
    nodes: NDArray[np.int64],
    joined_s: NDArray[np.float64] | None = None,
    *,
    collective: bool = True,
) -> NDArray[np.float64]:
    """Return [P] the seconds at which each of `nodes` finishes a plan that it joins at `joined_s` (0 if not given)."""
    env = simpy.Environment(initial_time=0.0)
    network = fidelity.build(env, topology, transport)
    finish_s = np.full(len(topology.names), np.nan)

    def note(finished: NDArray[np.int64]) -> None:
        finish_s[finished] = env.now

    execution = network.begin(rounds, nodes, note, collective=collective)
    when_s = network.links.call_overhead_s + (np.zeros(len(nodes)) if joined_s is None else joined_s)
    for instant in np.unique(when_s):
        event = env.timeout(float(instant), value=nodes[when_s == instant])
        event.callbacks.append(lambda fired: execution.join(fired.value))
    env.run()
    return finish_s[nodes]
