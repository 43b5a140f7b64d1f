"""What the compiled network has solved for, as plain arrays."""

from __future__ import annotations

import numpy as np

from netsim.network import kernel


def held(fluid):
    """Return (flow, link) pairs [E] and rates [F] of the transfers that hold links."""
    core = fluid.core
    count = core.links[:, kernel.HELD]
    in_heap = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    slots = core.held[np.repeat(core.links[:, kernel.FROM], count) + in_heap]
    hops = core.hops[slots].astype(int)
    offset = np.arange(hops.sum()) - np.repeat(np.cumsum(hops) - hops, hops)
    link_of = core.link[np.repeat(slots << core.counts[kernel.SHIFT], hops) + offset]
    return np.repeat(np.arange(len(slots)), hops), link_of, core.rate[core.neck[slots], kernel.LEVEL]
