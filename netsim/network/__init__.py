"""Networks: rounds of transfers in, finish times out, at several fidelities."""

from netsim.network.analytic import Analytic
from netsim.network.base import Execution, Fidelity, Network, Round, Transfers, fidelities
from netsim.network.flow import Flow
from netsim.network.ideal import Ideal
from netsim.network.packet import PacketFidelity
from netsim.network.transport import Transport, transports

__all__ = [
    "Analytic",
    "Execution",
    "Fidelity",
    "Flow",
    "Ideal",
    "Network",
    "PacketFidelity",
    "Round",
    "Transfers",
    "Transport",
    "fidelities",
    "transports",
]
