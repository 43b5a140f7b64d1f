"""A SimPy environment that counts what it does, and collectives run in it."""

from __future__ import annotations

import numpy as np
import simpy

from netsim.network import fidelities, transports
from netsim.sync import Payload
from netsim.topology import Star


class Counting(simpy.Environment):
    """Counts the events it processes."""

    events = 0

    def step(self):
        self.events += 1
        super().step()


def run_collective(sync, n, nbytes, joined_s=None, network="flow"):
    """Run a collective of equal messages on a star; return its seconds, SimPy events, rate solutions and rounds."""
    topology = Star(workers=n, bandwidth=1.25e9, latency=25e-6).build(sync.dedicated_servers)
    payload = Payload("sum", np.full(n, nbytes), nbytes, np.ones(1, dtype=np.int64))
    rounds = sync.rounds(payload, topology.workers, topology.servers)
    nodes = np.concatenate([topology.workers, topology.servers])
    joined_s = np.zeros(len(nodes)) if joined_s is None else np.append(joined_s, np.zeros(len(topology.servers)))
    env = Counting()
    built = fidelities.get(network)().build(env, topology, transports.get("ideal")())
    execution = built.begin(rounds, nodes, lambda _: None)
    for instant in np.unique(joined_s):
        joining = env.timeout(float(instant), value=nodes[joined_s == instant])
        joining.callbacks.append(lambda fired: execution.join(fired.value))
    env.run()
    solves = built.fluid.solves if network == "flow" else 0
    return env.now, env.events, solves, len(rounds)
