"""One collective timed alone, as nccl-tests does, so that predictions can be laid beside measured tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netsim.api import collective_time
from netsim.errors import InputError, ScenarioErrors
from netsim.scenario.document import parse, read
from netsim.scenario.members import Builder
from netsim.sync import syncs
from netsim.sync.named import SHARED, busbw_factor
from netsim.topology import topologies
from netsim.units import SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    topology: Topology, collective: str, sizes_bytes: Sequence[float], algorithm: str, network: str, transport: str
) -> list[Timed]:
    """Return a row for each size; raise InputError for an unknown name or an algorithm that cannot carry it."""
    workers = len(topology.workers)
    factor = busbw_factor(collective, workers)
    rows = []
    for size_bytes in sizes_bytes:
        time_s = collective_time(topology, collective, size_bytes, algorithm, network, transport)
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


def parse_topology(text: str, algorithm: str) -> Topology:
    """Return the topology of a file (a scenario's `topology` where it is one) or of a YAML map, with servers if needed.

    Raises:
        InputError, ScenarioErrors: what is wrong with it.
    """
    servers = syncs.get(algorithm)().dedicated_servers
    is_file = os.path.isfile(text)
    if not is_file and text.endswith((".yaml", ".yml")):
        raise InputError(f"there is no file {text!r}", "give a file, or a map such as {kind: star, ...}", "--topology")
    node = read(Path(text)) if is_file else parse(text, "--topology", lined=False)
    builder = Builder(Path(text).parent if is_file else Path.cwd())
    kind = builder.member(topologies, node.get("topology") or node, "")
    if kind is None or builder.problems:
        raise ScenarioErrors(builder.problems)
    return kind.build(servers)
