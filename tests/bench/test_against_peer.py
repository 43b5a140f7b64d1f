"""How much faster than SimGrid netsim answers the same questions. `pytest -s tests/bench/test_against_peer.py`

Prints netsim's seconds in a warm process, the peer's seconds as a program, their ratio and how far simulated times are
apart; asserts the latter only. The peer runs once where it takes long; NETSIM_PEER_RUNS asks for medians of more runs.
"""

from __future__ import annotations

import os
import subprocess
import time
from statistics import median

import networkx as nx
import numpy as np
import pytest
import simpy

from netsim.api import collective_time, transfer_times
from netsim.network import Round, fidelities, transports
from netsim.topology import Star, Topology
from tests.peers.simgrid.program import built

RATE, LATENCY_S = 1.25e9, 25e-6

pytestmark = [pytest.mark.peer, pytest.mark.slow]


@pytest.fixture(scope="module")
def traffic(tmp_path_factory):
    """Build the peer's program; skip where that cannot be done."""
    return built(tmp_path_factory.mktemp("peer"), "traffic")


def timed(action, runs):
    took_s = []
    for _ in range(runs):
        begin_s = time.perf_counter()
        answer = action()
        took_s.append(time.perf_counter() - begin_s)
    return answer, median(took_s)


def star_with_one_slower(n, factor):
    graph = nx.star_graph(n)
    nx.set_node_attributes(graph, {0: "switch"}, "kind")
    for host in range(1, n + 1):
        graph.edges[0, host].update(bandwidth=RATE * (factor if host == 1 else 1), latency=LATENCY_S / 2)
    return Topology.from_networkx(graph)


def ring(n, factor):
    topology = star_with_one_slower(n, factor)
    return lambda: collective_time(topology, "all_reduce", 1e8)


def asynchronous(n, steps, compute_s):
    """Each worker and its port at the server are a plan of their own: after computing it pushes, then it pulls."""
    topology, nbytes = Star(workers=n, bandwidth=RATE, latency=LATENCY_S).build(1), np.array([1e6])

    def run():
        env = simpy.Environment()
        network = fidelities.get("flow")().build(env, topology, transports.get("ideal")())
        for index in range(n):
            worker, server = topology.workers[index : index + 1], topology.servers
            push = Round(worker, server, nbytes, compute_s * (1 + index / n))
            nodes = np.concatenate([worker, server])
            plan = [push, Round(server, worker, nbytes)] * steps
            network.begin(plan, nodes, lambda _: None, collective=False).join(nodes)
        env.run()
        return env.now

    return run


def all_to_all(n, rack, uplink):
    graph = nx.Graph()
    graph.add_nodes_from(range(n), kind="worker")
    graph.add_nodes_from(["core", *(f"rack{k}" for k in range(n // rack))], kind="switch")
    graph.add_edges_from((("core", f"rack{k}") for k in range(n // rack)), bandwidth=uplink)
    graph.add_edges_from(((i, f"rack{i // rack}") for i in range(n)), bandwidth=RATE, latency=LATENCY_S / 2)
    topology = Topology.from_networkx(graph)
    src, dst = np.nonzero(~np.eye(n, dtype=bool))
    spread = (src * n + dst) * 0.6180339887498949
    nbytes = 1e8 / n * (0.5 + spread - np.floor(spread))
    return lambda: float(transfer_times(topology, src, dst, nbytes).max())


CASES = {
    "ring of 1,024": (lambda: ring(1024, 1.0), f"ring 1024 1e8 {RATE} {LATENCY_S} 1"),
    "ring of 2,048": (lambda: ring(2048, 1.0), f"ring 2048 1e8 {RATE} {LATENCY_S} 1"),
    "ring of 1,024, one slow": (lambda: ring(1024, 0.5), f"ring 1024 1e8 {RATE} {LATENCY_S} 0.5"),
    "all-to-all of 128": (lambda: all_to_all(128, 8, 5e9), f"all_to_all 128 8 1e8 {RATE} 5e9 {LATENCY_S}"),
    "server of 1,024": (lambda: asynchronous(1024, 20, 0.05), f"async 1024 20 1e6 {RATE} {LATENCY_S} 0.05"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_question(traffic, case):
    build, arguments = CASES[case]
    action = build()
    action()  # compiles, or loads what has been compiled
    ours_s, took_s = timed(action, 5)
    command = [str(traffic), *arguments.split(), "--log=root.threshold:error"]
    runs = int(os.environ.get("NETSIM_PEER_RUNS", "1"))
    answer, peer_s = timed(lambda: subprocess.run(command, capture_output=True, text=True, check=True), runs)
    theirs_s = float(answer.stdout)
    apart = abs(ours_s / theirs_s - 1)
    print(f"\n{case}: netsim {took_s:.4f} s, SimGrid {peer_s:.2f} s, {peer_s / took_s:.0f} times; {apart:.1e} apart")
    assert apart <= 1e-4
