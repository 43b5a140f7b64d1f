"""Least squares: the efficiency, overhead and cap of a transport with which netsim predicts what was measured."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, stats

from netsim.calibration.predict import Cluster, predicted_s
from netsim.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.calibration.sample import Sample
    from netsim.network.transport import Transport

FITTED = ("efficiency", "overhead", "cap")
CONFIDENCE = 0.95
_LEAST_SPAN = 2.0
"""Sizes must differ by this factor to tell what a message costs from what its bytes cost."""
_STEP = 1e-4
"""By what a field is moved to see what it does: logarithms of rates, and overheads in units of the shortest time."""
_FELT = 1e-6
"""A parameter that moves no predicted time by more than this share is not determined by a log."""


@dataclass(frozen=True)
class Estimate:
    """A fitted value and the ends of its confidence interval; NaN where there are no more samples than parameters."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """A transport fitted to samples.

    Attributes:
        transport: the member, its fitted fields replaced.
        estimates: of the fields of FITTED that were fitted (a share, seconds, bytes/s).
        cluster: where the samples were taken to be measured.
        samples: what was measured.
        predicted_s: [samples] seconds that the fitted transport gives.
        notes: what the log could not tell.
    """

    transport: Transport
    estimates: dict[str, Estimate]
    cluster: Cluster
    samples: tuple[Sample, ...]
    predicted_s: NDArray[np.float64]
    notes: tuple[str, ...]

    @property
    def errors(self) -> NDArray[np.float64]:
        """Return [samples] predicted / measured - 1."""
        return self.predicted_s / _measured_s(self.samples) - 1


def fit(samples: Sequence[Sample], transport: Transport, cluster: Cluster) -> Fit:
    """Return the transport of the same kind that predicts `samples` best: least squares of log(predicted / measured).

    The rate becomes an efficiency where the line rate is known, else a cap on a pair of hosts. A log of several numbers
    of connections tells both apart, by Akaike's criterion corrected for few samples (Hurvich and Tsai 1989). What a
    message costs is fitted where sizes differ. Intervals are of 95 %, by the residuals and the Jacobian.

    Raises:
        InputError: too few samples, a transport without these fields, or samples faster than the line.
    """
    fields = {one.name for one in dataclasses.fields(transport)}  # type: ignore[arg-type]
    if not set(FITTED[:2]) <= fields:
        raise InputError(
            f"transport {transport.kind!r} has nothing to fit", "choose tcp, nccl, gloo or mpi", "--transport"
        )
    if not samples:
        raise InputError("no sample", "give a log of measured times")
    found = [
        one
        for names in _candidates(samples, cluster, fields)
        if (one := _Trial(samples, transport, cluster, names).run())
    ]
    if not found:
        remedy = "give --bandwidth and --latency as they are, or a transport with a larger window"
        raise InputError("no parameter has an effect on these times", remedy)
    best = min(found, key=lambda one: one.criterion)
    return Fit(
        best.transport(best.found), best.estimates(), cluster, tuple(samples), best.predicted_s(best.found),
        _notes(samples, cluster, best.names),
    )  # fmt: skip


def _candidates(samples: Sequence[Sample], cluster: Cluster, fields: set[str]) -> list[tuple[str, ...]]:
    sizes = [one.size_bytes for one in samples]
    overhead = ("overhead",) if max(sizes) >= _LEAST_SPAN * min(sizes) and not any(one.flows for one in samples) else ()
    caps = "cap" in fields
    if cluster.bandwidth is None:
        if not caps:
            remedy = "give the line rate: --bandwidth '100 Gbit/s'"
            raise InputError("without a line rate the rate is a cap, which this transport has not", remedy)
        return [("cap", *overhead)]
    several = caps and len({one.flows for one in samples}) > 1
    rates = [("efficiency",), ("cap",), ("efficiency", "cap")] if several else [("efficiency",)]
    return [(*rate, *overhead) for rate in rates]


class _Trial:
    """One choice of fitted fields: logarithms of rates, overheads in units of the shortest time."""

    def __init__(
        self, samples: Sequence[Sample], transport: Transport, cluster: Cluster, names: tuple[str, ...]
    ) -> None:
        self.samples, self.member, self.cluster, self.names = samples, transport, cluster, names
        self.measured_s = _measured_s(samples)
        self.unit_s = float(self.measured_s.min())
        self.found = np.zeros(0)
        self.covariance = np.zeros((0, 0))
        self.criterion = np.inf

    def transport(self, values: NDArray[np.float64]) -> Transport:
        fields: dict[str, Any] = {
            name: value * self.unit_s if name == "overhead" else float(np.exp(value))
            for name, value in zip(self.names, values.tolist(), strict=True)
        }
        return replace(self.member, **fields)  # type: ignore[type-var]

    def predicted_s(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        transport = self.transport(values)
        return np.array([predicted_s(one, transport, self.cluster) for one in self.samples])

    def run(self) -> _Trial | None:
        """Fit, and return the trial itself, or None where the samples do not determine one of its fields."""
        freedom, size = len(self.samples) - len(self.names), len(self.samples)
        solved = self._solve()
        if freedom < 0 or np.abs(solved.jac).max(axis=0).min() < _FELT:
            return None
        self._take(solved, freedom)
        if self._faster_than_its_line():
            self._take(self._solve(most_efficiency=1.0), freedom)
        count, squares = len(self.names) + 1, max(2 * float(solved.cost), 1e-18)
        spare = size - count - 1
        correction = 2 * count * (count + 1) / spare if spare > 0 else np.inf
        self.criterion = size * np.log(squares / size) + 2 * count + correction
        return self

    def _solve(self, most_efficiency: float = np.inf) -> Any:
        fastest = max(one.size_bytes / one.time_s / (one.flows or 1) for one in self.samples)
        start = {"efficiency": np.log(0.9), "cap": np.log(2 * fastest), "overhead": 0.1}
        least = [0.0 if name == "overhead" else -np.inf for name in self.names]
        most = [np.log(most_efficiency) if name == "efficiency" else np.inf for name in self.names]
        return optimize.least_squares(
            self._residuals, [start[name] for name in self.names], self._jacobian, (least, most), x_scale="jac"
        )

    def _residuals(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log(self.predicted_s(values) / self.measured_s)

    def _jacobian(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [samples, fields], by steps that are a share of no value: an overhead may be next to nothing."""
        here = self._residuals(values)
        return np.stack([self._residuals(values + step) - here for step in _STEP * np.eye(len(values))], axis=1) / _STEP

    def _take(self, solved: Any, freedom: int) -> None:
        self.found = solved.x
        variance = 2 * float(solved.cost) / freedom if freedom else np.nan
        self.covariance = variance * np.linalg.pinv(solved.jac.T @ solved.jac)

    def estimates(self) -> dict[str, Estimate]:
        """Return the fitted fields in their units with their intervals, an overhead's from 0, an efficiency's to 1."""
        freedom = len(self.samples) - len(self.names)
        reach = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(np.diag(self.covariance)) if freedom else np.nan
        ends = [self.found - reach, self.found, self.found + reach]
        low, value, high = (
            np.where(
                [name == "overhead" for name in self.names],
                np.maximum(one, 0) * self.unit_s,
                np.exp(np.minimum(one, 99)),
            )
            for one in ends
        )
        if "efficiency" in self.names:
            place = self.names.index("efficiency")
            high[place] = min(high[place], max(1.0, value[place]))
        return {name: Estimate(*map(float, each)) for name, *each in zip(self.names, value, low, high, strict=True)}

    def _faster_than_its_line(self) -> bool:
        """Say whether the efficiency exceeds 1 by scatter; raise InputError where it does so surely."""
        efficiency = self.estimates().get("efficiency")
        if efficiency is None or efficiency.value <= 1:
            return False
        if not efficiency.low <= 1:
            raise InputError(
                f"the log is {efficiency.value:.3g} times as fast as its line",
                "correct --bandwidth, --workers or --operation; without --bandwidth the rate becomes a cap",
            )
        return True


def _measured_s(samples: Sequence[Sample]) -> NDArray[np.float64]:
    return np.array([one.time_s for one in samples])


def _notes(samples: Sequence[Sample], cluster: Cluster, names: tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    if "efficiency" in names and "cap" not in names and len({one.flows for one in samples}) == 1:
        notes.append("a cap on connections would explain these rates as well: measure several (iperf3 -P 8) to tell")
    if cluster.bandwidth is None:
        notes.append(
            "the line rate is not known, so the rate is a cap on a pair of hosts: give --bandwidth for a share of it"
        )
    if "overhead" not in names:
        notes.append("one size only: what a message costs is left as it was")
    elif not cluster.latency:
        notes.append("the latency of the network is part of the overhead: give --latency, or set the topology's to 0")
    return tuple(notes)
