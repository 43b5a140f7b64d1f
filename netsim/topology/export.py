"""A topology written for other tools: GraphML and node-link JSON, which `kind: file` reads back, and SimGrid's XML."""

from __future__ import annotations

import json
from functools import partial
from typing import IO, TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import networkx as nx
import numpy as np

from netsim.errors import InputError
from netsim.writing import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from netsim.topology.graph import Topology

_HOST_SPEED = "1Gf"
_DOCTYPE = '<?xml version="1.0"?>\n<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">\n'


def export(topology: Topology, path: Path) -> None:
    """Write a topology as .graphml, .json (node-link) or .xml (SimGrid platform, version 4.1).

    The first two say everything that a topology holds. A platform holds hosts, a link for each direction and the routes
    between all pairs of hosts, so it grows with their square.

    Raises:
        InputError: another ending, or a file that cannot be written.
    """
    if path.suffix not in _WRITERS:
        raise InputError(f"the ending {path.suffix!r} is not known", f"use {', '.join(_WRITERS)}", file=str(path))
    write_atomically(path, partial(_WRITERS[path.suffix], topology))


def to_networkx(topology: Topology) -> nx.DiGraph[str]:
    """Return the directed graph of a topology, quantities as text with their units; `from_networkx` reads it back."""
    graph: nx.DiGraph[str] = nx.DiGraph(ecmp=topology.ecmp)
    kinds = np.full(len(topology.names), "switch", dtype=object)
    kinds[topology.workers], kinds[topology.servers] = "worker", "server"
    for node, (name, kind) in enumerate(zip(topology.names, kinds.tolist(), strict=True)):
        graph.add_node(name, kind=kind)
        if topology.window_bytes is not None and not np.isnan(topology.window_bytes[node]):
            graph.nodes[name]["window"] = f"{float(topology.window_bytes[node])!r} B"
    for link, (src, dst) in enumerate(zip(topology.link_src.tolist(), topology.link_dst.tolist(), strict=True)):
        graph.add_edge(
            topology.names[src],
            topology.names[dst],
            bandwidth=f"{float(topology.capacity_bytes_per_s[link])!r} B/s",
            latency=f"{float(topology.latency_s[link])!r} s",
            local=bool(topology.local[link]),
        )
    return graph


def _graphml(topology: Topology, stream: IO[bytes]) -> None:
    nx.write_graphml(to_networkx(topology), stream)


def _node_link(topology: Topology, stream: IO[bytes]) -> None:
    data: dict[str, Any] = nx.node_link_data(to_networkx(topology), edges="edges")
    stream.write(json.dumps(data, indent=1).encode())


def _simgrid(topology: Topology, stream: IO[bytes]) -> None:
    platform = Element("platform", version="4.1")
    zone = SubElement(platform, "zone", id="netsim", routing="Full")
    hosts = np.concatenate([topology.workers, topology.servers])
    for host in hosts.tolist():
        SubElement(zone, "host", id=topology.names[host], speed=_HOST_SPEED)
    for link, name in enumerate(topology.link_names):
        bandwidth, latency = float(topology.capacity_bytes_per_s[link]), float(topology.latency_s[link])
        SubElement(zone, "link", id=name, bandwidth=f"{bandwidth!r}Bps", latency=f"{latency!r}s")
    src, dst = (one.ravel() for one in np.meshgrid(hosts, hosts, indexing="ij"))
    src, dst = src[src != dst], dst[src != dst]
    start, links = topology.routes(src, dst)
    names = topology.link_names
    for flow, (one, other) in enumerate(zip(src.tolist(), dst.tolist(), strict=True)):
        ends = {"src": topology.names[one], "dst": topology.names[other], "symmetrical": "NO"}
        route = SubElement(zone, "route", ends)
        for link in _walk(topology, links[start[flow] : start[flow + 1]].tolist(), one):
            SubElement(route, "link_ctn", id=names[link])
    indent(platform)
    stream.write(_DOCTYPE.encode())
    ElementTree(platform).write(stream, encoding="utf-8", xml_declaration=False)


def _walk(topology: Topology, links: list[int], here: int) -> list[int]:
    """Return the links of a route in the order in which a message crosses them."""
    leaving = {int(topology.link_src[link]): link for link in links}
    found = []
    while here in leaving:
        found.append(leaving.pop(here))
        here = int(topology.link_dst[found[-1]])
    return found


_WRITERS = {".graphml": _graphml, ".json": _node_link, ".xml": _simgrid}
