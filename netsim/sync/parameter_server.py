"""Parameter server: workers push to shard owners, which aggregate; workers pull the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge

from netsim.errors import InputError
from netsim.network.base import Round
from netsim.sync.base import Collective, Payload, Sync, syncs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.sync.base import Nodes


@syncs.register("parameter_server", paper="Li et al. 2014, OSDI")
@dataclass(frozen=True, kw_only=True)
class ParameterServer(Sync):
    """Push to servers, aggregate, pull. Servers decode what they get, so any code can travel up and another down.

    `placement`: `dedicated` servers are hosts of their own; `colocated` ones share a host with a worker each, spread
    evenly. `sharding`: `tensor` puts tensor i of the model on server i mod s, with the imbalance that real tensor sizes
    give; `even` cuts every bucket into s equal parts, as systems that partition large tensors do.
    """

    servers: Annotated[int, Ge(1)] = 1
    placement: Literal["dedicated", "colocated"] = "dedicated"
    sharding: Literal["tensor", "even"] = "tensor"

    carries = frozenset[Collective]({"sum", "gather", "owner"})

    def check(self, num_workers: int) -> None:
        """Raise InputError where there are more co-located servers than workers."""
        if self.placement == "colocated" and self.servers > num_workers:
            raise InputError(
                f"{self.servers} co-located servers do not fit on {num_workers} workers",
                "use at most one server a worker, or placement: dedicated",
            )

    @property
    def dedicated_servers(self) -> int:
        """Return the number of hosts beside the workers."""
        return self.servers if self.placement == "dedicated" else 0

    def owners(self, num_workers: int) -> int:
        """Return the number of servers."""
        return self.servers

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the push and the pull."""
        hosts = (
            servers
            if self.placement == "dedicated"
            else workers[np.arange(self.servers) * len(workers) // self.servers]
        )
        share = self._shares(payload)
        worker, server = (one.ravel() for one in np.indices((len(workers), len(hosts))))
        apart = (workers[worker] != hosts[server]) & (share[server] > 0)
        worker, server = worker[apart], server[apart]
        up, down = payload.up_bytes[worker] * share[server], payload.down_bytes * share[server]
        work_s = (len(workers) * payload.decode_s + payload.encode_s) * share[server]
        return [Round(workers[worker], hosts[server], up), Round(hosts[server], workers[worker], down, work_s)]

    def _shares(self, payload: Payload) -> NDArray[np.float64]:
        """Return [s] which part of the bucket's elements every server holds."""
        if self.sharding == "even" or not payload.tensors.sum():
            return np.full(self.servers, 1 / self.servers)
        server = (payload.first_tensor + np.arange(len(payload.tensors))) % self.servers
        return np.asarray(np.bincount(server, payload.tensors, self.servers) / payload.tensors.sum())

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return 1: what is pulled is the aggregate."""
        return 1

    def describe(self, op: Collective) -> str:
        """Name the exchange."""
        return f"push and pull, {self.servers} {self.placement} server{'s' * (self.servers > 1)}"
