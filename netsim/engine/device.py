"""Workers' devices in simulated time: each does one thing at a time, and coding that is due goes before computing.

`Device` belongs to a process; `DeviceRows` are those of all workers, as rows of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    import simpy
    from numpy.typing import NDArray

    from netsim.conditions import Devices

KINDS = ("compute", "encode", "decode", "optimizer")


class Device:
    """Works for the process that owns it, and codes for anyone who asks; `worked_s` adds up the seconds of each kind.

    Each second of coding that is asked for while the device computes ends the computation a second later. `lasts_s`
    says how long seconds of work last that are taken up at a second.
    """

    def __init__(self, env: simpy.Environment, lasts_s: Callable[[float, float], float]) -> None:
        self.env = env
        self._lasts_s = lasts_s
        self.worked_s = dict.fromkeys(KINDS, 0.0)
        self._free_s = 0.0
        self._late_s = 0.0
        self._computing = False

    def work(self, what: str, seconds: float) -> Generator[simpy.Event, None, None]:
        """Work for so many seconds, after all coding that is due."""
        self.worked_s[what] += seconds
        coded_s = max(self._free_s - self.env.now, 0.0)
        left_s = coded_s + self._lasts_s(self.env.now + coded_s, seconds)
        self._computing, self._late_s = True, 0.0
        while left_s > 0:
            yield self.env.timeout(left_s)
            left_s, self._late_s = self._lasts_s(self.env.now, self._late_s), 0.0
        self._computing = False

    def code(self, what: str, seconds: float) -> float:
        """Work for so many seconds before anything else; return the seconds until that is done."""
        self.worked_s[what] += seconds
        start_s = max(self._free_s, self.env.now)
        self._free_s = start_s + self._lasts_s(start_s, seconds)
        self._late_s += seconds if self._computing else 0.0
        return self._free_s - self.env.now


class Compute(NamedTuple):
    """Seconds of a step's computation on each worker [n]; `ready_s` [buckets, n] counts from the step's begin."""

    forward_s: NDArray[np.float64]
    backward_end_s: NDArray[np.float64]
    ready_s: NDArray[np.float64]
    optimizer_s: float


class DeviceRows:
    """Devices [n] that go through steps of some buckets.

    Attributes:
        ready_s: [buckets, n] when each bucket is, or will be, ready and encoded.
        backward_end_s: [n] when the backward pass ends, as far as is known.
        free_s: [n] when the device is through with the coding that has been asked for.
        encode_s, decode_s: [n] seconds of coding in the step.
    """

    def __init__(self, devices: Devices, buckets: int) -> None:
        count = devices.count
        self.after = devices.after
        self.ready_s = np.zeros((buckets, count))
        self.backward_end_s, self.free_s = np.zeros(count), np.zeros(count)
        self.encode_s, self.decode_s = np.zeros(count), np.zeros(count)

    def begin(self, workers: NDArray[np.int64], now_s: float, compute: Compute, encodes: Sequence[float]) -> None:
        """Let workers [K] begin a step; `encodes` are the seconds that each bucket takes to encode.

        A bucket is encoded where its last gradient is ready, so it and all later gradients wait for that.
        """
        begin_s, added_s = np.full(len(workers), now_s), np.cumsum(encodes)
        computed_s = self.after(workers, begin_s, compute.ready_s[:, workers])
        self.ready_s[:, workers] = self.after(workers, computed_s, added_s[:, None])
        computed_s = self.after(workers, begin_s, compute.backward_end_s[workers])
        self.backward_end_s[workers] = self.after(workers, computed_s, sum(encodes))
        self.free_s[workers] = now_s
        self.encode_s[workers], self.decode_s[workers] = sum(encodes), 0.0

    def code(self, workers: NDArray[np.int64], now_s: float, what: str, seconds: float) -> NDArray[np.float64]:
        """Code now, before the rest of the backward pass; return when [K] that is done."""
        busy = now_s < self.backward_end_s[workers]
        free_s = np.maximum(self.free_s[workers], np.where(busy, now_s, self.backward_end_s[workers]))
        end_s = self.after(workers, np.maximum(free_s, now_s), seconds)
        self.free_s[workers] = end_s
        if seconds:
            ready_s, backward_end_s = self.ready_s[:, workers], self.backward_end_s[workers]
            self.ready_s[:, workers] = np.where(ready_s > now_s, self.after(workers, ready_s, seconds), ready_s)
            late_s = self.after(workers, backward_end_s, seconds)
            self.backward_end_s[workers] = np.where(busy, late_s, backward_end_s)
            (self.encode_s if what == "encode" else self.decode_s)[workers] += seconds
        return end_s

    def update(
        self, workers: NDArray[np.int64], last_s: NDArray[np.float64] | float, optimizer_s: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return when workers update, and when they are through, who got the last thing to decode at `last_s`."""
        update_s = np.maximum(np.maximum(self.backward_end_s[workers], self.free_s[workers]), last_s)
        return update_s, self.after(workers, update_s, optimizer_s)
