"""What netsim itself says that a measured transfer takes: the model that is fitted is the one that simulates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from netsim.calibration.sample import POINT_TO_POINT
from netsim.network.base import Round
from netsim.network.flow import Flow
from netsim.network.run import plan_times
from netsim.sync import syncs
from netsim.sync.named import named_rounds
from netsim.topology import Star

if TYPE_CHECKING:
    from netsim.calibration.sample import Sample
    from netsim.network.transport import Transport
    from netsim.topology import Topology

UNKNOWN_BANDWIDTH = 1e18
"""Bytes/s of links whose line rate nobody told: nothing they could carry is bounded by them."""


@dataclass(frozen=True)
class Cluster:
    """Where a log was measured: a star of hosts.

    `bandwidth` is the line rate of each host's link in bytes/s, or None where it is not known; `latency` the seconds
    from host to host; `algorithm` the architecture that the collectives used.
    """

    bandwidth: float | None = None
    latency: float = 0.0
    algorithm: str = "ring"


def predicted_s(sample: Sample, transport: Transport, cluster: Cluster) -> float:
    """Return the seconds that the flow network gives a sample; raise InputError where the algorithm cannot do it."""
    sync = syncs.get(cluster.algorithm)()
    topology = _star(sample.workers, cluster.bandwidth or UNKNOWN_BANDWIDTH, cluster.latency, sync.dedicated_servers)
    if sample.operation == POINT_TO_POINT:
        ends = topology.workers[:2]
        rounds = [Round(ends[:1], ends[1:], np.array([sample.size_bytes]))]
        if sample.flows is not None:
            transport = replace(transport, sockets=sample.flows)  # type: ignore[type-var]
        return float(plan_times(Flow(), topology, transport, rounds, ends, collective=False).max())
    rounds = list(named_rounds(topology, sample.operation, sample.size_bytes, sync, topology.workers, transport))
    nodes = np.concatenate([topology.workers, topology.servers])
    return float(plan_times(Flow(), topology, transport, rounds, nodes).max())


@cache
def _star(workers: int, bandwidth: float, latency: float, servers: int) -> Topology:
    return Star(workers=workers, bandwidth=bandwidth, latency=latency).build(servers)
