"""What the compiled network has solved for, as plain arrays."""

from __future__ import annotations

import numpy as np

from netsim.network import kernel


def held(fluid):
    """Return (flow, link) pairs [E] and rates [F] of the transfers that hold links."""
    core = fluid.core
    slots = np.flatnonzero(core.state != kernel.IDLE)
    hops = core.hops[slots].astype(int)
    offset = np.arange(hops.sum()) - np.repeat(np.cumsum(hops) - hops, hops)
    link_of = core.link[np.repeat(slots << core.counts[kernel.SHIFT], hops) + offset]
    return np.repeat(np.arange(len(slots)), hops), link_of, core.flow[slots, kernel.RATE]
