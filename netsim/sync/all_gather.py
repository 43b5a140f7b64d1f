"""All-gather: everyone gets everyone's message and adds them up itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netsim.sync.base import Collective, Payload, Sync, syncs
from netsim.sync.ring import all_gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.network.base import Round
    from netsim.sync.base import Nodes


@syncs.register("all_gather", paper="Thakur, Rabenseifner, Gropp 2005, doi 10.1177/1094342005051521")
@dataclass(frozen=True, kw_only=True)
class AllGather(Sync):
    """Ring all-gather of whole messages: n-1 rounds; every worker decodes and adds all n. Carries any code."""

    carries = frozenset[Collective]({"sum", "gather"})

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds in ring order of `workers`."""
        return all_gather(payload.up_bytes, workers)

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return n."""
        return num_workers

    def describe(self, op: Collective) -> str:
        """Name the collective."""
        return "ring all-gather"
