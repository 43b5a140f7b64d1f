"""Rate and distortion of schemes beside the bounds: the figure, and how many bits each scheme is from the bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from netsim.report import layout, scales
from netsim.report.style import GREY
from netsim.report.text import UNKNOWN, Column, table
from netsim.theory.rate_distortion import shannon_distortion, ternary_top_k_distortion, top_k_rate
from netsim.theory.sources import GeneralizedGaussian, least_distortion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAUSSIAN = "Gaussian"
FAMILIES = {
    "scaled_sign": ("scaled sign", "#0072B2", "o"),
    "rms_sign": ("RMS sign", "#56B4E9", "s"),
    "topk": ("top-k, entropy-coded indices", "#D55E00", "^"),
    "topk_quantized": ("top-k, quantized values", "#882255", "v"),
    "vector_quantizer": ("vector quantizers (LBG)", "#009E73", "D"),
    "lloyd_max": ("Lloyd-Max, entropy-coded", "#CC79A7", "P"),
}
"""The schemes of the comparison: name, colour, marker. All others are grey and named in the figure."""
LEAST_RATE, MOST_RATE = 0.004, 40.0
_MOST_PANELS, _MOST_COLUMNS = 4, 2
_MOST_STEPS = 2
_ABOUT = (
    f"  By rate. Packed: as sent; coded: by an adaptive entropy code; both of {GAUSSIAN} samples.",
    "  Error: squared, over energy. A gap: coded bits less those of the best code of any length for the same error.",
    "  For a trace, the best for independent values of fitted distributions: below 0 where a scheme follows more.",
)
_CORNER = (MOST_RATE, 0.0)
_TABLE_WIDTH = 140


def rate_distortion(points: pd.DataFrame, sources: pd.DataFrame) -> Figure:
    """Return the figure: the Gaussian source, then captured steps, early to late, each with its bounds."""
    places = list(dict.fromkeys(zip(points["source"].astype(str), points["step"].astype(int), strict=True)))
    shown = places[:1] + _spread(places[1:], _MOST_PANELS - 1)
    columns = min(_MOST_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = layout.figure(0.8 + 4.4 * columns, 1.4 + 3.5 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for axes in grid[len(shown) :]:
        axes.remove()
    for axes, (source, step) in zip(grid, shown, strict=False):
        here = (points["source"] == source) & (points["step"] == step)
        there = sources[(sources["source"] == source) & (sources["step"] == step)]
        shapes = there.groupby("shape")["elements"].sum()
        title = f"{GAUSSIAN} source" if source == GAUSSIAN else f"{source}, step {step}"
        axes.set_title(title, fontsize=10, loc="left")
        _bounds(axes, shapes / shapes.sum(), gaussian=source == GAUSSIAN)
        _schemes(axes, _mean(points[here], ["kind", "scheme"]))
        _axes(axes)
    for axes in grid[: len(shown) : columns]:
        axes.set_ylabel("distortion: squared error / energy", fontsize=9)
    handles = {str(one.get_label()): one for axes in grid[: len(shown)] for one in axes.get_legend_handles_labels()[0]}
    figure.legend(
        handles=list(handles.values()), loc="outside lower center", ncols=min(4, 2 * columns), fontsize=8, frameon=False
    )
    return figure


def _spread(places: Sequence[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    """Return at most so many places, the first and the last among them."""
    if not places:
        return []
    chosen = np.unique(np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int))
    return [places[index] for index in chosen]


def _mean(points: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return means over tensors, each element counting the same."""
    columns = ["rate_bits", "coded_bits", "distortion", "bound_bits", "gap_bits"]
    weighted = points[columns].mul(points["elements"], axis=0)
    sums = weighted.groupby([points[one] for one in by], sort=False).sum(min_count=1)
    counted = points[columns].notna().mul(points["elements"], axis=0)  # a tensor without error has no bound
    elements = counted.groupby([points[one] for one in by], sort=False).sum()
    return sums[columns].div(elements.where(elements > 0)).reset_index()


def _bounds(axes: Axes, shapes: pd.Series[float], *, gaussian: bool) -> None:
    rates = np.geomspace(LEAST_RATE, MOST_RATE, 160)
    shannon = [shannon_distortion(rate) for rate in rates]
    axes.plot(rates, shannon, color="black", linewidth=1.4, label="Shannon, Gaussian source")
    if gaussian:
        ratios = np.geomspace(1e-4, 0.5, 80)  # with more the rate falls again, to 1 bit of all signs
        axes.plot(
            [top_k_rate(ratio, 1) for ratio in ratios], [ternary_top_k_distortion(ratio) for ratio in ratios],
            color="#D55E00", linewidth=1.0, linestyle=":", label="ternary top-k, closed form",
        )  # fmt: skip
    else:
        fitted = np.zeros(len(rates))
        for shape, share in shapes.items():
            source = GeneralizedGaussian(float(str(shape)))
            fitted += share * np.array([least_distortion(source, rate) for rate in rates])
        axes.plot(rates, fitted, color="black", linewidth=1.2, linestyle="--", label="bound of the fitted sources")


def _schemes(axes: Axes, means: pd.DataFrame) -> None:
    families = means[means["kind"].isin(list(FAMILIES))]
    taken = list(zip(families["coded_bits"].astype(float), families["distortion"].astype(float), strict=True))
    named: list[tuple[float, float]] = []
    for kind, part in means.groupby("kind", sort=False):
        family = FAMILIES.get(str(kind))
        if family is None:
            _others(axes, part, named, taken)
            continue
        name, colour, marker = family
        rising = part.sort_values("coded_bits")
        line = "-" if kind in {"topk", "topk_quantized"} else ""
        axes.plot(
            rising["coded_bits"], rising["distortion"], color=colour, marker=marker, linestyle=line, linewidth=1.0,
            markersize=6, markeredgecolor="white", markeredgewidth=0.5, label=name,
            zorder=5 if kind == "scaled_sign" else 3,
        )  # fmt: skip


def _others(
    axes: Axes, part: pd.DataFrame, named: list[tuple[float, float]], taken: Sequence[tuple[float, float]]
) -> None:
    """Draw points of no family, with names where these are far enough from those already written and from families."""
    for row in part.itertuples():
        rate, distortion = float(str(row.coded_bits)), float(str(row.distortion))
        if not (LEAST_RATE < rate < MOST_RATE and distortion < 1):
            continue
        axes.plot([rate], [distortion], color=GREY, marker=".", linestyle="", zorder=2)
        free = all(abs(np.log2(rate / x)) > 0.2 or abs(distortion - y) > 0.02 for x, y in taken)
        if free and all(abs(np.log2(rate / x)) > 2 or abs(distortion - y) > 0.04 for x, y in [*named, _CORNER]):
            named.append((rate, distortion))
            axes.annotate(
                str(row.kind), (rate, distortion), xytext=(4, 2), textcoords="offset points", fontsize=6, color=GREY
            )


def _axes(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_xlim(LEAST_RATE, MOST_RATE)
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_locator(FixedLocator([0.01, 0.1, 1, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("rate: bits an element", fontsize=9)
    scales.tidy(axes)


def gaps(points: pd.DataFrame) -> str:
    """Return, for each trace, a table: bits of each scheme, and bits from the bound by layer kind and captured step."""
    gaussian = _mean(points[points["source"] == GAUSSIAN], ["scheme"]).set_index("scheme")
    found = [
        _gaps(str(name), part, gaussian) for name, part in points.groupby("source", sort=False) if name != GAUSSIAN
    ]
    return "\n\n".join(found or [_gaps("", points[:0], gaussian)])


def _gaps(name: str, part: pd.DataFrame, gaussian: pd.DataFrame) -> str:
    of: dict[tuple[str, int], pd.Series[float]] = {}
    for layer in sorted(set(part["layer"])):
        for step in _spread([(layer, one) for one in sorted(set(part["step"]))], _MOST_STEPS):
            here = part[(part["layer"] == layer) & (part["step"] == step[1])]
            of[step] = _mean(here, ["scheme"]).set_index("scheme")["gap_bits"]
    whole = _mean(part, ["scheme"]).set_index("scheme")["distortion"].to_dict()
    exact = [str(scheme) for scheme, error in gaussian["distortion"].items() if not error]
    headings = [
        "packed|bits",
        "coded|bits",
        f"{GAUSSIAN}|error",
        "trace|error",
        f"{GAUSSIAN}|gap",
        *(f"{layer}|step {step}" for layer, step in of),
    ]
    rows = [
        [
            str(scheme), f"{row['rate_bits']:.3f}", f"{row['coded_bits']:.3f}", f"{row['distortion']:.3g}",
            f"{whole[scheme]:.3g}" if scheme in whole else UNKNOWN,
            _gap(row["gap_bits"]), *(_gap(gaps.get(scheme, np.nan)) for gaps in of.values()),
        ]
        for scheme, row in gaussian.sort_values("coded_bits", kind="stable").iterrows()
        if str(scheme) not in exact
    ]  # fmt: skip
    title = f"Bits an element from the bound, entropy-coded{f': {name}' if name else ''}"
    columns = [Column("scheme|", words=True), *map(Column, headings)]
    without = [f"  Without an error, and so without a bound: {', '.join(exact)}."] if exact else []
    return "\n".join([title, *_ABOUT, *without, *table(columns, rows, width=_TABLE_WIDTH)])


def _gap(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else UNKNOWN
