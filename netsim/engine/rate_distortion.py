"""Measures rate and distortion of schemes on a Gaussian source and on every captured tensor, against the bounds."""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import gammaln

from netsim.compress import LloydMax, Peer, Scheme, TopK, VectorQuantizer, Wrapper, schemes
from netsim.compress.base import check_finite
from netsim.compress.drive import exchange
from netsim.errors import InputError
from netsim.lazy import torch
from netsim.scenario.named import named_schemes
from netsim.theory import sources
from netsim.workload.trace import open_trace
from netsim.writing import write_atomically, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netsim.compress import Message
    from netsim.ticker import Tell
    from netsim.workload.base import Tensor
    from netsim.workload.trace import TraceGradients

GAUSSIAN = "Gaussian"
SIDE = 512
"""The Gaussian source is a square matrix of so many rows."""
MOST_SYMBOLS_BITS = 16


@dataclass(frozen=True)
class Sample:
    """A tensor to be coded: where it is from, and its values."""

    source: str
    step: int
    tensor: str
    layer: str
    values: torch.Tensor


def measured_schemes(texts: Sequence[str] = ()) -> list[Scheme]:
    """Return the schemes that texts name, as a scenario would; without any, every scheme and families of some.

    Raises:
        NetsimError: a text names no scheme, one that cannot be built, or one whose estimate has no size.
    """
    if texts:
        named = named_schemes(texts)
        for one in named:
            if one.scale_free:
                remedy = "leave it out, or name scaled_sign, whose signs have the gradient's size"
                raise InputError(f"the estimate of {one.label} has no size, and so no distortion", remedy, "--schemes")
        return named
    examples = [schemes.get(kind).example() for kind in schemes]
    plain = [one for one in examples if not isinstance(one, Wrapper) and not one.scale_free]
    families: list[Scheme] = [TopK(ratio=ratio) for ratio in (0.001, 0.003, 0.03, 0.1, 0.2, 0.5)]
    families += [LloydMax(levels=levels, code="entropy") for levels in (3, 8, 32)]
    families += [
        VectorQuantizer(dimension=n, codewords=m) for n, m in ((8, 4), (2, 2), (4, 4), (8, 16), (2, 4), (2, 16))
    ]
    return list(dict.fromkeys([*plain, *families]))


def measure(
    traces: Sequence[Path], measured: Sequence[Scheme], progress: Tell | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Code a Gaussian matrix and every tensor that the first worker of each trace captured, at every captured step.

    Every tensor is coded by itself, from a fresh state. The rate counts what a worker sends, not what an owner returns.

    Args:
        traces: files of captured gradients.
        measured: the schemes.
        progress: told before each tensor is measured how many are done of all, and its source and step.

    Returns:
        The points, a row for every tensor, step and scheme: `source`, `step`, `tensor`, `layer`, `elements`, `scheme`,
        `kind`, `rate_bits` an element as packed, `coded_bits` with symbols by an adaptive entropy code, `distortion`
        (error over mean square), `bound_bits` (the least rate of the fitted source at that distortion), `gap_bits`
        (coded rate less bound), `gap_db` (distortion over the least one at the coded rate).
        The sources, a row for every tensor and step: `elements`, `mean_over_rms`, `skewness`, `excess_kurtosis`,
        `shape` (of the generalised Gaussian), `modes` of a smoothed histogram, `gaussian_distance` and
        `laplace_distance` (Kolmogorov and Smirnov's, to the fitted distribution).

    Raises:
        TraceError: a trace cannot be read or is damaged.
        NonFiniteGradient: where a gradient holds NaN or infinity.
    """
    points: list[dict[str, Any]] = []
    described: list[dict[str, Any]] = []
    opened = [open_trace(path) for path in traces]  # what is wrong with any of them is said before work begins
    total = 1 + sum(one.num_steps * len(one.tensors) for one in opened)
    for done, sample in enumerate(_samples(opened)):
        here = sample.source if sample.source == GAUSSIAN else f"{sample.source}, step {sample.step}"
        if progress:
            progress(done, total, here)
        check_finite(sample.values, f"{here}, {sample.tensor}")
        values = sample.values.double().numpy().reshape(-1)
        if not np.any(values):
            continue
        place = {"source": sample.source, "step": sample.step, "tensor": sample.tensor, "layer": sample.layer}
        place |= {"elements": len(values)}
        source = sources.GeneralizedGaussian(2.0) if sample.source == GAUSSIAN else sources.fit(values)
        described.append(place | _described(values) | {"shape": source.shape})
        points.extend(place | _point(scheme, sample.values, source) for scheme in measured)
    return pd.DataFrame(points), pd.DataFrame(described)


def _samples(opened: Sequence[TraceGradients]) -> Iterator[Sample]:
    drawn = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    yield Sample(GAUSSIAN, 0, "samples", "samples", drawn)
    for trace in opened:
        for step in range(trace.num_steps):
            for index, tensor in enumerate(trace.tensors):
                (values,) = trace.read(step, 0, index, index + 1)
                yield Sample(trace.label, trace.header.steps[step], tensor.name, layer_kind(tensor), values)


def layer_kind(tensor: Tensor) -> str:
    """Return the kind of layer that a tensor belongs to, by its shape, and its name where shapes are alike."""
    if len(tensor.shape) < 2:
        return "vector"
    if len(tensor.shape) > 2:
        return "conv"
    return "embedding" if any(part in tensor.name.lower() for part in ("emb", "wte", "wpe")) else "linear"


def _point(scheme: Scheme, values: torch.Tensor, source: sources.GeneralizedGaussian) -> dict[str, Any]:
    state = scheme.init(values.shape, Peer(rank=0, workers=1, owners=1, seed=0))
    outcome = exchange(scheme, [values], [state])
    sent = [message for (message,) in outcome.messages if message.op != "shard"]
    numel, exact = values.numel(), values.double()
    distortion = float((outcome.mean.double() - exact).square().sum() / exact.square().sum())
    coded = sum(_coded_bits(message, numel) for message in sent) / numel
    bound = sources.least_rate(source, distortion) if distortion else np.nan
    return {
        "scheme": scheme.label,
        "kind": scheme.kind,
        "rate_bits": sum(message.nbits for message in sent) / numel,
        "coded_bits": coded,
        "distortion": distortion,
        "bound_bits": bound,
        "gap_bits": coded - bound,
        "gap_db": 10 * log10(distortion / sources.least_distortion(source, coded)) if distortion else np.nan,
    }


def _coded_bits(message: Message, numel: int) -> float:
    """Return the bits of a message if its symbols and its indices were entropy-coded, where that is shorter.

    An adaptive code takes log2 (n + m - 1)! / (m - 1)! / (n_1! ... n_m!) bits for n of m symbols (Laplace's rule of
    succession): their empirical entropy and what it takes to learn it. k indices, which are whole numbers below d that
    differ, take log2 C(d, k) bits, d being no more than the tensor's elements.
    """
    total = 0.0
    for part, field in zip(message.parts, message.layout, strict=True):
        flat, count = part.flatten(), part.numel()
        total += field.nbits(part)
        if flat.is_floating_point() or not count:
            continue
        counts = torch.unique(flat, return_counts=True)[1].double().numpy()
        fixed, kinds = count * field.width, field.count or 2**field.width
        if flat.dtype == torch.int64 and 0 < field.count <= numel and len(counts) == count:
            total += (lgamma(kinds + 1) - lgamma(count + 1) - lgamma(kinds - count + 1)) / log(2) - fixed
        elif not field.open and field.width <= MOST_SYMBOLS_BITS:
            adaptive = lgamma(count + kinds) - lgamma(kinds) - float(gammaln(counts + 1).sum())
            total += min(0.0, adaptive / log(2) - fixed)
    return total


def _described(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    scale = float(np.sqrt(np.mean(values**2)))
    unit = values / scale
    spread = float(unit.std())
    if len(unit) < 8 or not spread:
        return dict.fromkeys(
            ("mean_over_rms", "skewness", "excess_kurtosis", "modes", "gaussian_distance", "laplace_distance"), np.nan
        )
    middle = float(np.median(unit))
    laplace = stats.laplace(middle, float(np.mean(np.abs(unit - middle))))
    return {
        "mean_over_rms": float(unit.mean()),
        "skewness": float(stats.skew(unit)),
        "excess_kurtosis": float(stats.kurtosis(unit)),
        "modes": _modes(unit),
        "gaussian_distance": float(stats.kstest(unit, stats.norm(unit.mean(), spread).cdf).statistic),
        "laplace_distance": float(stats.kstest(unit, laplace.cdf).statistic),
    }


def _modes(unit: np.ndarray[Any, np.dtype[np.float64]]) -> int:
    """Return the peaks of a histogram, smoothed by Silverman's bandwidth, of at least a tenth of the highest."""
    width = float(np.subtract(*np.percentile(unit, [75, 25]))) or 1.0
    count, edges = np.histogram(unit, bins=200, range=(-3 * width, 3 * width))
    bandwidth = 0.9 * width / 1.34 * len(unit) ** -0.2 / float(edges[1] - edges[0])
    reach = np.arange(-600, 601)
    smooth = np.convolve(count, np.exp(-((reach / max(bandwidth, 1.0)) ** 2) / 2), mode="same")
    inner = smooth[1:-1]
    return int(np.sum((inner > smooth[:-2]) & (inner >= smooth[2:]) & (inner > smooth.max() / 10)))


def write(points: pd.DataFrame, described: pd.DataFrame, folder: Path) -> list[Path]:
    """Write both tables as CSV and Parquet; return the files. Raise InputError where the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", "choose another folder", file=str(folder)) from error
    files = []
    for name, table in (("points", points), ("sources", described)):
        files += [folder / f"{name}.csv", folder / f"{name}.parquet"]
        write_atomically(files[-1], table.to_parquet)
        write_text(files[-2], table.to_csv(index=False))
    return files
