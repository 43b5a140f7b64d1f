"""The flow fidelity: a fluid of transfers that share links max-min fairly, re-solved at arrivals and completions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.network.base import Fidelity, Network, fidelities
from netsim.network.links import Links

if TYPE_CHECKING:
    import simpy
    from numpy.typing import NDArray

    from netsim.network.base import Transfers
    from netsim.network.transport import Transport
    from netsim.topology.graph import Topology


@fidelities.register("flow", paper="Bertsekas, Gallager 1992, 6.5.2")
@dataclass(frozen=True, kw_only=True)
class Flow(Fidelity):
    """Fluid transfers with max-min fair sharing, re-solved at arrivals and completions: the answer."""

    changes = True
    shares = True

    # What is compiled is imported where something is simulated: a scenario is checked without paying for it.

    def build(self, env: simpy.Environment, topology: Topology, transport: Transport) -> Network:
        """Return a flow network in `env`."""
        from netsim.network.flow_network import FlowNetwork

        return FlowNetwork(env, topology, transport)

    def transfer_times(self, topology: Topology, transport: Transport, transfers: Transfers) -> NDArray[np.float64]:
        """Return the [F] seconds at which independent transfers finish."""
        from netsim.network.fluid import Fluid

        links = Links(topology, transport)
        src, dst, nbytes, start_s = transfers
        routed = links.routed(src, dst)
        begin_s = start_s + routed.delay_s + links.slow_start_s(src, dst, nbytes)
        fluid = Fluid(links)
        finish_s = fluid.queue(routed, begin_s, nbytes)
        fluid.run(np.inf, np.inf)
        return finish_s
