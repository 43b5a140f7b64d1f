"""Parameter server: workers push to shard owners, which aggregate; workers pull the result."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge

from netsim.errors import InputError
from netsim.network.base import Round
from netsim.sync.base import Collective, Payload, Piece, Sync, syncs
from netsim.sync.hierarchical import of_machines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.sync.base import Nodes


@syncs.register("parameter_server", paper="Li et al. 2014, OSDI; Ho et al. 2013, NeurIPS; Peng et al. 2019, SOSP")
@dataclass(frozen=True, kw_only=True)
class ParameterServer(Sync):
    """Push to servers, aggregate, pull. Servers decode what they get, so any code can travel up and another down.

    `placement`: `dedicated` servers are hosts of their own; `colocated` ones share a host with a worker each, spread
    evenly. `sharding`: `tensor` puts tensor i of the model on server i mod s, with the imbalance that real tensor sizes
    give; `even` cuts whatever is coded by itself into s equal parts; `partition` puts piece j of the bucket that begins
    with tensor i on server i + j mod s, `hash` on the server that a hash of i and j says. No piece has more than
    `partition` bytes of gradient; pieces are pushed one after the other, and the pull of one overlaps the push of the
    next. By `tensor` and `even`, a server gets the bytes of what lies on it; by the others, its share of elements.
    `staleness`: a pull is answered once no worker is more than so many steps behind; 0 is synchronous, `unbounded`
    asynchronous. With `local_aggregation` a machine adds up its workers' gradients before it pushes, once for all.
    """

    servers: Annotated[int, Ge(1)] = 1
    placement: Literal["dedicated", "colocated"] = "dedicated"
    sharding: Literal["tensor", "even", "partition", "hash"] = "tensor"
    staleness: Annotated[int, Ge(0)] | Literal["unbounded"] = 0
    local_aggregation: bool = False

    carries = frozenset[Collective]({"sum", "gather", "owner"})

    def __post_init__(self) -> None:
        """Raise InputError where partitions have no size."""
        if self.sharding == "partition" and self.partition is None:
            raise InputError("partitions need a size", "add for example partition: 4 MiB", "partition")

    def check(self, num_workers: int) -> None:
        """Raise InputError where there are more co-located servers than workers."""
        if self.placement == "colocated" and self.servers > num_workers:
            raise InputError(
                f"{self.servers} co-located servers do not fit on {num_workers} workers",
                "use at most one server a worker, or placement: dedicated",
            )

    def check_machines(self, machines: NDArray[np.int64]) -> None:
        """Raise InputError where machines of one worker have nothing to aggregate."""
        if self.local_aggregation and len(np.unique(machines)) == len(machines):
            raise InputError(
                "local_aggregation has no effect: every worker is a machine by itself",
                "remove it, or choose topology: gpu_cluster",
                "local_aggregation",
            )

    @property
    def uses_machines(self) -> bool:
        """Return whether machines add up."""
        return self.local_aggregation

    def refuses(self, op: str) -> InputError | None:
        """Return that only what can be summed can be added up inside a machine."""
        if not self.local_aggregation or op == "sum":
            return None
        return InputError(
            "with local_aggregation machines add messages, and these cannot be added without decoding",
            "remove local_aggregation, or choose a scheme whose messages are summed",
        )

    @property
    def dedicated_servers(self) -> int:
        """Return the number of hosts beside the workers."""
        return self.servers if self.placement == "dedicated" else 0

    def owners(self, num_workers: int) -> int:
        """Return the number of servers."""
        return self.servers

    def hosts(self, workers: Nodes, servers: Nodes) -> Nodes:
        """Return [s] the node of each server."""
        if self.placement == "dedicated":
            return servers
        return workers[np.arange(self.servers) * len(workers) // self.servers]

    def groups(self, num_workers: int, machines: NDArray[np.int64] | None) -> list[NDArray[np.int64]]:
        """Return who pushes each equal part of a piece, by places: all push all, or owner j of each machine part j."""
        if not self.local_aggregation:
            return [np.arange(num_workers)]
        owners = of_machines(num_workers, machines)
        return [np.array([machine[part] for machine in owners]) for part in range(min(map(len, owners)))]

    def pieces(self, payload: Payload) -> list[Piece]:
        """Return the pieces of a bucket in the order in which they leave, those of different servers in turn."""
        if self.sharding in {"partition", "hash"}:
            cuts = self.cuts(payload, 1.0)
            return [Piece(1 / cuts, self._server(payload.first_tensor, piece)) for piece in range(cuts)]
        shares = [(server, share) for server, share in enumerate(self._shares(payload)) if share > 0]
        found = []
        for server, share in shares:
            cuts = self.cuts(payload, share)
            found += [(cut, Piece(float(share) / cuts, server, 1 / cuts)) for cut in range(cuts)]
        return [piece for _, piece in sorted(found, key=lambda one: one[0])]

    def holders(self, first_tensor: int, num_tensors: int) -> NDArray[np.int64] | None:
        """Return [t] the server of each tensor, where they are not cut."""
        return (first_tensor + np.arange(num_tensors)) % self.servers if self.sharding == "tensor" else None

    def _server(self, first_tensor: int, piece: int) -> int:
        if self.sharding == "hash":
            return zlib.crc32(f"{first_tensor}.{piece}".encode()) % self.servers
        return (first_tensor + piece) % self.servers

    def _shares(self, payload: Payload) -> NDArray[np.float64]:
        """Return [s] which part of the bucket's elements every server holds."""
        server = self.holders(payload.first_tensor, len(payload.tensors))
        if server is None or not payload.tensors.sum():
            return np.full(self.servers, 1 / self.servers)
        return np.asarray(np.bincount(server, payload.tensors, self.servers) / payload.tensors.sum())

    def rounds(self, payload: Payload, workers: Nodes, servers: Nodes) -> Sequence[Round]:
        """Return the push and the pull of one synchronous exchange, wave after wave of pieces, one a server each.

        The pull of a wave overlaps the push of the next. With `local_aggregation` a reduce-scatter inside the machines
        comes first and an all-gather last.
        """
        hosts = self.hosts(workers, servers)
        groups = self.groups(len(workers), payload.machines)
        exchanged = [self._push_and_pull(payload, wave, workers, hosts, groups) for wave in self._waves(payload)]
        (first, pull), *others = exchanged
        rounds = [first]
        for push, next_pull in others:
            rounds.append(_joined(pull, push))
            pull = next_pull
        rounds.append(pull)
        inside = self._inside(payload, workers, groups)
        return [*inside[:1], *rounds, *inside[1:]]

    def _waves(self, payload: Payload) -> list[list[Piece]]:
        """Return the pieces by turn: the first of each server, the second, and so on."""
        turns: Counter[int] = Counter()
        waves: list[list[Piece]] = []
        for piece in self.pieces(payload):
            waves += [[]] if turns[piece.server] == len(waves) else []
            waves[turns[piece.server]].append(piece)
            turns[piece.server] += 1
        return waves

    def _push_and_pull(
        self, payload: Payload, wave: list[Piece], workers: Nodes, hosts: Nodes, groups: list[NDArray[np.int64]]
    ) -> tuple[Round, Round]:
        share = np.array([piece.share for piece in wave])
        host = hosts[[piece.server for piece in wave]]
        places = np.concatenate(groups)
        worker, piece = (one.ravel() for one in np.indices((len(places), len(wave))))
        place = places[worker]
        apart = workers[place] != host[piece]
        place, piece = place[apart], piece[apart]
        pushed = np.stack([payload.pushed(one, np.arange(len(workers))) for one in wave])
        pulled = np.array([payload.pulled(one) for one in wave])
        up, down = pushed[piece, place] / len(groups), pulled[piece] / len(groups)
        work_s = (len(groups[0]) * payload.decode_s + payload.encode_s) * share[piece]
        return Round(workers[place], host[piece], up), Round(host[piece], workers[place], down, work_s)

    def _inside(self, payload: Payload, workers: Nodes, groups: list[NDArray[np.int64]]) -> list[Round]:
        """Return the reduce-scatter and the all-gather inside the machines, or nothing."""
        if not self.local_aggregation:
            return []
        owners = of_machines(len(workers), payload.machines)
        parts = len(groups)
        pairs = [(one, owner) for machine in owners for owner in machine[:parts] for one in machine if one != owner]
        if not pairs:
            return []
        src, dst = (workers[np.array(one)] for one in zip(*pairs, strict=True))
        up, down = payload.up_bytes.max() / parts, payload.down_bytes / parts
        return [Round(src, dst, np.full(len(src), up)), Round(dst, src, np.full(len(src), down))]

    def decodes(self, op: Collective, num_workers: int) -> int:
        """Return 1: what is pulled is the aggregate."""
        return 1

    def describe(self, op: Collective) -> str:
        """Name the exchange."""
        bound = {0: "", "unbounded": ", asynchronous"}.get(self.staleness, f", at most {self.staleness} steps ahead")
        return f"push and pull, {self.servers} {self.placement} server{'s' * (self.servers > 1)}{bound}"


def _joined(pull: Round, push: Round) -> Round:
    """Return one round of two that run at the same time; what follows earlier pieces hides its latency behind them."""
    both = (pull, push)
    src, dst = np.concatenate([one.src for one in both]), np.concatenate([one.dst for one in both])
    nbytes = np.concatenate([one.nbytes for one in both])
    hold_s = np.concatenate([np.broadcast_to(one.hold_s, one.src.shape) for one in both])
    return Round(src, dst, nbytes, hold_s, slices=2)
