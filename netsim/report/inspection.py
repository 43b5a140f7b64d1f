"""What a trace holds, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsim.report.text import UNKNOWN, Column, entries, nbytes, seconds, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LARGEST = 12


def inspected(held: Mapping[str, Any]) -> str:
    """Return the facts of a trace, its captured steps, and its largest tensors in backward order."""
    seed = "" if held["seed"] is None else f"seed {held['seed']}, "
    threads = f"{held['threads']} CPU thread{'s' if held['threads'] != 1 else ''}"
    times = f"forward {seconds(held['forward_s'])}, backward {seconds(held['backward_s'])}"
    facts = {
        "task": held["task"],
        "trace": held["trace_id"],
        "device": ", ".join(text for text in (held["device"], held["driver"]) if text and text != "none"),
        "software": f"torch {held['torch']}, netsim {held['netsim']}, Python {held['python']}",
        "captured": f"{held['date']}, {seed}{held['dtype']}, {threads}",
        "workers": f"{held['workers']}, each with {held['batch']} samples a step",
        "model": f"{held['parameters']:,} parameters in {len(held['tensors'])} tensors",
        "gradient": f"{nbytes(held['gradient_bytes'])} a worker and step",
        "times": f"{times}, optimizer {seconds(held['optimizer_s'])}",
    }
    return "\n\n".join(
        [
            "\n".join(entries(list(facts.items()), indent=0)),
            _steps(held["steps"]),
            _sparsity(held["sparsity"], [row["step"] for row in held["steps"]]),
            _tensors(held["tensors"]),
        ]
    )


def _steps(steps: Sequence[Mapping[str, Any]]) -> str:
    headings = (
        "step",
        "loss",
        "norm",
        "norm of|the mean",
        "zeros",
        "excess|kurtosis",
        "Gaussian|(nats)",
        "Laplace|(nats)",
    )
    columns = [*map(Column, headings), Column("fits|better", words=True)]
    bad = [
        f"step {row['step']}: {row['not_finite']:,} values are NaN or infinite, with which nothing can be simulated"
        for row in steps
        if row["not_finite"]
    ]
    return "\n".join([*table(columns, [_step(row) for row in steps], indent=0), *bad])


def _step(row: Mapping[str, Any]) -> list[str]:
    gaussian, laplace = row["gaussian_nats"], row["laplace_nats"]
    better = UNKNOWN if gaussian is None or laplace is None else "Laplace" if laplace > gaussian else "Gaussian"
    numbers = [row[name] for name in ("loss", "norm", "mean_norm")]
    fits = [row["excess_kurtosis"], gaussian, laplace]
    return [str(row["step"]), *map(_number, numbers), f"{row['zero_fraction']:.1%}", *map(_number, fits), better]


def _sparsity(rows: Sequence[Mapping[str, Any]], steps: Sequence[int]) -> str:
    """Return where gradients are not zero, and how evenly as many owners as workers share that."""
    headings = ("step", "elements", "density", "union of|all workers", "overlap", "largest / mean|of hashed parts")
    columns = [
        *(Column(one, words=one == "elements") for one in headings),
        Column("largest / mean|of shards"),
        Column("blocks of 256|not zero"),
    ]
    shown = [
        [
            str(steps[row["step"]]),
            row["elements"],
            *(f"{row[name]:.2%}" for name in ("density", "union", "overlap")),
            *(f"{row[name]:.3f}" for name in ("hash_imbalance", "shard_skew")),
            f"{row['blocks_256']:.1%}",
        ]
        for row in rows
    ]
    return "\n".join(table(columns, shown, indent=0))


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.4g}"


def _tensors(tensors: Sequence[Mapping[str, Any]]) -> str:
    largest = sorted(tensors, key=lambda tensor: -int(tensor["numel"]))[:_LARGEST]
    kept = [tensor for tensor in tensors if tensor in largest]
    rows = [
        (
            tensor["name"],
            "x".join(map(str, tensor["shape"])) or "scalar",
            f"{tensor['numel']:,}",
            seconds(tensor["ready_s"]),
        )
        for tensor in kept
    ]
    some = f"the {len(kept)} largest of {len(tensors)} tensors" if len(kept) < len(tensors) else "tensors"
    columns = [Column(some, words=True), Column("shape"), Column("elements"), Column("gradient ready")]
    return "\n".join(table(columns, rows, indent=0))
