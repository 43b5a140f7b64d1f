"""The collectives that can be timed alone, by the names of nccl-tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netsim.errors import InputError
from netsim.sync.base import Collective, Payload, Sync, carrier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.network.base import Round
    from netsim.network.transport import Transport
    from netsim.sync.base import Nodes
    from netsim.topology.graph import Topology

COLLECTIVES: dict[str, Collective | None] = {
    "all_reduce": "sum",
    "all_gather": "gather",
    "reduce_scatter": None,
    "all_to_all": None,
    "broadcast": None,
    "reduce": None,
}
"""Their names, and what has to be carried for those that gradients are exchanged by."""

SHARED = ("all_gather", "reduce_scatter", "all_to_all")
"""Collectives of which nccl-tests count one rank's share, the n-th part of the size."""


def busbw_factor(name: str, workers: int) -> float:
    """Return bus bandwidth / algorithm bandwidth (nccl-tests, doc/PERFORMANCE.md): the share of a link's line rate."""
    share = (workers - 1) / workers
    return {"all_reduce": 2 * share, **dict.fromkeys(SHARED, share)}.get(name, 1.0)


def named_rounds(
    topology: Topology, name: str, nbytes: float, sync: Sync, workers: Nodes, transport: Transport
) -> Sequence[Round]:
    """Return the rounds of a collective of COLLECTIVES between `workers`, of `nbytes` as nccl-tests count its size.

    Raises:
        InputError: the architecture cannot carry it, or the topology lacks the servers that it needs.
    """
    op = COLLECTIVES[name]
    if op is None:
        return sync.alone_rounds(name, nbytes, workers, transport.slice)
    carried_by = carrier(sync, op)
    if carried_by.dedicated_servers > len(topology.servers):
        raise InputError(
            f"{sync.kind!r} needs {sync.dedicated_servers} server hosts, the topology has {len(topology.servers)}",
            "build the topology with servers, or use another algorithm",
        )
    up_bytes = np.full(len(workers), nbytes if op == "sum" else nbytes / len(workers))
    payload = Payload(op, up_bytes, nbytes, np.ones(1, dtype=np.int64), machines=topology.machines[workers])
    return carried_by.rounds(payload, workers, topology.servers[: carried_by.dedicated_servers])
