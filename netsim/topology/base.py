"""What a topology kind is: a frozen dataclass that builds a graph, arrays of links and routes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from netsim.registry import Registry

if TYPE_CHECKING:
    from netsim.topology.graph import Topology


class TopologyKind(ABC):
    """A registered topology: its fields are its YAML keys; `build` makes the arrays."""

    kind: ClassVar[str]
    paper: ClassVar[str]

    @property
    @abstractmethod
    def num_workers(self) -> int:
        """Return the number of workers."""

    @property
    @abstractmethod
    def access(self) -> tuple[float, float]:
        """Return (bandwidth bytes/s, one-way latency s) by which the topology is listed in results."""

    @abstractmethod
    def build(self, servers: int = 0) -> Topology:
        """Return the topology with `servers` hosts added for dedicated parameter servers."""


topologies: Registry[TopologyKind] = Registry("topology")
