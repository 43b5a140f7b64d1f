"""Where one step's time goes and how much each input matters, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from netsim.report.text import UNKNOWN, Column, nbytes, ratio, seconds, table
from netsim.units import format_bandwidth

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PARTS = {
    "compute_s": "compute",
    "encode_s": "encode",
    "exposed_comm_s": "exposed communication",
    "decode_s": "decode",
    "optimizer_s": "optimizer",
    "lost_s": "failures, checkpoints",
}
_BAR = 40


class Changed(Protocol):
    """One changed input, what the step takes then, and the relative change."""

    @property
    def what(self) -> str:
        """Return what was changed."""

    @property
    def step_time_s(self) -> float:
        """Return the step's seconds then."""

    @property
    def change(self) -> float:
        """Return the relative change of the step's time."""


def explained(
    number: int, run: Mapping[str, Any], links: Iterable[Mapping[str, Any]], changes: Iterable[Changed]
) -> str:
    """Return the explanation of the `number`th point, with its busiest links."""
    step_s = float(run["step_time_s"])
    where = f"{run['workers']} workers, {format_bandwidth(float(run['bandwidth_bytes_per_s']))}"
    swept = str(run.get("point", "") or "")
    lines = [
        f"Point {number}: {run['scheme']} over {run['sync']}, {where}" + (f" ({swept})" if swept else ""),
        f"  step {seconds(step_s)}; speedup {ratio(run['speedup_x'])} of a possible {ratio(run['headroom_x'])};"
        f" bottleneck: {run['bottleneck']}",
    ]
    told = [(name, float(run.get(column, 0.0))) for column, name in _PARTS.items()]
    parts = [(name, part_s) for name, part_s in told if part_s or name != _PARTS["lost_s"]]
    shares = [part_s / step_s if step_s else 0.0 for _, part_s in parts]
    rows = [
        (name, seconds(part_s), f"{share:.1%}", "#" * round(_BAR * share))
        for (name, part_s), share in zip(parts, shares, strict=True)
    ]
    columns = [Column("where the time goes", words=True), Column("time"), Column("share"), Column("", words=True)]
    lines += table(columns, rows)
    columns = [Column("busiest links", words=True), Column("in use"), Column("a step"), Column("transfers")]
    lines += table(columns, [_link(one) for one in links])
    columns = [Column("what if", words=True), Column("step time"), Column("change")]
    return "\n".join(
        [*lines, *table(columns, [(one.what, seconds(one.step_time_s), _percent(one.change)) for one in changes])]
    )


def _link(link: Mapping[str, Any]) -> tuple[str, str, str, str]:
    held = UNKNOWN if link["transfers"] is None else f"{float(link['transfers']):.2f}"
    return str(link["link"]), f"{float(link['utilisation']):.1%}", nbytes(float(link["bytes_per_step"])), held


def _percent(change: float) -> str:
    return "none" if abs(change) < 5e-5 else f"{change:+.2%}"
