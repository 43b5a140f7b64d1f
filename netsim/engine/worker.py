"""One worker that goes on by itself: it computes, sends what is ready, and waits for what it gets back."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from netsim.engine.device import KINDS, Device
from netsim.engine.server import later
from netsim.engine.spans import READY, SPAN_WORKERS, Span
from netsim.engine.ways import Item

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import simpy

    from netsim.engine.coding import Exchange
    from netsim.engine.device import Compute
    from netsim.engine.worker_processes import WorkerProcesses


class Worker:
    """Runs step after step, from `first` on, until its job says that it is over; `rows` says where their time went.

    `stale` and `rows` are by step. What the device does not work is exposed communication. One that is `gone` notes
    nothing more; `before` is the one of which this one keeps what it has done before its first step.
    """

    def __init__(self, job: WorkerProcesses, index: int, first: int = 0, before: Worker | None = None) -> None:
        self.job, self.index, self.env, self.ways = job, index, job.env, job.ways
        self.device = Device(job.env, partial(job.devices.lasts_s, index))
        self.rows: list[dict[str, Any]] = []
        self.spans: list[Span] = []
        self.stale: dict[int, int] = {}
        self._first = first
        self._awaited: list[simpy.Event] = []
        self._under_way = 0
        self.since_s = self._comm_s = self._wait_s = self._latency_s = 0.0
        self._begin_s = self._began_s = float(job.env.now)
        self.gone = False
        self._before = dict(self.device.worked_s)
        if before is not None:
            self.rows, self.stale = before.rows[:first], before.stale
            self._begin_s = self.rows[-1]["end_s"] if self.rows else 0.0
            self.spans = [one for one in before.spans if one.end_s <= self._begin_s]

    def run(self) -> Generator[simpy.Event, Any, None]:
        """Go through the steps."""
        for step in count(self._first):
            compute = self.job.compute(step)
            yield from self._forward(step, compute)
            begin_s = self.env.now
            yield from self._backward(step, compute)
            self._span(step, "backward", -1, begin_s)
            # By priority each bucket is updated when it has come; where nothing is sent, there is none.
            if not (self.job.by_priority and self._awaited):
                yield self.env.all_of(self._awaited)
                begin_s = self.env.now
                yield from self.device.work("optimizer", compute.optimizer_s)
                self._span(step, "optimizer", -1, begin_s)
            if self.ways.closed or self.gone:
                return
            self._note(step)
            if self.job.by_priority and self.job.is_last(step):
                yield self.env.all_of(self._awaited)
            if self.job.is_over(self.index, step):
                return

    def _forward(self, step: int, compute: Compute) -> Generator[simpy.Event, Any, None]:
        """Go forward; by priority, layer by layer as they come, which the last buckets hold first."""
        left_s = float(compute.forward_s[self.index])
        if self.job.by_priority:
            layers_s = left_s * self.job.forward_shares
            for bucket in reversed(range(len(self._awaited))):
                yield self._awaited[bucket]
                left_s -= float(layers_s[bucket])
                begin_s = self.env.now
                yield from self.device.work("compute", float(layers_s[bucket]))
                self._span(step, "forward", bucket, begin_s)
        begin_s = self.env.now
        yield from self.device.work("compute", max(left_s, 0.0))
        self._span(step, "forward", -1, begin_s)

    def _backward(self, step: int, compute: Compute) -> Generator[simpy.Event, Any, None]:
        """Go backward; encode and push each bucket when it is ready."""
        at_s = float(compute.forward_s[self.index])
        buckets = self.job.exchanges(step)
        self._awaited = [self.env.event() for _ in buckets]
        self.stale[step] = 0
        for bucket, stages in enumerate(buckets):
            ready_s = float(compute.ready_s[bucket, self.index])
            yield from self.device.work("compute", ready_s - at_s)
            at_s = ready_s
            if stages:
                yield from self.device.work("encode", stages[0].encode_s)
                self._span(step, READY, bucket, self.env.now - stages[0].encode_s)
                self._call((step, bucket, 0), stages)
            else:
                self._update(step, bucket, 0.0)
        yield from self.device.work("compute", float(compute.backward_end_s[self.index]) - at_s)

    def _call(self, where: tuple[int, int, int], stages: Sequence[Exchange]) -> None:
        later(self.env, self.ways.call_s, partial(self._push, where, stages))

    def _push(self, where: tuple[int, int, int], stages: Sequence[Exchange]) -> None:
        """Push all pieces of a bucket, for its collective number `where[2]`; go on when all have been pulled."""
        if self.gone:
            return
        step, bucket, stage = where
        pieces, begin_s = self.job.pieces[bucket], self.env.now
        left = len(pieces)

        def pulled(stale: int, since_s: float | None = None) -> None:
            nonlocal left
            left -= 1
            self.stale[step] = max(stale, self.stale[step])
            if since_s is not None:
                self._span(step, "communicate", bucket, since_s)
            if not left:
                self._close()
                if since_s is None:
                    self._span(step, "communicate", bucket, begin_s)
                self._go_on(where, stages)

        self._open(pieces[0].server)
        order = -float(bucket) if self.job.by_priority else 0.0
        for place, piece in enumerate(pieces):
            item = Item((bucket, stage, place), step, self.index, piece, stages[stage], order, pulled)
            self.ways.exchange(item)

    def _go_on(self, where: tuple[int, int, int], stages: Sequence[Exchange]) -> None:
        """Encode what the bucket's next collective sends, or decode and, by priority, update."""
        step, bucket, stage = where
        if stage + 1 < len(stages):
            wait_s = self._code(step, "encode", bucket, stages[stage + 1].encode_s)
            later(self.env, wait_s, partial(self._call, (step, bucket, stage + 1), stages))
            return
        self._update(step, bucket, self._code(step, "decode", bucket, stages[-1].decode_s))

    def _update(self, step: int, bucket: int, wait_s: float) -> None:
        """Let a bucket be used after so long; by priority, it is updated with by itself before."""
        if self.job.by_priority:
            wait_s = self._code(step, "optimizer", bucket, float(self.job.optimizer_s[bucket]))
        later(self.env, wait_s, partial(_fire, self._awaited[bucket]))

    def _code(self, step: int, what: str, bucket: int, seconds: float) -> float:
        wait_s = self.device.code(what, seconds)
        self._span(step, what, bucket, self.env.now + wait_s - seconds, self.env.now + wait_s)
        return wait_s

    def waiting(self) -> list[str]:
        """Return what the worker waits for."""
        buckets = [bucket for bucket, event in enumerate(self._awaited) if not event.triggered]
        return [f"worker {self.index} waits for bucket {bucket}" for bucket in buckets]

    # ---- accounts

    def _open(self, server: int) -> None:
        if not self._under_way:
            self.since_s = self.env.now
            self._latency_s += self.ways.round_trip_s(self.index, server)
        self._under_way += 1

    def _close(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            under_way_s = self.env.now - self.since_s
            self._comm_s += under_way_s
            self._wait_s += min(self.job.last_since_s(self) - self.since_s, under_way_s)

    def _note(self, step: int) -> None:
        now_s = float(self.env.now)
        worked = {f"{kind}_s": self.device.worked_s[kind] - self._before[kind] for kind in KINDS}
        down = self.job.devices.between(self.index, self._began_s, now_s)
        worked["lost_s"] = self._began_s - self._begin_s + sum(up_s - down_s for down_s, up_s in down)
        for one in down:
            self._span(step, "down", -1, *one)
        step_time_s = now_s - self._begin_s
        self.rows.append(
            {
                "step": step,
                "worker": self.index,
                "begin_s": self._begin_s,
                "end_s": now_s,
                "step_time_s": step_time_s,
                **worked,
                "exposed_comm_s": max(step_time_s - sum(worked.values()), 0.0),
                "comm_s": self._comm_s,
                "comm_wait_s": self._wait_s,
                "comm_latency_s": self._latency_s,
            }
        )
        self._before, self._begin_s, self._began_s = dict(self.device.worked_s), now_s, now_s
        self._comm_s = self._wait_s = self._latency_s = 0.0

    def _span(self, step: int, what: str, bucket: int, start_s: float, end_s: float | None = None) -> None:
        kept = step in self.job.kept and self.index < SPAN_WORKERS
        if kept and (self.env.now if end_s is None else end_s) > start_s:
            self.spans.append(Span(self.index, what, bucket, start_s, self.env.now if end_s is None else end_s))


def _fire(event: simpy.Event) -> None:
    event.succeed()
