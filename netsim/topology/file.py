"""A topology of the user's own, from GraphML or node-link JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from xml.etree.ElementTree import ParseError

import networkx as nx
import numpy as np

from netsim.errors import InputError
from netsim.registry import FileField
from netsim.topology.base import TopologyKind, topologies
from netsim.topology.graph import Topology


@topologies.register("file")
@dataclass(frozen=True, kw_only=True)
class File(TopologyKind):
    """Any graph from a GraphML (.graphml) or node-link JSON (.json) file.

    Nodes carry `kind` (worker, server or switch) and, if it is not the transport's, the `window` of their sockets (text
    with a unit), edges `bandwidth` and `latency` as text with units, per direction.
    Dedicated servers sit on the file's server nodes, in their order.
    """

    path: Annotated[str, FileField(("topologies",))]

    @cached_property
    def _topology(self) -> Topology:
        graph = _read(Path(self.path))
        edges = ((f"edge {u} - {v}", data) for u, v, data in graph.edges(data=True))
        nodes = ((f"node {node}", data) for node, data in graph.nodes(data=True))
        for place, data in (*edges, *nodes):
            for key in ("bandwidth", "latency", "window"):
                if key in data and not isinstance(data[key], str):
                    raise InputError(
                        f"{place} has the {key} {data[key]!r} without a unit",
                        "write it as text, for example '10 Gbit/s', '25 us' or '6 MiB'",
                        file=self.path,
                    )
        try:
            topology = Topology.from_networkx(graph)
        except InputError as error:
            raise InputError(error.problem, error.remedy, file=self.path) from error
        if not np.isin(topology.link_src, topology.workers).any():
            raise InputError("no worker has a link", "join the workers by edges", file=self.path)
        return topology

    @property
    def num_workers(self) -> int:
        """Return the number of worker nodes of the file."""
        return len(self._topology.workers)

    @property
    def access(self) -> tuple[float, float]:
        """Return the slowest capacity of the workers' own links and the greatest latency among them."""
        topology = self._topology
        own = np.isin(topology.link_src, topology.workers)
        return float(topology.capacity_bytes_per_s[own].min()), float(topology.latency_s[own].max())

    def build(self, servers: int = 0) -> Topology:
        """Return the file's topology; raise InputError where it has fewer server nodes than asked for."""
        found = len(self._topology.servers)
        if servers > found:
            raise InputError(
                f"{servers} dedicated servers are asked for, and the graph has {found}",
                "mark more nodes with kind='server', or put the servers beside the workers with placement: colocated",
                file=self.path,
            )
        return self._topology


def _read(path: Path) -> nx.Graph[Any]:
    try:
        if path.suffix == ".graphml":
            return nx.read_graphml(path)
        if path.suffix == ".json":
            return _node_link(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", "check the path", file=str(path)) from error
    except (ParseError, ValueError, KeyError, TypeError, nx.NetworkXError) as error:
        raise InputError(
            f"is not a graph: {error}", "write GraphML or node-link JSON as networkx does", file=str(path)
        ) from error
    raise InputError(
        f"the ending {path.suffix!r} is not known", "use .graphml, or .json for node-link JSON", file=str(path)
    )


def _node_link(data: Any) -> nx.Graph[Any]:
    """Return the graph; one that does not say whether it has parallel edges is simple if it has none."""
    if not isinstance(data, dict):
        raise TypeError("not an object with nodes and links")
    graph: nx.Graph[Any] = nx.node_link_graph(data, edges="links" if "links" in data else "edges")
    simple: nx.Graph[Any] = nx.DiGraph(graph) if graph.is_directed() else nx.Graph(graph)
    return simple if simple.number_of_edges() == graph.number_of_edges() else graph
