"""The way of a bucket: pieces to their servers and back, through the machine's other workers where it adds up."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from netsim.engine.post import Outbox, Post
from netsim.engine.server import Processor, Shard
from netsim.engine.ways import Item, Ways
from netsim.network.base import Round
from netsim.sync.hierarchical import of_machines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import simpy
    from numpy.typing import NDArray

    from netsim.network.base import Execution, Network
    from netsim.sync.base import Payload
    from netsim.sync.parameter_server import ParameterServer


class PushPull(Ways):
    """The servers of a job and the ways to them.

    `sent_bytes` are those that workers' hosts have sent for each worker's step: what a co-located server sends counts
    for the worker that it answers. If messages are `apart`, workers can be dropped one by one; `done` [n] are the steps
    that each has done already.
    """

    def __init__(
        self,
        env: simpy.Environment,
        network: Network,
        nodes: tuple[NDArray[np.int64], NDArray[np.int64]],
        sync: ParameterServer,
        credit: float | None,
        *,
        apart: bool = False,
        done: NDArray[np.int64] | None = None,
    ) -> None:
        self.sync = sync
        self.network = network
        self.call_s = network.links.call_overhead_s
        self.workers = nodes[0]
        self._post = post = Post(env, network, apart=apart)
        self._done = np.zeros(len(self.workers), dtype=np.int64) if done is None else done
        self._lives = [0] * len(self.workers)
        self.hosts = sync.hosts(*nodes)
        machines = network.links.topology.machines[self.workers]
        self.groups = sync.groups(len(self.workers), machines)
        self._part = {worker: part for part, group in enumerate(self.groups) for worker in group.tolist()}
        self._up = [Outbox(post, int(node), credit, serves=False) for node in self.workers]
        self._down = [Outbox(post, int(node), None, serves=True) for node in self.hosts]
        self._processors = [Processor(env) for _ in self.hosts]
        self._shards: dict[tuple[int, int, int, int], Shard] = {}
        self.sent_bytes: dict[tuple[int, int], float] = defaultdict(float)
        self._round_trips_s: dict[tuple[int, int, int], float] = {}
        self._machine = _Machines(network, self.workers, of_machines(len(self.workers), machines), len(self.groups))

    def exchange(self, item: Item) -> None:
        """Carry one piece of one worker there and back."""
        if not self.sync.local_aggregation:
            self._push(item)
            return
        payload = item.exchange.payload
        self.sent_bytes[item.worker, item.step] += self._machine.sent_bytes(item.worker, payload, item.piece.share)
        heaviest = np.array([int(np.argmax(payload.up_bytes))])
        up, down = float(payload.pushed(item.piece, heaviest)[0]), payload.pulled(item.piece)
        owns = item.worker in self._part
        last = item._replace(pulled=lambda stale: self._machine.gather(item, down, lambda: item.pulled(stale)))
        self._machine.scatter(item, up, partial(self._push, last) if owns else lambda: last.pulled(0))

    def _push(self, item: Item) -> None:
        part, host = self._part[item.worker], self.hosts[item.piece.server]
        key = (*item.key, part)
        if key not in self._shards:
            processor = self._processors[item.piece.server]
            group = self.groups[part]
            self._shards[key] = Shard(processor, group, self.sync.staleness, self._done[group])
        payload, share = item.exchange.payload, item.piece.share / len(self.groups)
        add_s, encode_s = payload.decode_s * share, payload.encode_s * share
        answer = partial(self._answer, item, self._lives[item.worker])
        arrived = partial(self._shards[key].push, item.worker, item.step, add_s, encode_s, answer)
        if host == self.workers[item.worker]:
            arrived()
            return
        nbytes = float(payload.pushed(item.piece, np.array([item.worker]))[0]) / len(self.groups)
        self.sent_bytes[item.worker, item.step] += nbytes
        self._up[item.worker].put(int(host), item.order, nbytes, arrived)

    def _answer(self, item: Item, life: int, stale: int) -> None:
        if life != self._lives[item.worker]:
            return
        host, node = self.hosts[item.piece.server], int(self.workers[item.worker])
        nbytes = item.exchange.payload.pulled(item.piece) / len(self.groups)
        if host == node:
            item.pulled(stale)
            return
        if self.sync.placement == "colocated":
            self.sent_bytes[item.worker, item.step] += nbytes
        self._down[item.piece.server].put(node, item.order, nbytes, partial(item.pulled, stale))

    def round_trip_s(self, worker: int, server: int) -> float:
        """Return the seconds of delay, without any bytes, from a worker to a server and back."""
        node, host = int(self.workers[worker]), int(self.hosts[server])
        if node == host:
            return 0.0
        key = node, host, self.network.links.changes
        if key not in self._round_trips_s:
            routed = self.network.links.routed(np.array([node, host]), np.array([host, node]))
            self._round_trips_s[key] = float(routed.delay_s.sum())
        return self._round_trips_s[key]

    def told(self, worker: int, step: int) -> dict[str, float]:
        """Return the bytes that were sent for a worker's step."""
        return {"wire_bytes_per_worker": self.sent_bytes[worker, step]}

    def moved(self) -> int:
        """Return how many messages have arrived."""
        return self._post.arrived

    def save(self, seconds: float, then: Callable[[], None]) -> None:
        """Let every server save after what it has to do; call `then` when all have."""
        left = len(self._processors)

        def saved() -> None:
            nonlocal left
            left -= 1
            if not left:
                then()

        for processor in self._processors:
            processor.work(seconds, saved)

    def drop(self, worker: int) -> None:
        """Let all that a worker has under way end here, and answer nothing that it has asked."""
        self._lives[worker] += 1
        self._up[worker].drop_all()
        for outbox in self._down:
            outbox.drop(int(self.workers[worker]))
        for shard in self._shards.values():
            shard.forget(worker)

    def fetch(self, worker: int, model: Sequence[tuple[int, float]], then: Callable[[], object]) -> None:
        """Send a worker the model, in pieces of a server and bytes; call `then` when it has all."""
        left = len(model)

        def arrived() -> None:
            nonlocal left
            left -= 1
            if not left:
                for shard in self._shards.values():
                    shard.fetched(worker)
                then()

        for server, nbytes in model:
            self._down[server].put(int(self.workers[worker]), 0.0, nbytes, arrived)

    def take_over(self, other: PushPull) -> None:
        """Know of the steps that are done what another knew."""
        self.sent_bytes |= {(one, step): n for (one, step), n in other.sent_bytes.items() if step < self._done[one]}
        self._post.arrived = other.moved()

    def close(self) -> None:
        """Carry nothing from now on; what is under way ends here."""
        self.closed = True
        self._post.close()
        self._machine.close()


class _Machines:
    """Reduce-scatter and all-gather of pieces between the workers of each machine."""

    def __init__(
        self, network: Network, workers: NDArray[np.int64], machines: list[NDArray[np.int64]], owners: int
    ) -> None:
        self.network, self.workers, self.owners = network, workers, owners
        self.machine = {worker: machine.tolist() for machine in machines for worker in machine.tolist()}
        self._running: dict[tuple[object, ...], tuple[Execution, dict[int, Callable[[], None]]]] = {}
        self._closed = False

    def close(self) -> None:
        """Begin nothing from now on, and let what is under way end here."""
        self._closed = True
        for execution, _ in self._running.values():
            execution.abandon()

    def sent_bytes(self, worker: int, payload: Payload, share: float) -> float:
        """Return what a worker sends inside its machine for a share of a bucket, there and back."""
        others, place = len(self.machine[worker]) - 1, self.machine[worker].index(worker)
        owns = place < self.owners
        up, down = (one * share / self.owners for one in (float(payload.up_bytes.max()), payload.down_bytes))
        return float((self.owners - owns) * up * (others > 0) + owns * others * down)

    def scatter(self, item: Item, nbytes: float, then: Callable[[], None]) -> None:
        """Send the owners of the machine their parts; call `then` when this worker has sent and got all."""
        self._join(("scatter", item.key, item.step), item.worker, nbytes, then)

    def gather(self, item: Item, nbytes: float, then: Callable[[], None]) -> None:
        """Send this owner's part to all of the machine; call `then` when this worker has sent and got all."""
        self._join(("gather", item.key, item.step), item.worker, nbytes, then)

    def _join(self, what: tuple[object, ...], worker: int, nbytes: float, then: Callable[[], None]) -> None:
        members = self.machine[worker]
        if self._closed:
            return
        if len(members) == 1:
            then()
            return
        key = (*what, members[0])
        execution, calls = self._running.get(key) or self._begin(key, members, nbytes)
        calls[int(self.workers[worker])] = then
        execution.join(self.workers[[worker]])

    def _begin(
        self, key: tuple[object, ...], members: list[int], nbytes: float
    ) -> tuple[Execution, dict[int, Callable[[], None]]]:
        calls: dict[int, Callable[[], None]] = {}

        def done(nodes: NDArray[np.int64]) -> None:
            left.difference_update(nodes.tolist())
            if not left:
                del self._running[key]
            for node in nodes.tolist():
                calls.pop(node)()

        left = set(self.workers[members].tolist())
        pairs = [(one, owner) for owner in members[: self.owners] for one in members if one != owner]
        src, dst = (self.workers[list(one)] for one in zip(*pairs, strict=True))
        src, dst = (src, dst) if key[0] == "scatter" else (dst, src)
        one = Round(src, dst, np.full(len(src), nbytes / self.owners))
        running = self._running[key] = self.network.begin([one], self.workers[members], done), calls
        return running
