"""A job over collectives by priority: workers are rows of arrays; what many do at an instant is one call.

A step of a worker is a list of things that its device does one after another: the forward pass of each bucket's layers,
the last bucket's first, which waits until that has come; the rest of it; then for each bucket the backward pass up to
its last gradient and its encoding, and what is left; where there are no buckets, the update. `Worker` is the same as a
process, and says it in words.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.engine.accounts import Accounts
from netsim.engine.communicator import Communicator
from netsim.engine.device import KINDS
from netsim.engine.server import later
from netsim.engine.spans import READY, as_done
from netsim.engine.step import SAME_INSTANT
from netsim.engine.streams import groups
from netsim.engine.ways import Item
from netsim.engine.worker_job import WorkerJob
from netsim.engine.worker_processes import forward_shares
from netsim.network.timer import Timer
from netsim.sync.base import Sync

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.engine.spans import Span
    from netsim.engine.worker_job import Rows

    Workers = NDArray[np.int64]

_WARM_UP = 1
"""The first step has nothing to wait for, and is not told."""


class PriorityRows(WorkerJob[Sync]):
    """One job. A worker's place [n] counts what its device has done in its step; what has `fired` may be used."""

    def begin(self) -> None:
        """Start the workers."""
        count, self._buckets = len(self.nodes[0]), len(self.measurement.buckets)
        self.ways = Communicator(self.env, self.network, self.nodes, self.devices)
        self._shares = forward_shares(self.measurement, self.timing, self.job.grad_accumulation)
        elements = np.array([one.sum() for one in self.measurement.sizes])
        self._optimizer_s = self.timing.optimizer_s * elements / max(elements.sum(), 1)
        self._last = _WARM_UP + self.job.steps - 1
        self._timer = Timer(self.env, self._settle)
        self._step, self._place, self._under_way = (np.zeros(count, dtype=np.int64) for _ in range(3))
        self._end_s = np.full(count, np.inf)
        self._late_s, self._free_s, self._item_s, self._backward_s = (np.zeros(count) for _ in range(4))
        self._begin_s, self._since_s, self._comm_s, self._wait_s = (np.zeros(count) for _ in range(4))
        self._worked_s = {kind: np.zeros(count) for kind in KINDS}
        self._fired = np.zeros((self._buckets, count), dtype=bool)
        self._waits_for = np.full(count, -1, dtype=np.int64)
        self._pieces_left = np.zeros((self._buckets, count), dtype=np.int64)
        self._accounts = Accounts(self.devices, _WARM_UP)
        self._told_s = np.zeros((2, count))
        self._ends = np.zeros(count, dtype=bool)
        self._unfinished = count
        self._advance(np.arange(count))

    def stretch(self, first: int, last: int) -> Rows:
        """Raise: steps that overlap cannot be done by stretches."""
        raise NotImplementedError

    # ---- what devices do

    def _advance(self, workers: Workers) -> None:
        """Let workers whose devices are idle do what is next."""
        queue = [workers]
        while queue:
            for step, same in groups(self._step[queue[-1]], queue.pop()):
                for place, some in groups(self._place[same], same):
                    over = self._start(int(step), int(place), some)
                    if len(over):
                        queue.append(self._over(int(step), int(place), over))
        self._timer.set(self._end_s.min())

    def _start(self, step: int, place: int, workers: Workers) -> Workers:
        """Begin what is next, where it has not to wait for a bucket; return those that are through with it at once."""
        if step and place < self._buckets:
            bucket = self._buckets - 1 - place
            come = self._fired[bucket, workers]
            self._waits_for[workers[~come]] = bucket
            workers = workers[come]
        now_s = float(self.env.now)
        self._item_s[workers] = now_s
        if place == self._buckets + 1:
            self._backward_s[workers], self._fired[:, workers] = now_s, False
        what, seconds = self._work(step, place, workers)
        self._worked_s[what][workers] += seconds
        end_s = self.devices.after(workers, np.maximum(self._free_s[workers], now_s), seconds)
        busy = end_s > now_s
        self._end_s[workers[busy]], self._late_s[workers[busy]] = end_s[busy], 0.0
        return workers[~busy]

    def _work(self, step: int, place: int, workers: Workers) -> tuple[str, NDArray[np.float64]]:
        """Return what kind of work is at a place of a step, and its seconds [K]."""
        compute, buckets = self.compute(step), self._buckets
        forward_s = compute.forward_s[workers]
        by_layer = self._shares if step else np.zeros(buckets)
        if place < buckets:
            return "compute", forward_s * by_layer[buckets - 1 - place]
        if place == buckets:
            return "compute", np.maximum(forward_s * (1 - by_layer.sum()), 0.0)
        if place == 3 * buckets + 2:
            return "optimizer", np.full(len(workers), self.timing.optimizer_s)
        bucket, encodes = divmod(place - buckets - 1, 2)
        if encodes:
            stages = self._stages(step)[bucket]
            return "encode", np.full(len(workers), stages[0].encode_s if stages else 0.0)
        begin_s = compute.ready_s[bucket - 1] if bucket else compute.forward_s
        end_s = compute.ready_s[bucket] if bucket < buckets else compute.backward_end_s
        return "compute", end_s[workers] - begin_s[workers]

    def _settle(self) -> None:
        """Let devices go on that are through: with coding that came in between, or with what is next."""
        now_s = float(self.env.now)
        due = np.flatnonzero(self._end_s <= now_s * (1 + SAME_INSTANT))
        end_s = self.devices.after(due, np.full(len(due), now_s), self._late_s[due])
        over = end_s <= now_s
        self._end_s[due], self._late_s[due] = np.where(over, np.inf, end_s), 0.0
        for step, same in groups(self._step[due[over]], due[over]):
            for place, some in groups(self._place[same], same):
                self._advance(self._over(int(step), int(place), some))
        self._timer.set(self._end_s.min())

    def _over(self, step: int, place: int, workers: Workers) -> Workers:
        """Do what follows what a device has done; return those that go on."""
        now_s, buckets = np.full(len(workers), float(self.env.now)), self._buckets
        self._place[workers] += 1
        if place <= buckets:
            self._accounts.span(step, workers, "forward", buckets - 1 - place, self._item_s[workers], now_s)
        elif place == 3 * buckets + 1:
            self._accounts.span(step, workers, "backward", -1, self._backward_s[workers], now_s)
            return self._end_step(step, workers) if buckets else workers
        elif place == 3 * buckets + 2:
            self._accounts.span(step, workers, "optimizer", -1, self._item_s[workers], now_s)
            return self._end_step(step, workers)
        elif (place - buckets) % 2 == 0:
            bucket = (place - buckets) // 2 - 1
            if stages := self._stages(step)[bucket]:
                self._accounts.span(step, workers, READY, bucket, now_s - stages[0].encode_s, now_s)
                later(self.env, self.ways.call_s, partial(self._push, step, bucket, 0, workers))
            else:
                self._update(step, bucket, workers)
        return workers

    def _end_step(self, step: int, workers: Workers) -> Workers:
        self._note(step, workers)
        if step == self._last:
            self._ends[workers] = True
            self._finish(workers)
            return workers[:0]
        self._step[workers], self._place[workers] = step + 1, 0
        return workers

    def _finish(self, workers: Workers) -> None:
        """Let those end that have done their last step, once all that they sent has come."""
        done = workers[self._ends[workers] & self._fired[:, workers].all(axis=0)]
        self._ends[done] = False
        self._unfinished -= len(done)
        if len(done) and not self._unfinished:
            self.over.succeed()

    # ---- the way of a bucket

    def _push(self, step: int, bucket: int, stage: int, workers: Workers) -> None:
        """Take part in a bucket's collective, piece by piece."""
        pieces, now_s = self.pieces[bucket], self.env.now
        self._since_s[workers[self._under_way[workers] == 0]] = now_s
        self._under_way[workers] += 1
        self._pieces_left[bucket, workers] = len(pieces)
        exchange, pulled = self._stages(step)[bucket][stage], partial(self._pulled, step, bucket, stage)
        for place, piece in enumerate(pieces):
            item = Item((bucket, stage, place), step, -1, piece, exchange, -float(bucket), pulled)
            self.ways.call(item, workers)

    def _pulled(self, step: int, bucket: int, stage: int, workers: Workers, since_s: NDArray[np.float64]) -> None:
        """Code what has come; the last collective's result is then updated with, and may be used."""
        now_s = float(self.env.now)
        self._accounts.span(step, workers, "communicate", bucket, since_s, np.full(len(workers), now_s))
        self._pieces_left[bucket, workers] -= 1
        workers = workers[self._pieces_left[bucket, workers] == 0]
        self._under_way[workers] -= 1
        idle = workers[self._under_way[workers] == 0]
        self._comm_s[idle] += now_s - self._since_s[idle]
        self._wait_s[idle] += np.clip(self._since_s.max() - self._since_s[idle], 0.0, now_s - self._since_s[idle])
        stages = self._stages(step)[bucket]
        if stage + 1 < len(stages):
            end_s = self._code(step, workers, "encode", bucket, stages[stage + 1].encode_s)
            for ready_s, some in groups(end_s, workers):
                push = partial(self._push, step, bucket, stage + 1, some)
                later(self.env, ready_s - now_s, partial(later, self.env, self.ways.call_s, push))
            return
        self._code(step, workers, "decode", bucket, stages[-1].decode_s)
        self._update(step, bucket, workers)

    def _update(self, step: int, bucket: int, workers: Workers) -> None:
        """Update with a bucket by itself, which may then be used."""
        end_s = self._code(step, workers, "optimizer", bucket, float(self._optimizer_s[bucket]))
        for ready_s, some in groups(end_s, workers):
            later(self.env, ready_s - float(self.env.now), partial(self._fire, bucket, some))

    def _code(self, step: int, workers: Workers, what: str, bucket: int, seconds: float) -> NDArray[np.float64]:
        """Code before anything else; return [K] when that is done."""
        self._worked_s[what][workers] += seconds
        end_s = self.devices.after(workers, np.maximum(self._free_s[workers], self.env.now), seconds)
        self._free_s[workers] = end_s
        self._late_s[workers] += np.where(np.isfinite(self._end_s[workers]), seconds, 0.0)
        self._accounts.span(step, workers, what, bucket, end_s - seconds, end_s)
        return end_s

    def _fire(self, bucket: int, workers: Workers) -> None:
        self._fired[bucket, workers] = True
        waiting = workers[self._waits_for[workers] == bucket]
        self._waits_for[waiting] = -1
        if self._ends[workers].any():
            self._finish(workers)
        if len(waiting):
            self._advance(waiting)

    def _stages(self, step: int) -> Any:
        return self.measured_steps[(step - _WARM_UP) % len(self.measured_steps)]

    # ---- accounts

    def _note(self, step: int, workers: Workers) -> None:
        """Write down where workers' steps went."""
        now_s, begin_s = float(self.env.now), self._begin_s[workers]
        worked = {f"{kind}_s": self._worked_s[kind][workers] for kind in KINDS}
        more = {"comm_s": self._comm_s[workers], "comm_wait_s": self._wait_s[workers]}
        self._accounts.end(step, workers, begin_s, now_s, worked, **more)
        if step == _WARM_UP:
            self._told_s[:, workers] = begin_s, np.full(len(workers), now_s)
        for one in (*self._worked_s.values(), self._comm_s, self._wait_s):
            one[workers] = 0.0
        self._begin_s[workers] = now_s

    def told(self) -> list[dict[str, Any]]:
        """Return a row a step: means over workers."""
        steps = range(_WARM_UP, self._last + 1)
        return [self._accounts.means(step) | self.ways.means(step) | {"step": step - _WARM_UP} for step in steps]

    def spans(self) -> list[Span]:
        """Return what workers did in the first step that is told, for the step before, too."""
        begin_s, end_s = self._told_s
        cut = [
            one._replace(
                start_s=max(one.start_s, float(begin_s[one.worker])), end_s=min(one.end_s, float(end_s[one.worker]))
            )
            for one in as_done(self._accounts.spans)
        ]
        return sorted(one for one in cut if one.start_s < one.end_s)

    def steps_done(self) -> float:
        """Return how many steps each worker has done."""
        return float(self._last + 1)

    def moved(self) -> int:
        """Return how many times a worker has been through an exchange."""
        return self.ways.moved()

    def waiting(self) -> list[str]:
        """Return what each worker waits for."""
        buckets, workers = np.nonzero(~self._fired)
        return [f"worker {worker} waits for bucket {bucket}" for bucket, worker in zip(buckets, workers, strict=True)]
