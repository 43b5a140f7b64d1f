"""A job over parameter servers whose workers wait for each other, in the order of readiness: they are rows of arrays.

Those that do the same at one instant do it in one call, however many they are. Nobody can be more than a step ahead: a
pull is answered when all have pushed, so that what a worker has under way belongs to one step of its own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from netsim.engine.accounts import Accounts
from netsim.engine.device import DeviceRows
from netsim.engine.post import Post
from netsim.engine.server import Processor, later
from netsim.engine.spans import READY, as_done
from netsim.engine.step import SAME_INSTANT
from netsim.engine.streams import Streams, groups
from netsim.engine.worker_job import WorkerJob
from netsim.network.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.engine.coding import Exchange
    from netsim.engine.spans import Span
    from netsim.engine.worker_job import Rows
    from netsim.scenario.schema import Job
    from netsim.sync.base import Piece
    from netsim.sync.parameter_server import ParameterServer

    Workers = NDArray[np.int64]


class Item(NamedTuple):
    """A piece of one collective of a bucket, and what has to be done for it."""

    bucket: int
    stage: int
    place: int
    piece: Piece
    exchange: Exchange


class Plan(NamedTuple):
    """The exchanges of one of the measured steps.

    `first` says where the items of a bucket's collective begin, `filled` which buckets have any.
    """

    stages: Sequence[Sequence[Exchange]]
    items: list[Item]
    first: dict[tuple[int, int], int]
    filled: list[int]


class ServerRows(WorkerJob["ParameterServer"]):
    """One job."""

    def begin(self) -> None:
        """Start the workers."""
        self.plans = [_plan(step, self.pieces) for step in self.measured_steps]
        self.hosts = self.sync.hosts(*self.nodes)
        self._spans: list[Span] = []
        self._moved = 0
        self.env.process(self.keep_step())

    def stretch(self, first: int, last: int) -> Rows:
        """Let workers do some steps."""
        if first:
            self._spans, self._moved = self.spans(), self.moved()
        self._now = _Rows(self, range(first, last))
        return self._now

    def told(self) -> list[dict[str, Any]]:
        """Return a row a step."""
        return self.steps.rows

    def spans(self) -> list[Span]:
        """Return what workers did in the first step."""
        return self._spans or as_done(self._now.accounts.spans)

    def steps_done(self) -> float:
        """Return how many steps each worker has done."""
        return float(self.job.steps)

    def moved(self) -> int:
        """Return how many messages have arrived."""
        return self._moved + self._now.post.arrived

    def waiting(self) -> list[str]:
        """Return what each worker waits for."""
        return self._now.waiting()


class _Rows:
    """Workers that go through some steps. A message is known by a number: its step times the most items, and its item.

    `begin_s`, `finished` and `abandon` are those of a stretch.
    """

    def __init__(self, job: ServerRows, steps: range) -> None:
        self.env, self.network, self.nodes, self.sync = job.env, job.network, job.nodes, job.sync
        self.pieces, self.devices, self.compute, self.hosts = job.pieces, job.devices, job.compute, job.hosts
        self.begin_s, self.finished = float(job.env.now), job.env.event()
        count, buckets = len(self.nodes[0]), len(job.measurement.buckets)
        self.post = Post(self.env, self.network)
        self._plans, self._steps = job.plans, steps
        self._most_items = max(len(one.items) for one in self._plans) or 1
        room = [np.array([one.piece.server for one in plan.items], dtype=np.int64) for plan in self._plans]
        most = np.max([np.bincount(servers, minlength=len(self.hosts)) for servers in room], axis=0)
        ends = self.nodes[0], self.hosts
        self._up = Streams(self.post, ends, most, self._up_bytes, self._arrived, outward=False)
        self._down = Streams(self.post, ends, most, self._down_bytes, self._pulled, outward=True)
        self._processors = [Processor(self.env) for _ in self.hosts]
        self._at_server: dict[int, list[Workers]] = {}
        self._missing: dict[int, int] = {}
        self._round_trips_s: dict[tuple[int, int], NDArray[np.float64]] = {}
        self.device = DeviceRows(self.devices, buckets)
        self._timer = Timer(self.env, self._push_due)
        self._due_s = np.full(count, np.inf)
        self._step = np.zeros(count, dtype=np.int64)
        self._next = np.zeros(count, dtype=np.int64)
        self._begin_s, self._since_s, self._comm_s, self._wait_s = (np.zeros(count) for _ in range(4))
        self._latency_s, self._sent_bytes = np.zeros(count), np.zeros(count)
        self._under_way, self._buckets_left = (np.zeros(count, dtype=np.int64) for _ in range(2))
        self._pieces_left = np.zeros((buckets, count), dtype=np.int64)
        self._pushed_s = np.zeros((buckets, count))
        self.accounts = Accounts(self.devices, 0)
        self._unfinished = count
        self._begin_step(steps.start, np.arange(count))

    def abandon(self) -> None:
        """Let all end here."""
        self.post.close()

    # ---- the way of a step

    def _begin_step(self, step: int, workers: Workers) -> None:
        plan, now_s = self._plan_of(step), float(self.env.now)
        encodes = [stages[0].encode_s if stages else 0.0 for stages in plan.stages]
        self.device.begin(workers, now_s, self.compute(step), encodes)
        self._step[workers], self._begin_s[workers], self._next[workers] = step, now_s, 0
        for one in (self._comm_s, self._wait_s, self._latency_s, self._sent_bytes):
            one[workers] = 0.0
        self._buckets_left[workers] = len(plan.filled)
        if plan.filled:
            self._set_due(step, workers)
        else:
            self._finish(step, workers)

    def _set_due(self, step: int, workers: Workers) -> None:
        """Find out when workers push the bucket that is next."""
        filled = np.array([*self._plan_of(step).filled, -1])
        bucket = filled[self._next[workers]]
        ready_s = self.device.ready_s[bucket, workers] + self.network.links.call_overhead_s
        self._due_s[workers] = np.where(bucket < 0, np.inf, ready_s)
        self._timer.set(self._due_s.min())

    def _push_due(self) -> None:
        now_s = self.env.now
        while len(due := np.flatnonzero(self._due_s <= now_s * (1 + SAME_INSTANT))):
            for step, workers in groups(self._step[due], due):
                for place, some in groups(self._next[workers], workers):
                    self._next[some] += 1
                    self._set_due(step, some)
                    self._push_first(step, self._plan_of(step).filled[place], some)
        self._timer.set(self._due_s.min())

    def _push_first(self, step: int, bucket: int, workers: Workers) -> None:
        encode_s = self._plan_of(step).stages[bucket][0].encode_s
        if encode_s:
            ready_s = self.device.ready_s[bucket, workers]
            self.accounts.span(step, workers, READY, bucket, ready_s - encode_s, ready_s)
        self._push(step, bucket, 0, workers)

    def _push(self, step: int, bucket: int, stage: int, workers: Workers) -> None:
        """Push all pieces of a bucket, for one of its collectives."""
        plan, pieces = self._plan_of(step), self.pieces[bucket]
        idle = workers[self._under_way[workers] == 0]
        self._since_s[idle] = self.env.now
        self._latency_s[idle] += self._round_trip_s(pieces[0].server)[idle]
        self._under_way[workers] += 1
        self._pushed_s[bucket, workers] = self.env.now
        self._pieces_left[bucket, workers] = len(pieces)
        number = step * self._most_items + plan.first[bucket, stage]
        for place, piece in enumerate(pieces):
            self._part(piece.server, number + place, workers, self._arrived, self._up)

    def _part(self, server: int, number: int, workers: Workers, arrived: Any, streams: Streams) -> None:
        """Send what has to travel between a server and workers; who shares its host has it already."""
        here = self.nodes[0][workers] == self.hosts[server]
        if here.any():
            arrived(number, workers[here])
        if not here.all():
            streams.put(server, number, workers[~here])

    def _arrived(self, number: int, workers: Workers) -> None:
        """Let a server add what has arrived; once it has added all, it encodes the sum and answers."""
        item = self._item(number)
        self._at_server.setdefault(number, []).append(workers)
        self._missing[number] = self._missing.get(number, len(self._step)) - len(workers)
        payload, share = item.exchange.payload, item.piece.share
        processor = self._processors[item.piece.server]
        answer = partial(processor.work, payload.encode_s * share, partial(self._answer, number))
        processor.work(len(workers) * payload.decode_s * share, None if self._missing[number] else answer)

    def _answer(self, number: int) -> None:
        workers = np.concatenate(self._at_server.pop(number))
        del self._missing[number]
        self._part(self._item(number).piece.server, number, workers, self._pulled, self._down)

    def _pulled(self, number: int, workers: Workers) -> None:
        step, (bucket, stage, *_) = number // self._most_items, self._item(number)
        self._pieces_left[bucket, workers] -= 1
        workers = workers[self._pieces_left[bucket, workers] == 0]
        if not len(workers):
            return
        now_s = float(self.env.now)
        self._under_way[workers] -= 1
        idle = workers[self._under_way[workers] == 0]
        self._comm_s[idle] += now_s - self._since_s[idle]
        last_s = self._since_s[self._step == step].max()
        self._wait_s[idle] += np.clip(last_s - self._since_s[idle], 0.0, now_s - self._since_s[idle])
        self.accounts.span(
            step, workers, "communicate", bucket, self._pushed_s[bucket, workers], np.full(len(workers), now_s)
        )
        stages = self._plan_of(step).stages[bucket]
        if stage + 1 < len(stages):
            end_s = self._code(step, workers, "encode", bucket, stages[stage + 1].encode_s)
            for ready_s, some in groups(end_s + self.network.links.call_overhead_s, workers):
                later(self.env, ready_s - now_s, partial(self._push, step, bucket, stage + 1, some))
        else:
            self._code(step, workers, "decode", bucket, stages[-1].decode_s)
            self._buckets_left[workers] -= 1
            self._finish(step, workers[self._buckets_left[workers] == 0])

    def _code(self, step: int, workers: Workers, what: str, bucket: int, seconds: float) -> NDArray[np.float64]:
        end_s = self.device.code(workers, float(self.env.now), what, seconds)
        if seconds:
            self.accounts.span(step, workers, what, bucket, end_s - seconds, end_s)
            self._set_due(step, workers)
        return end_s

    def _finish(self, step: int, workers: Workers) -> None:
        """Let workers update and go on, who have got all that they wait for."""
        compute, now_s = self.compute(step), float(self.env.now)
        update_s, end_s = self.device.update(workers, now_s, compute.optimizer_s)
        begin_s = self._begin_s[workers]
        forward_s = self.device.after(workers, begin_s, compute.forward_s[workers])
        self.accounts.span(step, workers, "forward", -1, begin_s, forward_s)
        self.accounts.span(step, workers, "backward", -1, forward_s, self.device.backward_end_s[workers])
        self.accounts.span(step, workers, "optimizer", -1, update_s, end_s)
        for over_s, some in groups(end_s, workers):
            later(self.env, over_s - now_s, partial(self._go_on, step, some))

    def _go_on(self, step: int, workers: Workers) -> None:
        if self.post.closed:
            return
        self._note(step, workers)
        if step + 1 < self._steps.stop:
            self._begin_step(step + 1, workers)
            return
        self._unfinished -= len(workers)
        if not self._unfinished:
            self.finished.succeed()

    # ---- what it takes

    def _plan_of(self, step: int) -> Plan:
        return self._plans[step % len(self._plans)]

    def _item(self, number: int) -> Item:
        step, place = divmod(number, self._most_items)
        return self._plan_of(step).items[place]

    def _up_bytes(self, number: int, workers: Workers) -> NDArray[np.float64]:
        item = self._item(number)
        nbytes = item.exchange.payload.pushed(item.piece, workers)
        self._sent_bytes[workers] += nbytes
        return nbytes

    def _down_bytes(self, number: int, workers: Workers) -> NDArray[np.float64]:
        """Return bytes of answers; what a co-located server sends counts for the worker that it answers."""
        item = self._item(number)
        nbytes = np.full(len(workers), item.exchange.payload.pulled(item.piece))
        self._sent_bytes[workers] += nbytes if self.sync.placement == "colocated" else 0.0
        return nbytes

    def _round_trip_s(self, server: int) -> NDArray[np.float64]:
        """Return [n] the seconds of delay, without any bytes, to a server and back."""
        key = server, self.network.links.changes
        if key not in self._round_trips_s:
            nodes, there = self.nodes[0], np.full(len(self.nodes[0]), self.hosts[server])
            apart = nodes != there
            ways = (nodes[apart], there[apart]), (there[apart], nodes[apart])
            delays_s = np.zeros(len(nodes))
            delays_s[apart] = sum(self.network.links.routed(*way).delay_s for way in ways)
            self._round_trips_s[key] = delays_s
        return self._round_trips_s[key]

    # ---- accounts

    def _note(self, step: int, workers: Workers) -> None:
        """Write down where workers' steps went."""
        compute = self.compute(step)
        worked = {
            "compute_s": compute.backward_end_s[workers],
            "encode_s": self.device.encode_s[workers],
            "decode_s": self.device.decode_s[workers],
            "optimizer_s": np.full(len(workers), compute.optimizer_s),
        }
        more = {
            "comm_s": self._comm_s[workers],
            "comm_wait_s": self._wait_s[workers],
            "comm_latency_s": self._latency_s[workers],
            "wire_bytes_per_worker": self._sent_bytes[workers],
        }
        self.accounts.end(step, workers, self._begin_s[workers], float(self.env.now), worked, **more)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a step: means over workers."""
        return [self.accounts.means(step) for step in self._steps]

    def waiting(self) -> list[str]:
        """Return what each worker waits for."""
        buckets, workers = np.nonzero(self._pieces_left)
        return [f"worker {worker} waits for bucket {bucket}" for bucket, worker in zip(buckets, workers, strict=True)]


def keeps_to(sync: ParameterServer, job: Job) -> bool:
    """Return whether workers of a job can be rows: nobody overtakes, and no machine adds up by itself."""
    return not sync.staleness and job.scheduling == "order" and job.credit is None and not sync.local_aggregation


def _plan(stages: Sequence[Sequence[Exchange]], pieces: list[list[Piece]]) -> Plan:
    items: list[Item] = []
    first: dict[tuple[int, int], int] = {}
    for bucket, of_bucket in enumerate(stages):
        for stage, exchange in enumerate(of_bucket):
            first[bucket, stage] = len(items)
            items += [Item(bucket, stage, place, piece, exchange) for place, piece in enumerate(pieces[bucket])]
    return Plan(stages, items, first, [bucket for bucket, of_bucket in enumerate(stages) if of_bucket])
