"""What a synchronisation architecture is: it expands one collective of a bucket into rounds of transfers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from annotated_types import Gt

from netsim.errors import InputError
from netsim.registry import Registry
from netsim.units import Bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.network.base import Round

Nodes: TypeAlias = "NDArray[np.int64]"
"""Indices of nodes of a topology."""

ELEMENT_BYTES = 4

Collective = Literal["sum", "merge", "union", "gather", "owner"]
"""What has to be carried: `sum` is reduced in flight, `merge` as whole messages by nodes of a tree, `union` by partners
whose sums grow, `gather` reaches everyone, `owner` is reduced by shard owners."""


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
        machines: [n] the machine of each worker, where it is known; else every worker is one by itself.
        up_shares: [m, owners] which part of its message worker i, as m workers stand for all, sends to each owner of an
            exchange, or each server: row i mod m. None: the shares of elements.
        down_shares: [owners] which part of the aggregate each of them hands out. None: the shares of elements.
        union_bytes: [n] bytes of a sum of 1..n workers' messages (`union`).
    """

    op: Collective
    up_bytes: NDArray[np.float64]
    down_bytes: float
    tensors: NDArray[np.int64]
    first_tensor: int = 0
    decode_s: float = 0.0
    encode_s: float = 0.0
    machines: NDArray[np.int64] | None = None
    up_shares: NDArray[np.float64] | None = None
    down_shares: NDArray[np.float64] | None = None
    union_bytes: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def pushed(self, piece: Piece, workers: Nodes) -> NDArray[np.float64]:
        """Return [k] the bytes that workers, by their places [k], send of a piece."""
        if self.up_shares is None or piece.of_server is None:
            return self.up_bytes[workers] * piece.share
        shares = self.up_shares[workers % len(self.up_shares), piece.server]
        return np.asarray(self.up_bytes[workers] * shares * piece.of_server)

    def pulled(self, piece: Piece) -> float:
        """Return the bytes of a piece of the aggregate."""
        if self.down_shares is None or piece.of_server is None:
            return self.down_bytes * piece.share
        return self.down_bytes * float(self.down_shares[piece.server]) * piece.of_server


class Piece(NamedTuple):
    """A part of a bucket that travels by itself: its share of the bucket's elements, and the server that holds it.

    `of_server` is its share of what that server holds of the bucket, where what lies there is known.
    """

    share: float
    server: int = 0
    of_server: float | None = None


@dataclass(frozen=True, kw_only=True)
class Sync(ABC):
    """A registered synchronisation architecture: its fields are its YAML keys.

    Buckets travel in pieces, one after another, of no more than `partition` bytes of gradient each; none given, whole.
    """

    partition: Annotated[Bytes, Gt(0)] | None = None

    kind: ClassVar[str]
    paper: ClassVar[str]
    carries: ClassVar[frozenset[Collective]]
    """The collectives it can carry by itself."""
    fallback: ClassVar[str] = ""
    """The architecture that carries what this one cannot, or none."""
    alone: ClassVar[frozenset[str]] = frozenset()
    """Further collectives that `alone_rounds` can do: reduce_scatter, all_to_all, broadcast, reduce."""

    def check(self, num_workers: int) -> None:  # noqa: B027  (most architectures take any number)
        """Raise InputError where the architecture cannot serve so many workers."""

    def check_machines(self, machines: NDArray[np.int64]) -> None:  # noqa: B027  (most do not ask)
        """Raise InputError where workers of these machines [n] give a field nothing to do."""

    @property
    def uses_machines(self) -> bool:
        """Return whether `check_machines` has to look which workers share a machine."""
        return False

    def refuses(self, op: str) -> InputError | None:
        """Return why the values of its fields keep the architecture from carrying what it could, or None."""
        return None

    @property
    def dedicated_servers(self) -> int:
        """Return the number of hosts it needs beside the workers."""
        return 0

    def owners(self, num_workers: int) -> int:
        """Return into how many shards, each with its owner, an `owner` exchange cuts a bucket."""
        return num_workers

    def holders(self, first_tensor: int, num_tensors: int) -> NDArray[np.int64] | None:
        """Return [t] the owner of each tensor of a bucket, where tensors have one as a whole; else None."""
        return None

    def pieces(self, payload: Payload) -> list[Piece]:
        """Return the pieces of a bucket in the order in which they leave."""
        cuts = self.cuts(payload, 1.0)
        return [Piece(1 / cuts)] * cuts

    def cuts(self, payload: Payload, share: float) -> int:
        """Return into how many pieces a share of a bucket is cut."""
        nbytes = ELEMENT_BYTES * share * float(payload.tensors.sum())
        return max(int(np.ceil(nbytes / self.partition - 1e-9)), 1) if self.partition else 1

    @abstractmethod
    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the rounds that carry `payload` between the nodes `workers` [n] and `servers` [s]."""

    def alone_rounds(
        self, collective: str, nbytes: float, workers: Nodes, slice_bytes: float | None = None
    ) -> Sequence[Round]:
        """Return the rounds of a collective of `alone` by itself, of `nbytes` as nccl-tests count its size.

        `slice_bytes` is in which pieces the transport passes data on, for those that do.

        Raises:
            InputError: it is none of them; the remedy names who can.
        """
        able = [f"'{name}'" for name in syncs if collective in syncs.get(name).alone]
        raise InputError(f"'{self.kind}' has no {collective}", f"use {' or '.join(able)}")

    @abstractmethod
    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return how many whole messages a worker decodes at the end of a collective."""

    @abstractmethod
    def describe(self, op: Collective) -> str:
        """Return the name of the collective that carries `op`, for the result."""


syncs: Registry[Sync] = Registry("sync architecture")


def carrier(sync: Sync, op: Collective) -> Sync:
    """Return the architecture that carries `op`: `sync` itself or its fallback.

    Raises:
        InputError: neither can; the remedy names those that can.
    """
    if op in sync.carries:
        return sync
    if sync.fallback and op in syncs.get(sync.fallback).carries:
        return syncs.get(sync.fallback)()
    able = [f"'{name}'" for name in syncs if op in syncs.get(name).carries]
    raise InputError(f"'{sync.kind}' cannot carry messages of kind '{op}'", f"use sync {' or '.join(able)}")
