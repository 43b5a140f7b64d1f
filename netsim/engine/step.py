"""One training step in simulated time: devices compute and code, buckets are exchanged one after another.

All workers are rows of arrays. A worker's device is serial: forward, backward, and coding. A bucket is encoded as soon
as its last gradient is ready; decoding, and encoding between two collectives of a bucket, come when they are due.
Coding goes before backward: each second of it delays the gradients that are still to come by a second. Exchanges are
served in bucket order, as by one communicator, so that all workers agree on their order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import simpy

from netsim.engine.device import DeviceRows
from netsim.engine.spans import READY, SPAN_WORKERS, Span, spans_of
from netsim.network.base import repeats
from netsim.network.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.conditions import Devices
    from netsim.engine.coding import Exchange
    from netsim.engine.device import Compute
    from netsim.network.base import Execution, Network, Round
    from netsim.sync.base import Piece
    from netsim.topology.graph import Topology

SAME_INSTANT = 1e-12


class Item(NamedTuple):
    """One exchange in the order of service: the `first` or the `last` of its bucket, or of a piece after another."""

    bucket: int
    first: bool
    last: bool
    follows: bool
    exchange: Exchange


def items_of(exchanges: Sequence[Sequence[Exchange]], pieces: Sequence[Sequence[Piece]]) -> list[Item]:
    """Return the exchanges of a step in order, given the collectives of each bucket and the pieces it is cut into."""
    found = []
    for bucket, (stages, parts) in enumerate(zip(exchanges, pieces, strict=True)):
        last = len(stages) - 1, len(parts) - 1
        places = [(stage, place) for stage in range(len(stages)) for place in range(len(parts))]
        found += [
            Item(bucket, one == (0, 0), one == last, one[1] > 0, stages[one[0]].part(parts[one[1]])) for one in places
        ]
    return found


def rows_of(workers: NDArray[np.int64], servers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return [nodes] the place of each node among the workers, -1 where it is none."""
    row = np.full(int(max(workers.max(), servers.max(initial=0))) + 1, -1, dtype=np.int64)
    row[workers] = np.arange(len(workers))
    return row


def rounds_of(
    exchange: Exchange, topology: Topology, workers: NDArray[np.int64], servers: NDArray[np.int64]
) -> Sequence[Round]:
    """Return the rounds of an exchange on the nodes of a topology."""
    payload = replace(exchange.payload, machines=topology.machines[workers])
    return exchange.sync.rounds(payload, workers, servers)


def count_sent(rounds: Sequence[Round], row: NDArray[np.int64], sent_bytes: NDArray[np.float64]) -> None:
    """Add what workers send to `sent_bytes` [n]; `row` is that of `rows_of`."""
    for one, times in repeats(rounds):
        place = row[one.src]
        sent_bytes += times * np.bincount(place[place >= 0], one.nbytes[place >= 0], len(sent_bytes))


class Step:
    """One step, from the instant it is created; `finished` fires with the step's end."""

    def __init__(
        self,
        env: simpy.Environment,
        network: Network,
        nodes: tuple[NDArray[np.int64], NDArray[np.int64]],
        compute: Compute,
        exchanges: Sequence[Sequence[Exchange]],
        pieces: Sequence[Sequence[Piece]],
        devices: Devices,
    ) -> None:
        self.env = env
        self.network = network
        self.workers, self.servers = nodes
        self.compute = compute
        self._after = devices.after
        self._down = devices.between
        self.items = items_of(exchanges, pieces)
        count = len(self.workers)
        self.begin_s = float(env.now)
        self.finished = simpy.Event(env)
        self.spans: list[Span] = []
        self.comm_s, self.wait_s = np.zeros(count), np.zeros(count)
        self.sent_bytes = np.zeros(count)
        self.latency_s = 0.0
        self.next_item = np.zeros(count, dtype=np.int64)
        self._row = rows_of(*nodes)
        self._launched_s = np.full(count, np.nan)
        self._all_launched_s: dict[int, float] = {}
        self._executions: dict[int, Execution] = {}
        self._timer = Timer(env, self._launch_due)
        everyone = np.arange(count)
        self.device = DeviceRows(devices, len(exchanges))
        encodes = [stages[0].encode_s if stages else 0.0 for stages in exchanges]
        self.device.begin(everyone, self.begin_s, compute, encodes)
        self._last_s = np.full(count, self.begin_s)
        self._due_s = np.full(count, np.inf)
        self._open(everyone)

    def _open(self, workers: NDArray[np.int64]) -> None:
        """Set when workers may launch their next exchange, or end their step where there is none."""
        waiting = workers[self.next_item[workers] < len(self.items)]
        for number in np.unique(self.next_item[waiting]):
            item, mine = self.items[number], waiting[self.next_item[waiting] == number]
            if item.first:
                ready_s = np.maximum(self.env.now, self.device.ready_s[item.bucket, mine])
                self._due_s[mine] = self._after(mine, ready_s, self.network.links.call_overhead_s)
        self._timer.set(self._due_s.min())
        if len(waiting) < len(workers) and (self.next_item >= len(self.items)).all():
            self._end()

    def _launch_due(self) -> None:
        now_s = self.env.now
        due = np.flatnonzero(self._due_s <= now_s * (1 + SAME_INSTANT))
        self._due_s[due] = np.inf
        self._launched_s[due] = now_s
        for number in np.unique(self.next_item[due]):
            mine, item = due[self.next_item[due] == number], self.items[number]
            if item.first and item.exchange.encode_s:
                ready_s = self.device.ready_s[item.bucket, mine]
                self._span(mine, READY, item.bucket, ready_s - item.exchange.encode_s, ready_s)
            self._all_launched_s[int(number)] = now_s
            execution = self._executions.get(int(number)) or self._begin(int(number))
            execution.join(self.workers[mine])
        self._timer.set(self._due_s.min())

    def _begin(self, number: int) -> Execution:
        rounds = rounds_of(self.items[number].exchange, self.network.links.topology, self.workers, self.servers)
        count_sent(rounds, self._row, self.sent_bytes)
        self.latency_s += self.network.links.latency_s(rounds)
        nodes = np.concatenate([self.workers, self.servers])
        execution = self._executions[number] = self.network.begin(rounds, nodes, lambda done: self._over(number, done))
        if len(self.servers):
            execution.join(self.servers)
        return execution

    def _over(self, number: int, nodes: NDArray[np.int64]) -> None:
        """Go on after an exchange: decode, or encode what the bucket's next collective sends."""
        workers = self._row[nodes]
        workers = workers[workers >= 0]
        if not len(workers):
            return
        item, now_s = self.items[number], self.env.now
        self.comm_s[workers] += now_s - self._launched_s[workers]
        self.wait_s[workers] += self._all_launched_s[number] - self._launched_s[workers]
        self._last_s[workers] = now_s
        self._span(workers, "communicate", item.bucket, self._launched_s[workers], np.full(len(workers), now_s))
        self.next_item[workers] += 1
        if item.last:
            self._code(workers, "decode", item.bucket, item.exchange.decode_s)
        elif self.items[number + 1].follows:
            free_s = np.full(len(workers), now_s)
            self._due_s[workers] = self._after(workers, free_s, self.network.links.call_overhead_s)
        else:
            seconds = self.items[number + 1].exchange.encode_s
            ready_s = self._code(workers, "encode", item.bucket, seconds)
            self._due_s[workers] = self._after(workers, ready_s, self.network.links.call_overhead_s)
        self._open(workers)

    def _code(self, workers: NDArray[np.int64], what: str, bucket: int, seconds: float) -> NDArray[np.float64]:
        """Let devices code now; return when they are through."""
        end_s = self.device.code(workers, self.env.now, what, seconds)
        if seconds:
            self._span(workers, what, bucket, end_s - seconds, end_s)
        return end_s

    def _span(
        self,
        workers: NDArray[np.int64],
        what: str,
        bucket: int,
        start_s: NDArray[np.float64],
        end_s: NDArray[np.float64],
    ) -> None:
        self.spans += spans_of(workers, what, bucket, start_s, end_s)

    def _end(self) -> None:
        """Run the optimizer everywhere; the step is over when the last worker is."""
        everyone = np.arange(len(self.workers))
        update_s, end_s = self.device.update(everyone, self._last_s, self.compute.optimizer_s)
        begin_s = np.full(len(everyone), self.begin_s)
        forward_s = self._after(everyone, begin_s, self.compute.forward_s)
        self._span(everyone, "forward", -1, begin_s, forward_s)
        self._span(everyone, "backward", -1, forward_s, self.device.backward_end_s)
        self._span(everyone, "optimizer", -1, update_s, end_s)
        for worker in everyone[:SPAN_WORKERS].tolist():
            down = self._down(worker, self.begin_s, float(end_s.max()))
            self.spans += [Span(worker, "down", -1, down_s, up_s) for down_s, up_s in down]
        self.env.process(self._finish_at(float(end_s.max())))

    def _finish_at(self, end_s: float) -> simpy.events.ProcessGenerator:
        yield self.env.timeout(max(end_s - self.env.now, 0.0))
        self.finished.succeed(end_s)

    def abandon(self) -> None:
        """End the step here: nothing of it goes on."""
        self._timer.set(np.inf)
        self._due_s[:] = np.inf
        for execution in self._executions.values():
            execution.abandon()

    def waiting(self) -> list[str]:
        """Return what each worker that has not finished waits for."""
        return [
            f"worker {worker} waits for bucket {self.items[number].bucket}"
            for worker, number in enumerate(self.next_item.tolist())
            if number < len(self.items)
        ]
