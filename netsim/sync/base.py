"""What a synchronisation architecture is: it expands one collective of a bucket into rounds of transfers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from netsim.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from netsim.network.base import Round

Collective = Literal["sum", "gather", "owner"]
"""What has to be carried: `sum` is reduced in flight, `gather` reaches everyone, `owner` is reduced by shard owners."""


@dataclass(frozen=True)
class Payload:
    """One collective of one bucket.

    Attributes:
        op: how the messages travel.
        up_bytes: [n] bytes of each worker's message.
        down_bytes: bytes of the aggregate as an owner or server hands it out, all shards together.
        tensors: [t] elements of each tensor of the bucket, for sharding by tensor.
        first_tensor: index of the bucket's first tensor in the model.
        decode_s: seconds an owner takes to decode and add one worker's whole message.
        encode_s: seconds an owner takes to encode the whole aggregate.
    """

    op: Collective
    up_bytes: NDArray[np.float64]
    down_bytes: float
    tensors: NDArray[np.int64]
    first_tensor: int = 0
    decode_s: float = 0.0
    encode_s: float = 0.0


class Sync(ABC):
    """A registered synchronisation architecture: its fields are its YAML keys."""

    kind: ClassVar[str]
    paper: ClassVar[str]
    carries: ClassVar[frozenset[Collective]]
    """The collectives it can carry by itself."""
    fallback: ClassVar[str] = ""
    """The architecture that carries what this one cannot, or none."""

    @property
    def dedicated_servers(self) -> int:
        """Return the number of hosts it needs beside the workers."""
        return 0

    @abstractmethod
    def rounds(self, payload: Payload, workers: NDArray[np.int64], servers: NDArray[np.int64]) -> Sequence[Round]:
        """Return the rounds that carry `payload` between the nodes `workers` [n] and `servers` [s]."""

    @abstractmethod
    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return how many messages a worker decodes at the end of a collective."""


syncs: Registry[Sync] = Registry("sync architecture")
