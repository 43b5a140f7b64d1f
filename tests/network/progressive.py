"""Progressive filling in NumPy (Bertsekas, Gallager 1992, 6.5.2): the plain reference of the compiled network."""

from __future__ import annotations

import numpy as np


def max_min_rates(capacity, flow_of, link_of, flows):
    """Return the rates [F] of flows that hold links, given as (flow, link) pairs [E]; each holds one at least.

    A link is full where none of its flows has a link that gives it less: all such links are filled in one go.
    """
    rates, left = np.zeros(flows), capacity.astype(float)
    while len(flow_of):
        growing = np.bincount(link_of, minlength=len(left))
        share = (left / np.maximum(growing, 1))[link_of]
        least = np.full(flows, np.inf)
        np.minimum.at(least, flow_of, share)
        full = np.ones(len(left), dtype=bool)
        full[link_of[share > least[flow_of] * (1 + 1e-12)]] = False
        stopped = np.zeros(flows, dtype=bool)
        stopped[flow_of[full[link_of]]] = True
        rates[stopped] = least[stopped]
        gone = stopped[flow_of]
        left = np.maximum(left - np.bincount(link_of[gone], rates[flow_of[gone]], len(left)), 0.0)
        flow_of, link_of = flow_of[~gone], link_of[~gone]
    return rates


def transfer_times(capacity, start, links, begin_s, nbytes, changes=()):
    """Return when transfers [F] over CSR routes finish that begin to hold them at `begin_s`.

    `changes` are (second, capacities [L] from then on), in order.
    """
    finish_s, left, now_s, changes = np.full(len(nbytes), np.nan), nbytes.astype(float), 0.0, list(changes)
    flow_of = np.repeat(np.arange(len(nbytes)), np.diff(start))
    while np.isnan(finish_s).any():
        while changes and changes[0][0] <= now_s * (1 + 1e-13):
            capacity = changes.pop(0)[1]
        active = np.flatnonzero((begin_s <= now_s * (1 + 1e-13)) & np.isnan(finish_s))
        place = np.full(len(nbytes), -1)
        place[active] = np.arange(len(active))
        held = place[flow_of] >= 0
        rates = max_min_rates(capacity, place[flow_of[held]], links[held], len(active))
        ends_s = np.divide(left[active], rates, out=np.full(len(rates), np.inf), where=rates > 0)
        next_change_s = changes[0][0] - now_s if changes else np.inf
        coming_s = begin_s[(begin_s > now_s * (1 + 1e-13)) & np.isnan(finish_s)].min(initial=np.inf) - now_s
        step_s = min(ends_s.min(initial=np.inf), coming_s, next_change_s)
        now_s += step_s
        left[active] = np.maximum(left[active] - rates * step_s, 0.0)
        finish_s[active[ends_s <= step_s + 1e-13 * now_s]] = now_s
    return finish_s
