"""Routes on a tree, where there is one way only: climb from both ends until they meet. Memory by node, not by pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Rooted(NamedTuple):
    """A tree hung up at node 0: [nodes] parents (-1 at the root), depths, and the links to the parent and from it."""

    parent: NDArray[np.int64]
    depth: NDArray[np.int64]
    up: NDArray[np.int64]
    down: NDArray[np.int64]


def hang_up(nodes: int, link_src: NDArray[np.int64], link_dst: NDArray[np.int64]) -> Rooted | None:
    """Return a graph as a tree, or None where it is none or where a link has no way back."""
    if len(link_src) != 2 * (nodes - 1):
        return None
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import breadth_first_order

    numbered = csr_matrix((np.arange(1, len(link_src) + 1), (link_src, link_dst)), shape=(nodes, nodes))
    order, before = breadth_first_order(numbered, 0, directed=True, return_predecessors=True)
    if len(order) < nodes:
        return None
    parent, depth, child = before.astype(np.int64), np.zeros(nodes, dtype=np.int64), order[1:].astype(np.int64)
    parent[0] = -1
    for node in child.tolist():
        depth[node] = depth[parent[node]] + 1
    up, down = np.full(nodes, -1), np.full(nodes, -1)
    up[child] = np.asarray(numbered[child, parent[child]]).ravel() - 1
    down[child] = np.asarray(numbered[parent[child], child]).ravel() - 1
    return None if (up[child] < 0).any() else Rooted(parent, depth, up, down)


def climb(
    tree: Rooted, src: NDArray[np.int64], dst: NDArray[np.int64]
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Return the hops of routes from `src` [F] to `dst` [F], as equally long arrays of flows and of links."""
    flows, links = [], []
    flow, low, high = np.arange(len(src)), src.astype(np.int64), dst.astype(np.int64)
    while len(flow):
        from_src = tree.depth[low] >= tree.depth[high]
        flows.append(flow)
        links.append(np.where(from_src, tree.up[low], tree.down[high]))
        low, high = np.where(from_src, tree.parent[low], low), np.where(from_src, high, tree.parent[high])
        apart = low != high
        flow, low, high = flow[apart], low[apart], high[apart]
    return flows, links
