"""The central types of compression: a scheme yields what it puts on the wire and gets the aggregate back.

A scheme is a frozen dataclass without state; `init` makes a worker's state, `exchange` takes it and hands it back, so
a thousand virtual workers share one scheme object. Nothing here knows networks, topologies or clocks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from netsim.errors import NetsimError
from netsim.lazy import torch
from netsim.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

Op: TypeAlias = Literal["sum", "gather", "owner", "shard"]
"""How a message travels: `sum` is added in flight; `gather` reaches every worker as it is; `owner` goes to the owners
of its shards, who decode and average them; `shard` is an owner's re-encoded shard on its way to every worker."""

State: TypeAlias = Any
Parts: TypeAlias = "tuple[torch.Tensor, ...]"


class NonFiniteGradient(NetsimError):
    """A gradient that holds NaN or infinity: no scheme can compress it."""


@dataclass(frozen=True)
class Peer:
    """Who a state belongs to: a worker's rank among `workers`, the number of shard `owners`, and the shared seed."""

    rank: int
    workers: int
    owners: int
    seed: int


@dataclass(frozen=True)
class Message:
    """What one worker puts on the wire: tensors, their size in the declared wire format, and how they travel."""

    parts: Parts
    nbits: int
    op: Op


@dataclass
class Reply:
    """What every worker's message amounts to once the exchange is over; one object shared by all workers."""

    parts: Sequence[Parts]
    _decoded: torch.Tensor | None = field(default=None, repr=False)

    def mean(self) -> Parts:
        """Return the element-wise mean over workers of each part (the reply to `sum`)."""
        return tuple(torch.stack([one.float() for one in same]).mean(0) for same in zip(*self.parts, strict=True))

    def decoded_mean(self, decode: Callable[[Parts], torch.Tensor]) -> torch.Tensor:
        """Return the mean over workers of the decoded messages, computed once for all workers."""
        if self._decoded is None:
            total = decode(self.parts[0]).clone()
            for one in self.parts[1:]:
                total += decode(one)
            self._decoded = total / len(self.parts)
        return self._decoded


Exchange: TypeAlias = "Generator[Message, Reply, tuple[torch.Tensor, torch.Tensor, State]]"
"""Yields messages, is sent replies, returns (mean estimate, own contribution, state)."""


class Scheme(ABC):
    """A gradient compression scheme: a registered frozen dataclass whose fields are its YAML keys."""

    kind: ClassVar[str]
    paper: ClassVar[str]
    ops: ClassVar[frozenset[Op]]
    """The ops of the messages that `exchange` yields."""
    unbiased: ClassVar[bool] = False
    """Whether the expectation of the decoded message is the gradient."""

    def init(self, shape: torch.Size, peer: Peer) -> State:
        """Return the state of one worker for one tensor of `shape`, before the first step."""
        return None

    @abstractmethod
    def exchange(self, grad: torch.Tensor, state: State) -> Exchange:
        """Exchange one float32 gradient with all workers."""


schemes: Registry[Scheme] = Registry("scheme")
