"""One collective timed alone, as nccl-tests does, so that predictions can be laid beside measured tables."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netsim.api import collective_time
from netsim.errors import InputError, ScenarioErrors
from netsim.scenario.document import parse, read
from netsim.scenario.members import Builder
from netsim.sync.named import SHARED, busbw_factor
from netsim.topology import topologies
from netsim.units import SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from netsim.topology import Topology

_FLOAT32_BYTES = 4


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
    transport: str,
    group: NDArray[np.int64],
) -> list[Timed]:
    """Return a row for each size, between the workers `group` [W].

    Raises:
        InputError: an unknown name, or an algorithm that cannot carry the collective.
    """
    workers = len(group)
    factor = busbw_factor(collective, workers)
    rows = []
    for size_bytes in sizes_bytes:
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
    """Return the topology of a file (a scenario's `topology` where it is one) or of a YAML map, with so many servers.

    Raises:
        InputError, ScenarioErrors: what is wrong with it, said of `option`.
    """
    is_file = os.path.isfile(text)
    if not is_file and text.endswith((".yaml", ".yml")):
        raise InputError(f"there is no file {text!r}", "give a file, or a map such as {kind: star, ...}", option)
    node = read(Path(text)) if is_file else parse(text, option, lined=False)
    builder = Builder(Path(text).parent if is_file else Path.cwd())
    kind = builder.member(topologies, node.get("topology") or node, "")
    if kind is None or builder.problems:
        raise ScenarioErrors(builder.problems)
    try:
        kind.refuse_too_large(servers)
    except InputError as error:
        raise InputError(error.problem, error.remedy, option) from error
    return kind.build(servers)
