"""A topology as arrays: directed links with capacity and latency, and routes as CSR. networkx is the way in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import networkx as nx
import numpy as np

from netsim.errors import InputError, closest
from netsim.given import plain, shown
from netsim.topology.attributes import check_graph, edge_of, kind_of, truth_of, windows_of
from netsim.topology.tree import climb, hang_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from netsim.topology.tree import Rooted

_EQUAL = 1e-12
"""Routes whose lengths agree to this relative difference are equal; it hides rounding only."""


@dataclass(frozen=True, eq=False)
class Topology:
    """Nodes and directed links of a network.

    Attributes:
        names: names of the nodes; a node's index is its place here.
        workers: [W] indices of the nodes that train.
        servers: [S] indices of the hosts for dedicated parameter servers.
        link_src, link_dst: [L] nodes that each link joins.
        capacity_bytes_per_s: [L] bytes per second of each link.
        latency_s: [L] propagation seconds of each link.
        local: [L] whether the link lies inside a machine, where no transport protocol is spoken.
        ecmp: whether routes of equal length share the pairs of nodes, by a hash of source and destination.
        window_bytes: [nodes] bytes that a socket of each node takes in a round trip; NaN where the transport says it.
    """

    names: tuple[str, ...]
    workers: NDArray[np.int64]
    servers: NDArray[np.int64]
    link_src: NDArray[np.int64]
    link_dst: NDArray[np.int64]
    capacity_bytes_per_s: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    local: NDArray[np.bool_]
    ecmp: bool = False
    window_bytes: NDArray[np.float64] | None = None
    _predecessors: dict[int, NDArray[np.int32]] = field(default_factory=dict, repr=False)
    _distances: dict[int, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    @classmethod
    def from_networkx(cls, graph: nx.Graph[Any]) -> Topology:
        """Return the topology of a graph, directed or not (an undirected edge is a link in each direction).

        Edges carry `bandwidth` (text with a unit, or bytes/s), `latency` (text, or seconds; 0 if absent) and `local`
        (true inside a machine). Nodes may carry `kind`: worker, server or switch; a node without one is a worker. Hosts
        may carry `window` (text, or bytes): what a socket of theirs takes in a round trip, in the place of the
        transport's. The graph may carry `ecmp`: true lets routes of equal length share the traffic.

        Raises:
            InputError: no networkx graph; an edge without bandwidth, or from a node to itself; a wrong value, an
                unknown kind, parallel edges, no worker.
        """
        check_graph(graph)
        names = tuple(str(node) for node in graph.nodes)
        if len(set(names)) < len(names):
            raise InputError("two nodes have the same name when written as text", "give every node its own name")
        kinds = [kind_of(node, attributes) for node, attributes in graph.nodes(data=True)]
        if "worker" not in kinds:
            raise InputError("the graph has no worker", "mark nodes with kind='worker', or leave their kind out")
        index = {node: place for place, node in enumerate(graph.nodes)}
        links: list[tuple[Any, ...]] = [
            (index[u], index[v], *edge_of(u, v, data)) for u, v, data in graph.edges(data=True)
        ]
        if not graph.is_directed():
            links = [one for u, v, *rest in links for one in ((u, v, *rest), (v, u, *rest))]
        columns: list[Any] = list(zip(*links, strict=True)) if links else [(), (), (), (), ()]
        return cls(
            names=names,
            workers=np.array([i for i, kind in enumerate(kinds) if kind == "worker"], dtype=np.int64),
            servers=np.array([i for i, kind in enumerate(kinds) if kind == "server"], dtype=np.int64),
            link_src=np.array(columns[0], dtype=np.int64),
            link_dst=np.array(columns[1], dtype=np.int64),
            capacity_bytes_per_s=np.array(columns[2], dtype=np.float64),
            latency_s=np.array(columns[3], dtype=np.float64),
            local=np.array(columns[4], dtype=np.bool_),
            ecmp=truth_of("ecmp", graph.graph, "the graph"),
            window_bytes=windows_of(graph),
        )

    @cached_property
    def machines(self) -> NDArray[np.int64]:
        """Return [nodes] the machine of each node: nodes that local links join are in one."""
        from scipy.sparse import csr_matrix
        from scipy.sparse.csgraph import connected_components

        size, inside = len(self.names), self.local
        ends = self.link_src[inside], self.link_dst[inside]
        graph = csr_matrix((np.ones(len(ends[0])), ends), shape=(size, size))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)

    @property
    def link_names(self) -> list[str]:
        """Return `source->destination` for every link."""
        return [f"{self.names[u]}->{self.names[v]}" for u, v in zip(self.link_src, self.link_dst, strict=True)]

    def node(self, name_or_index: str | int) -> int:
        """Return the index of a node given by name or index; raise InputError where there is none."""
        if isinstance(name_or_index, str):
            if name_or_index not in self.names:
                raise InputError(f"the topology has no node {name_or_index!r}", closest(name_or_index, self.names))
            return self.names.index(name_or_index)
        whole = isinstance(name_or_index, int | np.integer) and not isinstance(name_or_index, bool)
        if not whole or not 0 <= name_or_index < len(self.names):
            raise InputError(
                f"the topology has no node {name_or_index}", f"indices run from 0 to {len(self.names) - 1}"
            )
        return int(name_or_index)

    def nodes(self, names_or_indices: Sequence[str | int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the indices [F] of nodes given by names or indices; raise InputError for what is no list of them."""
        given = plain(names_or_indices)
        if isinstance(given, str) or not isinstance(given, Iterable):
            one = f"[{shown(given)}]" if isinstance(given, str | int) else "['worker0', 'worker1'] or [0, 1]"
            raise InputError(f"{shown(given)} is no list of nodes", f"write for example {one}")
        return np.array([self.node(one) for one in given], np.int64)

    def routes(self, src: NDArray[np.int64], dst: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return routes from `src` [F] to `dst` [F] as CSR: `links[start[f]:start[f + 1]]` are the links of route f.

        A route has the fewest hops and, among those, the least latency. With `ecmp`, each switch on the way back from
        the destination takes one of its equal links by a hash of source, destination and itself (RFC 2992), the same
        in every process. The links are in no particular order.

        Raises:
            InputError: a node that sends to itself, or that cannot be reached.
        """
        if not len(src):
            return np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64)
        if (src == dst).any():
            name = self.names[int(src[int(np.argmax(src == dst))])]
            raise InputError(f"{name!r} sends to itself", "leave out transfers whose source is their destination")
        if self._tree is not None:
            return _as_csr(*climb(self._tree, src, dst), len(src))
        sources, row = np.unique(src, return_inverse=True)
        before = self._before(sources)
        flows, hops = [], []
        flow, here = np.arange(len(src)), dst.astype(np.int64)
        while len(flow):
            previous = before[row[flow], here].astype(np.int64)
            if self.ecmp:
                previous = self._one_of_equal(src[flow], dst[flow], here, previous)
            if (previous < 0).any():
                lost = int(flow[int(np.argmax(previous < 0))])
                names = self.names[int(src[lost])], self.names[int(dst[lost])]
                raise InputError(f"no route from {names[0]!r} to {names[1]!r}", "join them by links")
            flows.append(flow)
            hops.append(self._link(previous, here))
            go_on = previous != src[flow]
            flow, here = flow[go_on], previous[go_on]
        return _as_csr(flows, hops, len(src))

    def refuse_apart(self, hosts: NDArray[np.int64]) -> None:
        """Raise InputError where hosts [H] do not all reach each other, there and back."""
        part = self._parts("strong")[1][hosts]
        if (part != part[0]).any():
            names = self.names[int(hosts[0])], self.names[int(hosts[int(np.argmax(part != part[0]))])]
            raise InputError(f"no routes between {names[0]!r} and {names[1]!r}, there and back", "join them by links")

    def most_hops(self) -> int:
        """Return a number of hops that no route exceeds, whatever the order of the nodes.

        In each part of the graph whose nodes all reach each other, by way of its first node: to it, and on from it.
        """
        from scipy.sparse.csgraph import dijkstra

        parts, part = self._parts("weak")
        if self._parts("strong")[0] > parts:
            return len(self.names) - 1
        first, graph = np.unique(part, return_index=True)[1], self._graph(np.ones(len(self.link_src)))
        there, back = (dijkstra(one, indices=first, unweighted=True, min_only=True) for one in (graph, graph.T))
        return int(there.max() + back.max())

    def _graph(self, weight: NDArray[np.float64]) -> csr_matrix[Any]:
        from scipy.sparse import csr_matrix

        size = len(self.names)
        return csr_matrix((weight, (self.link_src, self.link_dst)), shape=(size, size))

    def _parts(self, connection: Literal["weak", "strong"]) -> tuple[int, NDArray[np.int32]]:
        """Return how many parts the graph falls into, and [nodes] which one each node is in."""
        from scipy.sparse.csgraph import connected_components

        count, part = connected_components(self._graph(np.ones(len(self.link_src))), connection=connection)
        return int(count), part

    @cached_property
    def _tree(self) -> Rooted | None:
        return hang_up(len(self.names), self.link_src, self.link_dst)

    def _before(self, sources: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return [sources, nodes]: the node before each node on the route from each source."""
        missing = np.array([one for one in sources.tolist() if one not in self._predecessors], dtype=np.int64)
        if len(missing):
            from scipy.sparse.csgraph import dijkstra

            distance, before = dijkstra(self._graph(self._weight), indices=missing, return_predecessors=True)
            self._predecessors.update(zip(missing.tolist(), before, strict=True))
            if self.ecmp:
                self._distances.update(zip(missing.tolist(), distance, strict=True))
        return np.stack([self._predecessors[one] for one in sources.tolist()])

    @cached_property
    def _weight(self) -> NDArray[np.float64]:
        """Return [L] what a route's length is added up from: hops first, then latency."""
        total_s = float(self.latency_s.sum()) or 1.0
        return np.asarray(1.0 + 0.5 * self.latency_s / total_s)

    @cached_property
    def _incoming(self) -> NDArray[np.int64]:
        """Return [nodes, most links] the links that end at each node, filled up with -1."""
        order = np.argsort(self.link_dst, kind="stable")
        count = np.bincount(self.link_dst, minlength=len(self.names))
        place = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
        table = np.full((len(self.names), int(count.max(initial=1))), -1, dtype=np.int64)
        table[self.link_dst[order], place] = order
        return table

    def _one_of_equal(
        self, src: NDArray[np.int64], dst: NDArray[np.int64], here: NDArray[np.int64], previous: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return [F] the node before `here`: one of those on a shortest route, by the hash; -1 stays -1."""
        sources, row = np.unique(src, return_inverse=True)
        distance = np.stack([self._distances[one] for one in sources.tolist()])
        links = self._incoming[here]
        length = distance[row[:, None], self.link_src[links]] + self._weight[links]
        equal = (links >= 0) & (length <= distance[row, here][:, None] * (1 + _EQUAL))
        chosen = _hash(src, dst, here) % np.maximum(equal.sum(axis=1), 1)
        column = np.argmax(np.cumsum(equal, axis=1) == chosen[:, None] + 1, axis=1)
        found = self.link_src[links[np.arange(len(here)), column]]
        return np.where(previous < 0, previous, found)

    def _link(self, src: NDArray[np.int64], dst: NDArray[np.int64]) -> NDArray[np.int64]:
        size = len(self.names)
        key = self.link_src * size + self.link_dst
        order = np.argsort(key)
        return order[np.searchsorted(key[order], src * size + dst)]


def _hash(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return [F] well mixed non-negative integers: the finaliser of MurmurHash3 after each column."""
    mixed = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        mixed = (mixed ^ column.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(33)
    return (mixed >> np.uint64(1)).astype(np.int64)


def _as_csr(
    flows: list[NDArray[np.int64]], hops: list[NDArray[np.int64]], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    flow = np.concatenate(flows) if flows else np.zeros(0, np.int64)
    link = np.concatenate(hops) if hops else np.zeros(0, np.int64)
    start = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(flow, minlength=count), out=start[1:])
    return start, link[np.argsort(flow, kind="stable")]
