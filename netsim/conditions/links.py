"""The state of every link where several conditions have a say: shares and arrivals multiply, the last latency holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netsim.network.base import LinkState

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from netsim.network.base import Network


class LinkStates:
    """What each condition, by its name, makes of the links."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._latency_s = network.links.topology.latency_s.copy()
        self._share: dict[Hashable, NDArray[np.float64]] = {}
        self._arrives: dict[Hashable, NDArray[np.float64]] = {}

    def put(
        self,
        condition: Hashable,
        links: NDArray[np.int64],
        *,
        share: NDArray[np.float64] | float = 1.0,
        latency_s: NDArray[np.float64] | None = None,
        loss: float = 0.0,
    ) -> None:
        """Let a condition give links [K] a share of their capacity, other latencies, and a loss, from now on."""
        ones = np.ones(len(self._latency_s))
        self._share.setdefault(condition, ones.copy())[links] = share
        self._arrives.setdefault(condition, ones.copy())[links] = 1.0 - loss
        if latency_s is not None:
            self._latency_s[links] = latency_s
        shares = np.prod([one[links] for one in self._share.values()], axis=0)
        arrives = np.prod([one[links] for one in self._arrives.values()], axis=0)
        self._network.change(links, LinkState(shares, self._latency_s[links], 1.0 - arrives))
