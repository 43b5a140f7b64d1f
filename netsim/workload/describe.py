"""What a trace holds, for `netsim inspect`: its facts, its tensors, and the statistics of each captured step."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.workload.trace import open_trace

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from netsim.workload.trace import TraceGradients


def describe(path: str | Path) -> dict[str, Any]:
    """Return what a trace holds; reads all of it, so damage anywhere is found.

    Besides single facts the result has two tables, lists of rows:

    - `tensors` in backward order: `name`, `shape`, `numel`, `ready_s`.
    - `steps`: `step`, `loss` (mean over workers, None where unknown), `norm` (Euclidean, mean over workers),
      `mean_norm` (of the workers' mean gradient), `zero_fraction`, `not_finite` (how many values are NaN or infinite),
      `excess_kurtosis` (0 for a Gaussian, 3 for a Laplace distribution), and the log-likelihood an element in nats
      of the best Gaussian (`gaussian_nats`) and Laplace distribution (`laplace_nats`), each fitted to every tensor and
      worker on its own and weighted by elements.
      Of two fits the one with more nats describes the values better. None where no tensor varies.

    Raises:
        TraceError: the file cannot be read or is damaged.
    """
    trace = open_trace(path)
    header = trace.header
    numel = sum(tensor.numel for tensor in trace.tensors)
    rows = zip(trace.tensors, trace.timing.ready_s, strict=True)
    return asdict(header.origin) | {
        "trace_id": trace.trace_id,
        "workers": trace.num_workers,
        "parameters": numel,
        "gradient_bytes": 4 * numel,
        "forward_s": trace.timing.forward_s,
        "backward_s": trace.timing.backward_s,
        "optimizer_s": trace.timing.optimizer_s,
        "tensors": [
            {"name": tensor.name, "shape": list(tensor.shape), "numel": tensor.numel, "ready_s": ready_s}
            for tensor, ready_s in rows
        ],
        "steps": [_step_row(trace, index) for index in range(trace.num_steps)],
    }


def _step_row(trace: TraceGradients, step: int) -> dict[str, Any]:
    losses = [loss for loss in trace.header.losses[step] if loss is not None]
    squares, mean_square, zeros, total, bad = np.zeros(trace.num_workers), 0.0, 0, 0, 0
    fits: list[tuple[int, float, float, float]] = []
    for index in range(len(trace.tensors)):
        mean: NDArray[np.float64] | float = 0.0
        for worker in range(trace.num_workers):
            (gradient,) = trace.read(step, worker, index, index + 1)
            values = gradient.numpy().reshape(-1).astype(np.float64)
            squares[worker] += float(values @ values)
            zeros += int(np.count_nonzero(values == 0))
            bad += int(np.count_nonzero(~np.isfinite(values)))
            total += len(values)
            mean = mean + values / trace.num_workers
            fits.extend(_fit(values))
        mean_square += float(np.sum(np.square(mean)))
    weights = [fit[0] for fit in fits]
    kurtosis, gaussian, laplace = (
        float(np.average([fit[place] for fit in fits], weights=weights)) if fits else None for place in (1, 2, 3)
    )
    return {
        "step": trace.header.steps[step],
        "loss": float(np.mean(losses)) if losses else None,
        "norm": float(np.sqrt(squares).mean()),
        "mean_norm": math.sqrt(mean_square),
        "zero_fraction": zeros / total if total else 0.0,
        "not_finite": bad,
        "excess_kurtosis": kurtosis,
        "gaussian_nats": gaussian,
        "laplace_nats": laplace,
    }


def _fit(values: NDArray[np.float64]) -> list[tuple[int, float, float, float]]:
    """Return (elements, excess kurtosis, nats an element of both fits), nothing where the values do not vary.

    At maximum likelihood a Gaussian gives -ln(2 pi e variance) / 2 and a Laplace distribution -ln(2 e b), b the mean
    distance from the median.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return []
    centred = values - values.mean()
    variance = float(np.mean(centred**2))
    distance = float(np.mean(np.abs(values - np.median(values))))
    if variance == 0.0 or distance == 0.0:
        return []
    kurtosis = float(np.mean((centred**2 / variance) ** 2)) - 3
    gaussian_nats = -0.5 * math.log(2 * math.pi * math.e * variance)
    return [(len(values), kurtosis, gaussian_nats, -math.log(2 * math.e * distance))]
