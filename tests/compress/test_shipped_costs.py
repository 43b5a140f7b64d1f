"""The table that is installed with netsim: costs grow with the work, and lines between its variants hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netsim.compress import (
    DGC,
    QSGD,
    BlockTopK,
    GTopK,
    LloydMax,
    PowerSGD,
    RandomK,
    Scheme,
    TopK,
    TopKQuantized,
    VectorQuantizer,
    schemes,
)  # fmt: skip
from netsim.registry import Variant
from netsim.scenario.load import load
from netsim.workload.cost import SHIPPED_TABLE, Measured
from netsim.workload.nearest import choose

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))
TABLE = json.loads(SHIPPED_TABLE.read_text(encoding="utf-8"))
KIBI, MEBI = 2**10, 2**20
RATIOS = 0.001, 0.003, 0.01, 0.03, 0.1
SCATTER = 1.25
"""By how much a time that is not larger may have been measured larger."""


def seconds(scheme: Scheme, elements: int, what: str = "both") -> float:
    coding = Measured().coding(scheme.variant)
    assert coding.note == ""
    each = {"encode": coding.encode(elements), "decode": coding.decode(elements)}
    return sum(each.values()) if what == "both" else each[what]


FAMILIES = {
    "topk encode": [TopK(ratio=ratio) for ratio in RATIOS],
    "topk decode": [TopK(ratio=ratio) for ratio in RATIOS],
    "gtopk decode": [GTopK(ratio=ratio) for ratio in (0.001, 0.01, 0.1)],
    "topk_quantized decode": [TopKQuantized(ratio=ratio) for ratio in (0.001, 0.01, 0.1)],
    "randomk both": [RandomK(ratio=ratio) for ratio in (0.001, 0.01, 0.02, 0.03, 0.1)],
    "powersgd both": [PowerSGD(rank=rank) for rank in (1, 2, 4, 8, 16, 32)],
    "lloyd_max encode": [LloydMax(levels=levels) for levels in (2, 4, 8, 16, 32)],
    "vector_quantizer encode": [VectorQuantizer(dimension=8, codewords=words) for words in (4, 16, 256)],
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("elements", [MEBI, 4 * MEBI])
def test_costs_grow_with_what_is_kept_a_rank_or_a_number_of_levels(family: str, elements: int) -> None:
    times = [seconds(one, elements, family.split()[1]) for one in FAMILIES[family]]
    assert times[-1] > 1.3 * times[0]
    assert all(later > one / SCATTER for place, one in enumerate(times) for later in times[place:])


@pytest.mark.parametrize("kind", TABLE["schemes"])
def test_every_scheme_of_default_parameters_was_measured(kind: str) -> None:
    assert Measured().coding(schemes.get(kind).example().variant).note == ""


def test_entropy_codes_cost_more_than_fixed_ones() -> None:
    assert seconds(QSGD(code="elias"), MEBI) > 4 * seconds(QSGD(), MEBI)
    assert seconds(LloydMax(code="entropy"), MEBI) > 1.3 * seconds(LloydMax(), MEBI)


@pytest.mark.parametrize(
    "scheme", [PowerSGD(rank=3), TopK(ratio=0.05), DGC(ratio=0.05), BlockTopK(ratio=0.05)], ids=lambda one: one.label
)
def test_what_lies_between_costs_what_lies_between(scheme: Scheme) -> None:
    entries = TABLE["schemes"][scheme.kind]
    parts, note = choose(scheme.variant, [one["fields"] for one in entries])
    assert " between " in note
    assert len(parts) == 2
    around = [Measured().coding(variant(scheme.kind, entries[place]["fields"])) for _, place in parts]
    own = Measured().coding(scheme.variant)
    for elements in (KIBI, 100 * KIBI, 4 * MEBI):
        for what in ("encode", "decode"):
            ends = sorted(getattr(one, what)(elements) for one in around)
            assert ends[0] <= getattr(own, what)(elements) <= ends[1]


def variant(kind: str, fields: dict[str, object]) -> Variant:
    return Variant(kind, tuple(fields.items()))


@pytest.mark.parametrize(
    ("kind", "name", "inner"),
    [("topk", "ratio", [0.003, 0.01, 0.03]), ("powersgd", "rank", [8, 16]), ("lloyd_max", "levels", [4, 8, 16])],
)
def test_a_line_between_two_variants_meets_the_one_between_them(kind: str, name: str, inner: list[float]) -> None:
    """Each variant is left out and told by those around it; encoding and decoding once, at 2^18 to 2^22 elements.

    Ranks 2 and 4 are not: at 2^20 elements a product of two columns takes as long as one of four.
    """
    entries = TABLE["schemes"][kind]
    for value in inner:
        (left,) = (one for one in entries if one["fields"] == dict(entries[0]["fields"]) | {name: value})
        others = [one for one in entries if one is not left]
        parts, note = choose(variant(kind, left["fields"]), [one["fields"] for one in others])
        assert f"between {name}" in note
        for elements in (2**18, 2**20, 2**22):
            own = _seconds(left, elements)
            told = sum(share * _seconds(others[place], elements) for share, place in parts)
            assert told == pytest.approx(own, rel=0.25), (value, elements)


def _seconds(entry: dict[str, dict[str, list[float]]], elements: int) -> float:
    return sum(entry[what]["seconds"][entry[what]["elements"].index(elements)] for what in ("encode", "decode"))


def test_every_shipped_scenario_of_measured_costs_finds_its_schemes_in_the_table() -> None:
    found = [point for path in SCENARIOS for point in load(path) if isinstance(point.cost, Measured)]
    assert len(found) > 100
    variants = {part.variant for point in found for part in point.scheme.chain()}
    assert {one.label: note for one in variants if (note := Measured().coding(one).note)} == {}
