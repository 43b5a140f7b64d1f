"""What a topology kind is: a frozen dataclass that builds a graph, arrays of links and routes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from netsim.errors import InputError
from netsim.registry import Registry

if TYPE_CHECKING:
    from netsim.topology.graph import Topology


MAX_HOSTS = 1_000_000
"""Far beyond what can be simulated: a slip of the pen is refused before it fills the memory."""


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

    def refuse_too_large(self, servers: int = 0) -> None:
        """Raise InputError where there would be more than `MAX_HOSTS` workers and servers."""
        if (hosts := self.num_workers + servers) > MAX_HOSTS:
            raise InputError(f"has {hosts:,} workers and servers", f"ask for at most {MAX_HOSTS:,}")


topologies: Registry[TopologyKind] = Registry("topology")
