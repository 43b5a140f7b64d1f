"""Bandwidth and latency that vary with time: written down, or as a CSV file recorded them."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cached_property
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from annotated_types import Gt

from netsim.conditions.base import Cluster, Condition, conditions, links_named
from netsim.errors import InputError
from netsim.registry import FileField
from netsim.units import Bandwidth, Seconds

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import simpy

    from netsim.topology.graph import Topology

_COLUMNS = {"bandwidth_bit_per_s": 1 / 8, "bandwidth_bytes_per_s": 1.0}


class Level(NamedTuple):
    """What links have from a second on; None leaves it as the topology says."""

    at_s: float
    bytes_per_s: float | None
    latency_s: float | None


@conditions.register("link_profile")
@dataclass(frozen=True, kw_only=True)
class LinkProfile(Condition):
    """Bandwidth and latency that vary with time, step by step, from lists or from a CSV file.

    From each second of `at` on, `links` (names or patterns) have the `bandwidth` and the `latency` at the same place of
    these lists; before the first they are as the topology says. `file` is a CSV file with the columns `time_s`,
    `bandwidth_bit_per_s` (or `bandwidth_bytes_per_s`) and `latency_s`, the last two as far as they vary. After
    `period` it all comes again; without one the last level stays. A latency counts for transfers still to start.
    """

    links: tuple[str, ...]
    at: tuple[Seconds, ...] = ()
    bandwidth: tuple[Bandwidth, ...] = ()
    latency: tuple[Seconds, ...] = ()
    file: Annotated[str, FileField(("profiles",), ".csv")] | None = None
    period: Annotated[Seconds, Gt(0)] | None = None

    def __post_init__(self) -> None:
        """Raise InputError where the lists do not fit each other."""
        if self.file is not None:
            if self.at or self.bandwidth or self.latency:
                raise InputError(
                    "it has a file and lists", "remove `at`, `bandwidth` and `latency`, or the file", "file"
                )
            return
        if not self.at or not (self.bandwidth or self.latency):
            remedy = "write for example `at: [0 s, 10 s]` and `bandwidth: [1 Gbit/s, 100 Mbit/s]`, or give a `file`"
            raise InputError("nothing varies", remedy, "at")
        for name, values in (("bandwidth", self.bandwidth), ("latency", self.latency)):
            if values and len(values) != len(self.at):
                raise InputError(f"{len(values)} values for {len(self.at)} times", "give one for each of `at`", name)
        self._check(self.levels)

    def _check(self, levels: list[Level]) -> None:
        times_s = [one.at_s for one in levels]
        if any(later <= earlier for earlier, later in pairwise(times_s)):
            raise InputError("times do not grow", "list them in order, each once", "file" if self.file else "at")
        if self.period is not None and times_s[-1] >= self.period:
            raise InputError("a time lies after the period", f"choose a period beyond {times_s[-1]:g} s", "period")

    @cached_property
    def levels(self) -> list[Level]:
        """Return the levels in order."""
        if self.file is not None:
            return _read(Path(self.file))
        bandwidth = self.bandwidth or (None,) * len(self.at)
        latency = self.latency or (None,) * len(self.at)
        return [Level(*one) for one in zip(self.at, bandwidth, latency, strict=True)]

    def check(self, topology: Topology) -> None:
        """Raise InputError for unknown links, or a file that is no profile."""
        links_named(topology, self.links)
        self._check(self.levels)

    def begin(self, cluster: Cluster, number: int) -> None:
        """Start the process that goes through the levels."""
        cluster.env.process(self._run(cluster, number))

    def _run(self, cluster: Cluster, number: int) -> Generator[simpy.Event, None, None]:
        links, topology = links_named(cluster.topology, self.links), cluster.topology
        own_s = None if self.levels[0].latency_s is None else topology.latency_s[links]
        for one in self._all():
            yield cluster.env.timeout(max(one.at_s - cluster.env.now, 0.0))
            share = 1.0 if one.bytes_per_s is None else one.bytes_per_s / topology.capacity_bytes_per_s[links]
            latency_s = np.full(len(links), one.latency_s) if one.latency_s is not None else own_s
            cluster.states.put(number, links, share=share, latency_s=latency_s)

    def _all(self) -> Iterator[Level]:
        for turn in count() if self.period is not None else (0,):
            if turn and self.levels[0].at_s:
                yield Level(turn * (self.period or 0.0), None, None)
            for one in self.levels:
                yield one._replace(at_s=one.at_s + turn * (self.period or 0.0))


def _read(path: Path) -> list[Level]:
    """Return the levels of a CSV file; raise InputError where it is none."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read: {error}", "check the file", "file", str(path)) from error
    columns = list(rows[0]) if rows else []
    known = [name for name in columns if name in _COLUMNS]
    if "time_s" not in columns or not (known or "latency_s" in columns) or len(known) > 1:
        remedy = f"name the columns time_s, one of {', '.join(_COLUMNS)}, and latency_s"
        raise InputError("is no profile of a link", remedy, "file", str(path))
    return [_level(row, known[0] if known else "", str(path), line) for line, row in enumerate(rows, start=2)]


def _level(row: dict[str, str], bandwidth: str, file: str, line: int) -> Level:
    try:
        at_s = float(row["time_s"])
        bytes_per_s = float(row[bandwidth]) * _COLUMNS[bandwidth] if bandwidth else None
        latency_s = float(row["latency_s"]) if "latency_s" in row else None
    except (TypeError, ValueError) as error:
        raise InputError(f"line {line} is not a row of numbers", "write plain numbers", "file", file) from error
    given = [one for one in (at_s, bytes_per_s, latency_s) if one is not None]
    if not all(math.isfinite(one) and one >= 0 for one in given) or bytes_per_s == 0:
        remedy = "write finite numbers, bandwidths above zero; for a time without any add a `link_failure`"
        raise InputError(f"line {line} has a number out of range", remedy, "file", file)
    return Level(at_s, bytes_per_s, latency_s)
