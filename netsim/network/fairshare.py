"""Max-min fair rates by progressive filling. Knows nothing of simulations: capacities and routes in, rates out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TIE = 1e-12
"""Links whose fair shares agree to this relative difference saturate together; it hides rounding only."""


def max_min_rates(
    capacity: NDArray[np.float64], flow_of: NDArray[np.int64], link_of: NDArray[np.int64], num_flows: int
) -> NDArray[np.float64]:
    """Return the max-min fair rates [F] of flows that hold every link of their route (Bertsekas, Gallager, 6.5.2).

    Args:
        capacity: [L] bytes/s of each link.
        flow_of: [E] flow of each (flow, link) pair.
        link_of: [E] link of each pair.
        num_flows: F; every flow must cross at least one link.

    All rates grow together; where a link is full, its flows stop and the others go on with what is left.
    """
    rates = np.zeros(num_flows)
    links, local_of = np.unique(link_of, return_inverse=True)
    left = capacity[links].astype(np.float64)
    while len(flow_of):
        flows_on = np.bincount(local_of, minlength=len(links))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(flows_on > 0, left / flows_on, np.inf)
        least = share.min()
        full = share <= least * (1 + _TIE)
        stopped = np.zeros(num_flows, dtype=bool)
        stopped[flow_of[full[local_of]]] = True
        rates[stopped] = least
        gone = stopped[flow_of]
        left = np.maximum(left - least * np.bincount(local_of[gone], minlength=len(links)), 0.0)
        flow_of, local_of = flow_of[~gone], local_of[~gone]
    return rates
