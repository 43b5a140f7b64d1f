"""One collective timed alone, as nccl-tests does, so that predictions can be laid beside measured tables."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from netsim.api import collective_time
from netsim.errors import InputError, ScenarioErrors
from netsim.network import transports
from netsim.scenario.document import parse, read
from netsim.scenario.members import Builder
from netsim.scenario.points import DEFAULT_TRANSPORT
from netsim.scenario.tree import from_python
from netsim.sync.named import SHARED, busbw_factor
from netsim.topology import topologies
from netsim.units import SIZE, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from netsim.network import Transport
    from netsim.registry import Registry
    from netsim.scenario.tree import Node
    from netsim.ticker import Tell
    from netsim.topology import Topology

T = TypeVar("T")
_FLOAT32_BYTES = 4
GRAPHS = ".graphml", ".json"


class Timed(NamedTuple):
    """One row of nccl-tests: bytes, elements of float32, seconds, and the two bandwidths in bytes/s."""

    size_bytes: float
    elements: float
    time_s: float
    algbw_bytes_per_s: float
    busbw_bytes_per_s: float


def time_collective(
    topology: Topology,
    collective: str,
    sizes_bytes: Sequence[float],
    algorithm: str,
    network: str,
    transport: Transport,
    group: NDArray[np.int64],
    progress: Tell,
) -> list[Timed]:
    """Return a row for each size, between the workers `group` [W]; `progress` is told of each before it begins.

    Raises:
        InputError: an unknown name, or an algorithm that cannot carry the collective.
    """
    workers = len(group)
    factor = busbw_factor(collective, workers)
    rows = []
    for done, size_bytes in enumerate(sizes_bytes):
        progress(done, len(sizes_bytes), format_size(size_bytes))
        time_s = collective_time(topology, collective, size_bytes, algorithm, network, transport, group)
        rate = size_bytes / time_s if time_s else 0.0
        elements = size_bytes / _FLOAT32_BYTES / (workers if collective in SHARED else 1)
        rows.append(Timed(size_bytes, elements, time_s, rate, rate * factor))
    return rows


def parse_sizes(text: str) -> list[float]:
    """Return the bytes of a list such as `1MB,16MB`; raise InputError for what is no size."""
    sizes = []
    for part in text.split(","):
        try:
            sizes.append(SIZE.parse(part.strip()))
        except InputError as error:
            raise InputError(error.problem, error.remedy, path="--sizes") from error
        if not sizes[-1]:
            raise InputError("a collective of 0 bytes has no bandwidth", "leave it out", path="--sizes")
    return sizes


def parse_workers(text: str, topology: Topology) -> NDArray[np.int64]:
    """Return the nodes [W] of a list such as `0-3,8,worker12`, or all workers for an empty one.

    Raises:
        InputError: a node that the topology does not have, or a range that ends before it begins.
    """
    if not text:
        return topology.workers
    named: list[str | int] = []
    for part in (one.strip() for one in text.split(",")):
        if span := re.fullmatch(r"(\d+)(?:-(\d+))?", part):
            first, last = int(span[1]), int(span[2] or span[1])
            if last < first:
                raise InputError(f"the range {part} ends before it begins", f"write {last}-{first}", path="--workers")
            # No further than the first node that is not there, which is then named.
            named += range(first, min(last, max(first, len(topology.names))) + 1)
        else:
            named.append(part)
    try:
        return topology.nodes(named)
    except InputError as error:
        raise InputError(error.problem, error.remedy, path="--workers") from error


def parse_topology(text: str, servers: int, option: str = "--topology") -> Topology:
    """Return the topology of a graph's file, of a scenario's file, or of a YAML map, with so many servers.

    Raises:
        InputError, ScenarioErrors: what is wrong with it, said of `option`.
    """
    text = f"{{kind: file, path: {json.dumps(text)}}}" if text.endswith(GRAPHS) else text
    node, folder = _written(text, option, "a map such as {kind: star, ...}")
    kind = _built(topologies, node.get("topology") or node, folder)
    try:
        kind.refuse_too_large(servers)
    except InputError as error:
        raise InputError(error.problem, error.remedy, option) from error
    return kind.build(servers)


def parse_transport(text: str, option: str = "--transport") -> Transport:
    """Return the transport of a name, of a YAML map, or of a file: of a scenario's `network` section, where it has one.

    Raises:
        InputError, ScenarioErrors: what is wrong with it, said of `option`.
    """
    if text in transports:
        return transports.get(text)()
    node, folder = _written(text, option, "a name or a map such as {kind: tcp, efficiency: 0.9}")
    if network := node.get("network"):
        node = network.get("transport") or from_python(DEFAULT_TRANSPORT)
    return _built(transports, node, folder)


def _written(text: str, option: str, instead: str) -> tuple[Node, Path]:
    """Return what a file or a YAML text says, and the folder in which files that it names are looked for."""
    if os.path.isfile(text):
        return read(Path(text)), Path(text).parent
    if text.endswith((".yaml", ".yml")):
        raise InputError(f"there is no file {text!r}", f"give a file, or {instead}", option)
    return parse(text, option, lined=False), Path.cwd()


def _built(registry: Registry[T], node: Node, folder: Path) -> T:
    builder = Builder(folder)
    member = builder.member(registry, node, "")
    if member is None or builder.problems:
        raise ScenarioErrors(builder.problems)
    return member
