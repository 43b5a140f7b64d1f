"""What the nodes and edges of a graph carry, as text with units or as numbers, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.errors import InputError, closest
from netsim.given import shown
from netsim.units import BANDWIDTH, DURATION, SIZE, Quantity

if TYPE_CHECKING:
    import networkx as nx
    from numpy.typing import NDArray

KINDS = ("worker", "server", "switch")


def check_graph(graph: object) -> None:
    """Raise InputError for what is no networkx graph, and for one with parallel edges."""
    import networkx as nx

    if not isinstance(graph, nx.Graph):
        remedy = "give a networkx graph; netsim.topology('file', path=...) reads GraphML and node-link JSON"
        raise InputError(f"{shown(graph)} is no graph", remedy)
    if graph.is_multigraph():
        raise InputError("parallel edges between two nodes", "join them into one edge of their added bandwidth")


def kind_of(node: object, attributes: dict[str, Any]) -> str:
    """Return the kind of a node; one that does not say is a worker."""
    kind = str(attributes.get("kind", "worker"))
    if kind not in KINDS:
        raise InputError(f"node {str(node)!r} has the unknown kind {kind!r}", closest(kind, KINDS))
    return kind


def windows_of(graph: nx.Graph[Any]) -> NDArray[np.float64] | None:
    """Return [nodes] the hosts' own receive windows, NaN where there is none; None where nobody has one."""
    stated = [data.get("window") for _, data in graph.nodes(data=True)]
    if all(one is None for one in stated):
        return None
    return np.array([_window(node, one) for node, one in zip(graph.nodes, stated, strict=True)])


def _window(node: object, stated: Any) -> float:
    place = f"node {str(node)!r}"
    window = np.nan if stated is None else _value(SIZE, stated, place)
    if window == 0:
        raise InputError(f"{place} has a window of 0 bytes", "give it some, or leave it out for the transport's")
    return window


def edge_of(src: object, dst: object, data: dict[str, Any]) -> tuple[float, float, bool]:
    """Return bytes/s, seconds, and whether an edge lies inside a machine."""
    place = f"edge {src} - {dst}"
    if "bandwidth" not in data:
        raise InputError(f"{place} has no bandwidth", f"give it one, for example bandwidth='{BANDWIDTH.example}'")
    if src == dst:
        raise InputError(f"{place} joins a node to itself", "leave it out: nothing can travel on it")
    bandwidth = _value(BANDWIDTH, data["bandwidth"], place)
    return bandwidth, _value(DURATION, data.get("latency", 0.0), place), truth_of("local", data, place)


def truth_of(name: str, data: dict[str, Any], place: str) -> bool:
    """Return whether something that is true or false is so; not so where nothing is said."""
    value = data.get(name, False)
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{place} has {name}={value!r}", "write true or false, without quotes")
    return bool(value)


def _value(quantity: Quantity, value: Any, place: str) -> float:
    if isinstance(value, str):
        try:
            return quantity.parse(value)
        except InputError as error:
            raise InputError(f"{place}: {error.problem}", error.remedy) from error
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number) or number < 0 or (number == 0 and not quantity.zero_allowed):
        raise InputError(f"{place} has the {quantity.name} {value!r}", f"write for example '{quantity.example}'")
    return number
