"""Accounts of workers that are rows of arrays: where their steps went, and what some of them did when."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from netsim.engine.spans import SPAN_WORKERS, Span, spans_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from netsim.conditions.devices import Devices

    Workers = NDArray[np.int64]
    Floats = NDArray[np.float64]


class Accounts:
    """Accounts of a job's workers; `spans` are kept of the steps up to `last_told`."""

    def __init__(self, devices: Devices, last_told: int) -> None:
        self.spans: list[Span] = []
        self._devices, self._last_told = devices, last_told
        self._rows: dict[int, dict[str, list[Floats]]] = defaultdict(lambda: defaultdict(list))

    def span(self, step: int, workers: Workers, what: str, bucket: int, start_s: Floats, end_s: Floats) -> None:
        """Note what workers [K] did from `start_s` [K] to `end_s` [K]."""
        if step <= self._last_told:
            self.spans += spans_of(workers, what, bucket, start_s, end_s)

    def end(
        self, step: int, workers: Workers, begin_s: Floats, now_s: float, worked: Mapping[str, Floats], **more: Floats
    ) -> None:
        """Note that a step of workers [K] ends; what a device neither `worked` nor lost is exposed communication."""
        downs = [self._devices.between(*one, now_s) for one in zip(workers.tolist(), begin_s.tolist(), strict=True)]
        if step <= self._last_told:
            for worker, down in zip(workers.tolist(), downs, strict=True):
                if worker < SPAN_WORKERS:
                    self.spans += [Span(worker, "down", -1, *one) for one in down]
        lost_s = np.array([sum(up_s - down_s for down_s, up_s in down) for down in downs], dtype=float)
        step_time_s = now_s - begin_s
        exposed_s = np.maximum(step_time_s - sum(worked.values()) - lost_s, 0.0)
        row = {"step_time_s": step_time_s, **worked, "lost_s": lost_s, "exposed_comm_s": exposed_s, **more}
        for key, values in row.items():
            self._rows[step][key].append(values)

    def means(self, step: int) -> dict[str, float]:
        """Return the means over workers of a step that all have done."""
        return {key: float(np.concatenate(parts).mean()) for key, parts in self._rows[step].items()}
