"""Gloo's ring all-reduce segment by segment, from its published source: the slow reference of a closed form.

Read: github.com/facebookincubator/gloo, gloo/allreduce.cc (`ring`) and gloo/transport/tcp/pair.cc (a segment leaves
once its receiver has told that it waits for it). Every host's output is one queue, first in first out, behind a delay
line, as netem shapes a link: what enters at t leaves at max(t + delay, end of what is before it) + its own time.
"""

from __future__ import annotations

import heapq

import numpy as np


class GlooRing:
    """Two loops (reduce-scatter, all-gather) a worker, each with at most two segments sent and two awaited."""

    def __init__(self, workers, segments, delay_s, segment_s, reduce_s, seed):
        self.n, self.steps = workers, segments * (workers - 1)
        self.delay_s, self.segment_s, self.reduce_s = delay_s, segment_s, reduce_s
        self.random = np.random.default_rng(seed)
        self.events, self.count = [], 0
        self.free_s = [0.0] * workers
        self.turn = [0] * workers
        self.received, self.posted, self.notices, self.sent, self.reduced = ([0] * workers for _ in range(5))

    def run(self):
        """Return the seconds until the last worker is done; they begin at random moments of one delay."""
        for worker in range(self.n):
            self._at(self.random.uniform(0, self.delay_s), self._go_on, worker)
        last_s = 0.0
        while self.events:
            last_s, _, act, worker = heapq.heappop(self.events)
            act(last_s, worker)
        assert self.turn == [2 * (self.steps + 2)] * self.n
        return last_s

    def _at(self, when_s, act, worker):
        self.count += 1
        heapq.heappush(self.events, (when_s, self.count, act, worker))

    def _leave(self, now_s, worker, takes_s, act, to):
        self.free_s[worker] = max(now_s + self.delay_s, self.free_s[worker]) + takes_s
        self._at(self.free_s[worker], act, to)

    def _noticed(self, now_s, worker):
        self.notices[worker] += 1
        self._send(now_s, worker)

    def _send(self, now_s, worker):
        while self.sent[worker] < min(self.notices[worker], self.posted[worker]):
            self.sent[worker] += 1
            self._leave(now_s, worker, self.segment_s, self._arrived, (worker - 1) % self.n)
        self._go_on(now_s, worker)

    def _arrived(self, now_s, worker):
        self.received[worker] += 1
        self._go_on(now_s, worker)

    def _reduced(self, now_s, worker):
        self.reduced[worker] += 1
        self._go_on(now_s, worker)

    def _go_on(self, now_s, worker):
        while self.turn[worker] < 2 * (self.steps + 2):
            gathering, turn = divmod(self.turn[worker], self.steps + 2)
            before = gathering * self.steps + turn - 1
            if turn >= 2 and min(self.received[worker], self.sent[worker]) < before:
                return
            if turn >= 2 and not gathering and self.reduced[worker] < 2 * before:
                if self.reduced[worker] == 2 * (before - 1):
                    self.reduced[worker] += 1
                    self._at(now_s + self.reduce_s * (1 + self.random.exponential()), self._reduced, worker)
                return
            self.turn[worker] += 1
            if turn < self.steps:
                self._leave(now_s, worker, 0.0, self._noticed, (worker + 1) % self.n)
                self.posted[worker] += 1
                self._send(now_s, worker)
