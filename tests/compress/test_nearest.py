"""Which measured variant stands for another: the same, a line between two, the nearest, and what is said of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from netsim.compress import DGC, QSGD, TopK, VectorQuantizer, WarmUp, schemes
from netsim.workload.cost import TABLE_FORMAT, Documented, Measured
from netsim.workload.nearest import choose

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from netsim.compress import Scheme

GRID = [TopK(), TopK(ratio=0.1), TopK(ratio=0.3), TopK(index="bitmap"), TopK(ratio=0.3, index="bitmap")]


def chosen(wanted: Scheme, measured: Sequence[Scheme]) -> tuple[dict[str, float], str]:
    parts, note = choose(wanted.variant, [dict(one.variant.fields) for one in measured])
    return {measured[place].label: share for share, place in parts}, note


@pytest.mark.parametrize("place", range(len(GRID)))
def test_a_measured_variant_stands_for_itself(place: int) -> None:
    assert chosen(GRID[place], GRID) == ({GRID[place].label: 1}, "")


@pytest.mark.parametrize(
    ("wanted", "parts", "note"),
    [
        (TopK(ratio=0.04), {"topk": 2 / 3, "topk(ratio=0.1)": 1 / 3}, "between ratio 0.01 and 0.1"),
        (TopK(ratio=0.25), {"topk(ratio=0.1)": 0.25, "topk(ratio=0.3)": 0.75}, "between ratio 0.1 and 0.3"),
        (TopK(ratio=0.001), {"topk": 1}, "as with ratio 0.01"),
        (TopK(ratio=0.5), {"topk(ratio=0.3)": 1}, "as with ratio 0.3"),
        # The same words first: between the two bitmaps, though a plain one has a nearer ratio.
        (
            TopK(ratio=0.155, index="bitmap"),
            {"topk(index=bitmap)": 0.5, "topk(index=bitmap, ratio=0.3)": 0.5},
            "between ratio 0.01 and 0.3",
        ),
        (TopK(ratio=0.1, index="rice"), {"topk(ratio=0.1)": 1}, "as with index log2"),
        (
            TopK(ratio=0.04, index="rice"),
            {"topk": 2 / 3, "topk(ratio=0.1)": 1 / 3},
            "between ratio 0.01 and 0.1, with index log2",
        ),
    ],
)
def test_others_take_the_nearest(wanted: Scheme, parts: dict[str, float], note: str) -> None:
    found, said = chosen(wanted, GRID)
    assert found == pytest.approx(parts)
    assert said == f"{wanted.label} {note}"


def test_two_numbers_apart_take_the_first() -> None:
    measured = [VectorQuantizer(), VectorQuantizer(dimension=2), VectorQuantizer(codewords=64)]
    found = chosen(VectorQuantizer(dimension=8, codewords=4), measured)
    assert found[0] == {"vector_quantizer": 1}
    assert found[1] == "vector_quantizer(dimension=8, codewords=4) as with dimension 4, codewords 16"


def test_what_changes_no_work_makes_no_variant() -> None:
    assert WarmUp(TopK(), 5).variant == WarmUp(QSGD(), 9).variant
    assert DGC(momentum=0.5, warm_up=9).variant == DGC().variant != DGC(ratio=0.01).variant


def test_a_line_is_exact_where_cost_is_one(tmp_path: Path) -> None:
    def entry(ratio: float) -> dict[str, object]:
        curve = {"elements": [1000, 2000], "seconds": [1 + 10 * ratio, 2 + 20 * ratio]}
        return {"fields": {"ratio": ratio, "index": "log2"}, "encode": curve, "decode": curve}

    table = {"format": TABLE_FORMAT, "schemes": {"topk": [entry(0.01), entry(0.5)]}}
    path = tmp_path / "table.json"
    path.write_text(json.dumps(table))
    coding = Measured(table=str(path)).coding(TopK(ratio=0.2).variant)
    assert [coding.encode(n) for n in (1000, 1500, 4000)] == pytest.approx([3, 4.5, 12])


def test_figures_of_papers_say_what_they_stand_for() -> None:
    assert Documented().coding(TopK(ratio=0.1).variant).note == "topk(ratio=0.1) as with default parameters"
    assert Documented().coding(TopK().variant).note == ""
    assert Documented().coding(schemes.get("as_shipped")(TopK(), "deepspeed").variant).note == ""  # type: ignore[call-arg]
