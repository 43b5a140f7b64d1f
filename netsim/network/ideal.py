"""The ideal fidelity: transfers take no time. It shows the headroom, the bound on any speedup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.network.analytic import Bound
from netsim.network.base import Fidelity, Network, fidelities
from netsim.network.links import Links

if TYPE_CHECKING:
    from collections.abc import Sequence

    import simpy
    from numpy.typing import NDArray

    from netsim.network.analytic import Spell
    from netsim.network.base import LinkState, Round, Transfers
    from netsim.network.transport import Transport
    from netsim.topology.graph import Topology


def no_time(rounds: Sequence[Round], spells: Sequence[Spell], time_s: NDArray[np.float64]) -> float:
    """Move times on by the work that is held before a transfer, and by nothing else."""
    for one in rounds:
        leave_s = time_s[one.src] + one.hold_s
        for node in (one.src, one.dst):
            np.maximum.at(time_s, node, leave_s)
    return 0.0


class _Free(Bound):
    """A network whose links may change as they like."""

    def expect_changes(self) -> None:
        """Get ready for nothing."""

    def change(self, links: NDArray[np.int64], state: LinkState) -> None:
        """Let nothing change: no transfer takes any time."""


@fidelities.register("ideal")
@dataclass(frozen=True, kw_only=True)
class Ideal(Fidelity):
    """Transfers take no time; only work at servers does: the headroom of any speedup."""

    takes_time = False

    def build(self, env: simpy.Environment, topology: Topology, transport: Transport) -> Network:
        """Return an ideal network in `env`."""
        return _Free(env, Links(topology, transport), no_time)

    def transfer_times(self, topology: Topology, transport: Transport, transfers: Transfers) -> NDArray[np.float64]:
        """Return the start times: nothing takes any time."""
        topology.routes(transfers.src, transfers.dst)
        return transfers.start_s.copy()
