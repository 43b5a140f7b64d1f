"""Measure what the schemes cost on this device: the table behind cost model `measured`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.optimize import nnls

from netsim.compress import OneShot, Peer, Uncompressed, Wrapper, schemes
from netsim.compress.base import Key, Reply
from netsim.errors import InputError
from netsim.lazy import torch
from netsim.workload.cost import FREE, TABLE_FORMAT, Affine
from netsim.workload.device import ThreadClock, choose_device, clock_of, device_name, driver_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from netsim.compress import Scheme
    from netsim.registry import Variant
    from netsim.ticker import Tell
    from netsim.workload.device import Clock

SIZES = tuple(2**power for power in range(10, 27, 2))
"""Elements of the tensors that are measured."""
LEAST_CALLS = 3
"""Calls that a median is of, however long they take (unless fewer are asked for)."""
PATIENCE_S = 5.0
"""Once a tensor has taken so long, further calls are left out: those of large tensors scatter little."""
LEAST_S = 1e-6
"""Shorter times count as this one when errors are weighed: no clock tells them apart."""


Statistic: TypeAlias = Literal["median", "least"]
TAKEN: dict[Statistic, Callable[..., Any]] = {"median": np.median, "least": np.min}


class _Times(NamedTuple):
    """Seconds [calls, 2] of encoding and decoding, and those of the scheme that a wrapper goes around."""

    coded: NDArray[np.float64]
    plain: NDArray[np.float64]


def calibrate(
    device: str = "auto",
    sizes: Sequence[int] = SIZES,
    repeats: int = 10,
    progress: Tell | None = None,
    chosen: Sequence[Scheme] = (),
    statistic: Statistic = "median",
) -> dict[str, Any]:
    """Measure encoding and decoding of every registered scheme, or of the chosen ones, on Gaussian matrices.

    Encoding is everything up to the last reply, decoding what follows it for one message; a wrapper is booked with what
    it adds to `none`, and `none` with nothing. Times are medians after a warm-up call, or the least of several passes,
    by CUDA events or the monotonic clock, on one thread by its CPU time. The cost model follows them; beside them
    stands their fit max(floor, fixed + slope x) (Cupcake, MLSys 2023).

    Args:
        device: `auto`, `cpu` or `cuda`.
        sizes: elements of the tensors, at least two different ones.
        repeats: calls for each median, fewer where a tensor takes more than 5 s in all, but at least three; or passes
            of three calls each for the least.
        progress: told before each scheme is measured how many are done of all, and its label.
        chosen: the schemes, wrappers and all, whose variants are measured; none: every one with default parameters.
        statistic: what is taken of the calls: their `median`, or the `least`, where the machine is shared.

    Returns:
        The table, as `cost_table.write_table` stores it: device, versions, date, the fits and the medians behind them.

    Raises:
        InputError: where there is no such device, or too few sizes or repeats.
    """
    on = choose_device(device)
    counts = sorted(set(sizes))
    if len(counts) < 2 or counts[0] < 1 or repeats < 1:
        raise InputError("calibration needs two different sizes and one repeat", "give for example sizes 1024, 65536")
    return {
        "format": TABLE_FORMAT,
        **measured_on(device),
        "netsim": _version(),
        "date": datetime.now(UTC).date().isoformat(),
        "repeats": repeats,
        "statistic": statistic,
        "aggregate": _entry(counts, _adding_s(counts, on, repeats, statistic)),
        "schemes": _measure(members(chosen), counts, on, repeats, statistic, progress),
    }


def measured_on(device: str = "auto") -> dict[str, Any]:
    """Return what two tables must have in common to be one: device, driver, version of torch, threads.

    Raises:
        InputError: where there is no such device.
    """
    on = choose_device(device)
    return {
        "device": device_name(on),
        "driver": driver_name(on),
        "torch": torch.__version__,
        "threads": torch.get_num_threads() if on.type == "cpu" else 0,
    }


def members(chosen: Sequence[Scheme] = ()) -> list[Scheme]:
    """Return what has to be measured for some schemes: each variant once, wrappers around `none`, and `none` itself."""
    none = Uncompressed()
    if not chosen:
        return [schemes.get(kind).example() for kind in schemes]
    parts = [none, *(part for one in chosen for part in one.chain())]
    alone = [replace(part, inner=none) if isinstance(part, Wrapper) else part for part in parts]  # type: ignore[type-var]
    return list({one.variant: one for one in reversed(alone)}.values())[::-1]


def _version() -> str:
    try:
        return version("gradnetsim")
    except PackageNotFoundError:
        return "source tree"


def fit(elements: Sequence[int], seconds: Sequence[float]) -> Affine:
    """Return the floor, fixed part and slope with the least squared relative error, none of them negative.

    Every split of the sizes, in rising order, into a flat part and a straight line is tried.
    """
    x, t = np.asarray(elements, dtype=float), np.asarray(seconds, dtype=float)
    weight = 1 / np.maximum(t, LEAST_S)
    line = np.stack([weight, weight * x], axis=1)
    best, least = FREE, float("inf")
    for flat in range(len(x) - 1):
        (fixed, slope), _ = nnls(line[flat:], (weight * t)[flat:])
        floor = np.sum((weight**2 * t)[:flat]) / np.sum(weight[:flat] ** 2) if flat else 0.0
        error = float(np.sum((weight * (np.maximum(floor, fixed + slope * x) - t)) ** 2))
        if error < least * (1 - 1e-9):
            best, least = Affine(*(float(f"{value:.4g}") for value in (floor, fixed, slope))), error
    return best


def _measure(
    measured: Sequence[Scheme],
    sizes: Sequence[int],
    device: torch.device,
    repeats: int,
    statistic: Statistic,
    progress: Tell | None,
) -> dict[str, list[dict[str, Any]]]:
    """Return the entries of schemes: curves of encoding and of decoding."""
    known: dict[Variant, list[list[_Times]]] = {one.variant: [[] for _ in sizes] for one in measured}
    # The least has to find moments in which nobody else wants the machine: its calls lie apart in time.
    passes, calls_each = (repeats, LEAST_CALLS) if statistic == "least" else (1, repeats)
    for one in range(passes):
        for place, scheme in enumerate(measured):
            if progress:
                progress(one * len(measured) + place, passes * len(measured), scheme.variant.label)
            for size, calls in zip(sizes, known[scheme.variant], strict=True):
                calls.append(_call(scheme, _matrix(size, device), calls_each))
    found: dict[str, list[dict[str, Any]]] = {}
    for scheme in measured:
        seconds = np.array([_seconds(scheme, calls, statistic) for calls in known[scheme.variant]])
        entry = {
            "fields": dict(scheme.variant.fields),
            "encode": _entry(sizes, seconds[:, 0].tolist()),
            "decode": _entry(sizes, seconds[:, 1].tolist()),
        }
        found.setdefault(scheme.kind, []).append(entry)
    return found


def _call(scheme: Scheme, grad: torch.Tensor, repeats: int) -> _Times:
    """Return the seconds of some calls, and those of the scheme that a wrapper goes around."""
    if isinstance(scheme, Uncompressed):
        return _Times(np.zeros((1, 2)), np.zeros((1, 2)))
    plain = _drive(Uncompressed(), grad, repeats) if isinstance(scheme, Wrapper) else np.zeros((1, 2))
    return _Times(_times(scheme, grad, repeats), plain)


def _seconds(scheme: Scheme, calls: Sequence[_Times], statistic: Statistic) -> tuple[float, float]:
    """Return the seconds of encoding and of decoding."""
    times = np.concatenate([one.coded for one in calls])
    if not isinstance(scheme, Wrapper):
        encode_s, decode_s = TAKEN[statistic](times, axis=0)
        return float(encode_s), float(decode_s)
    plain = np.concatenate([one.plain for one in calls])
    return _surplus(times.sum(axis=1), plain.sum(axis=1), statistic), 0.0


def _entry(sizes: Sequence[int], medians: Sequence[float]) -> dict[str, Any]:
    """Return a curve of the table: medians [s] at each size, and their fit."""
    seconds = [float(f"{value:.4g}") for value in medians]
    return {"elements": list(sizes), "seconds": seconds, "fit": asdict(fit(sizes, medians))}


def _matrix(size: int, device: torch.device) -> torch.Tensor:
    """Return a Gaussian matrix of about `size` elements, as square as powers of two allow."""
    rows = 2 ** (size.bit_length() // 2)
    return torch.randn(max(1, size // rows), rows, generator=torch.Generator().manual_seed(size)).to(device)


def _times(scheme: Scheme, grad: torch.Tensor, repeats: int) -> NDArray[np.float64]:
    """Return the seconds [repeats, 2] of encodings and decodings, after one that does not count."""
    if not isinstance(scheme, OneShot):
        return _drive(scheme, grad, repeats)
    clock, key, times = _clock(grad.device), Key(seed=0, rank=0), []
    for _ in _calls(repeats):
        start = clock.mark()
        message = scheme.encode(grad, key)
        middle = clock.mark()
        scheme.decode(message.parts, grad.shape, key)
        times.append(_between(clock, (start, middle, clock.mark())))
    return np.array(times[1:])


def _drive(scheme: Scheme, grad: torch.Tensor, repeats: int) -> NDArray[np.float64]:
    """Return the seconds [repeats, 2] before and after the last reply to a worker that is alone."""
    clock, times = _clock(grad.device), []
    state = scheme.init(grad.shape, Peer(rank=0, workers=1, owners=1, seed=0))
    for _ in _calls(repeats):
        worker = scheme.exchange(grad, state)
        start = clock.mark()
        message, ended = next(worker), False
        while not ended:
            middle = clock.mark()
            try:
                message = worker.send(Reply([message.parts]))
            except StopIteration as end:
                state, ended = end.value[2], True
        times.append(_between(clock, (start, middle, clock.mark())))
    return np.array(times[1:])


def _clock(device: torch.device) -> Clock:
    """Return the clock of the device; one thread's work is not to take longer because others want its core."""
    return ThreadClock() if device.type == "cpu" and torch.get_num_threads() == 1 else clock_of(device)


def _calls(repeats: int) -> Iterator[int]:
    """Count the calls to make: one that does not count, and `repeats` more unless they take too long."""
    started_s = time.monotonic()
    for done in range(repeats + 1):
        if done > LEAST_CALLS and time.monotonic() - started_s > PATIENCE_S:
            return
        yield done


def _between(clock: Clock, marks: tuple[Any, Any, Any]) -> tuple[float, float]:
    """Return the seconds from the first mark to the second and from there to the third."""
    clock.settle()
    start, middle, end = marks
    return clock.seconds(start, middle), clock.seconds(middle, end)


def _surplus(with_it: NDArray[np.float64], without: NDArray[np.float64], statistic: Statistic) -> float:
    """Return how much longer one takes than the other [repeats], or 0 where that is no more than their scatter."""
    scatter = max(float(np.median(np.abs(one - np.median(one)))) for one in (with_it, without))
    found = float(TAKEN[statistic](with_it) - TAKEN[statistic](without))
    return found if found > (scatter if statistic == "median" else 0.0) else 0.0


def _adding_s(sizes: Sequence[int], device: torch.device, repeats: int, statistic: Statistic) -> list[float]:
    """Return the seconds of adding one tensor to another, for each size."""
    clock, taken_s = _clock(device), []
    for size in sizes:
        total, message = _matrix(size, device), _matrix(size, device)
        times = []
        for _ in _calls(repeats):
            start = clock.mark()
            total.add_(message)
            end = clock.mark()
            clock.settle()
            times.append(clock.seconds(start, end))
        taken_s.append(float(TAKEN[statistic](times[1:])))
    return taken_s
