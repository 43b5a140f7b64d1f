"""Cost models: published figures add up to what the papers say, tables are read and broken ones explained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from netsim.compress import TopK, schemes
from netsim.errors import InputError
from netsim.registry import Variant
from netsim.workload.cost import SHIPPED_TABLE, TABLE_FORMAT, Affine, Curve, Documented, Measured, costs

if TYPE_CHECKING:
    from pathlib import Path

    from netsim.workload.cost import CostModel

MEBI = 2**20
MODELS = [costs.get(kind)() for kind in costs]


def default(kind: str) -> Variant:
    return schemes.get(kind).example().variant


@pytest.mark.parametrize("kind", list(schemes))
@pytest.mark.parametrize("model", MODELS, ids=lambda one: one.kind)
def test_every_model_knows_every_scheme(model: CostModel, kind: str) -> None:
    coding = model.coding(default(kind))
    assert coding.note == ""
    for cost in (coding.encode, coding.decode, model.aggregate()):
        seconds = [cost(elements) for elements in (0, 1, 1024, MEBI, 100 * MEBI)]
        assert seconds == sorted(seconds)
        assert seconds[0] >= 0
        assert seconds[-1] < 1e-6 * 100 * MEBI
    assert model.source()


@pytest.mark.parametrize("model", [Documented(), Measured()], ids=lambda one: one.kind)
def test_wrappers_cost_nothing_per_message_and_dense_gradients_nothing_at_all(model: CostModel) -> None:
    for kind in ("error_feedback", "two_way", "warm_up", "none"):
        assert model.coding(default(kind)).decode(MEBI) == 0
    assert model.coding(default("none")).encode(MEBI) == 0
    assert model.coding(default("error_feedback")).encode(MEBI) > 0


def test_documented_figures_are_those_of_the_papers() -> None:
    # Espresso: fixed 26 us and so much for 2^20 elements; one sign code takes 296 us for 4 MB.
    assert Documented().coding(default("scaled_sign")).encode(MEBI) == pytest.approx(296e-6)
    assert Documented().coding(default("topk")).encode(4 * MEBI) == pytest.approx((26 + 4 * 390) * 1e-6)
    assert Documented().coding(default("randomk")).encode(MEBI) == pytest.approx(114e-6)
    assert Documented().coding(default("rms_sign")).decode(MEBI) == pytest.approx(192e-6)


@pytest.mark.parametrize(("kind", "floor_s"), [("scaled_sign", 0.25e-3), ("rms_sign", 0.25e-3), ("topk", 0.4e-3)])
def test_documented_floor_holds_up_to_about_4_mb(kind: str, floor_s: float) -> None:
    # Cupcake: a tensor of 128 KB takes DGC 0.4 ms; time is flat below about 4 MB, which is 2^20 elements.
    encode = Documented().coding(default(kind)).encode
    assert encode(128 * 1024 / 4) == floor_s
    assert encode(0.3 * MEBI) == floor_s
    assert encode(1.05 * MEBI) > floor_s


def test_affine_is_the_larger_of_floor_and_line() -> None:
    cost = Affine(floor_s=3.0, fixed_s=1.0, slope_s_per_element=0.5)
    assert [cost(elements) for elements in (0, 4, 6)] == [3.0, 3.0, 4.0]


def test_unknown_scheme_of_the_published_figures_has_a_remedy() -> None:
    with pytest.raises(InputError, match=r"no figures for scheme 'mine'; .*calibrate-schemes"):
        Documented().coding(Variant("mine"))


def test_shipped_table_says_where_it_was_measured() -> None:
    table = json.loads(SHIPPED_TABLE.read_text(encoding="utf-8"))
    assert table.keys() >= {"device", "driver", "torch", "netsim", "threads", "date", "repeats"}
    assert table["device"] in Measured().source()
    assert table["date"] in Measured().source()


def _table(folder: Path, content: str) -> Measured:
    path = folder / "mine.json"
    path.write_text(content, encoding="utf-8")
    return Measured(table=str(path))


FLAT = {"elements": [1], "seconds": [0.0]}
LONGER = {"elements": [1, 2], "seconds": [0.0]}
FALLING = {"elements": [2, 1], "seconds": [0.0, 1.0]}
FIELDS = {"ratio": 0.01, "index": "log2"}
ENTRY = {"fields": FIELDS, "encode": FLAT, "decode": FLAT}
GOOD = {"format": TABLE_FORMAT, "schemes": {"topk": [ENTRY]}, "aggregate": FLAT}
TOPK = TopK().variant


def _with(**changed: object) -> dict[str, object]:
    return GOOD | {"schemes": {"topk": [ENTRY | changed]}}


def test_table_of_the_user_is_read(tmp_path: Path) -> None:
    twice = _with(encode={"elements": [1, 5], "seconds": [2.0, 10.0]})
    assert _table(tmp_path, json.dumps(twice)).coding(TOPK).encode(3) == 6.0


def test_curve_joins_what_was_measured_and_never_falls() -> None:
    cost = Curve((10, 20, 40), (5.0, 4.0, 9.0))
    assert [cost(elements) for elements in (0, 10, 20, 30, 40)] == [5, 5, 5, 7, 9]
    assert cost(80) == 18.0


def test_curve_of_an_affine_law_is_that_law() -> None:
    law = Affine(0.0, 3e-5, 2e-9)
    cost = Curve((1e3, 1e4, 1e6), tuple(map(law, (1e3, 1e4, 1e6))))
    assert [cost(elements) for elements in (2e3, 5e5)] == pytest.approx([law(2e3), law(5e5)], rel=1e-12)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "is not a table of coding costs"),
        ('{"schemes": {}}', "is not a table of coding costs"),
        (json.dumps(GOOD | {"schemes": {}}), "holds no times of scheme 'topk'"),
        (json.dumps(GOOD | {"schemes": []}), "is damaged at 'schemes'"),
        (json.dumps(GOOD | {"format": "netsim coding costs 2"}), "is of another version of netsim"),
        (json.dumps(GOOD | {"schemes": {"topk": ENTRY}}), "is damaged at 'topk'"),
        (json.dumps(GOOD | {"schemes": {"topk": []}}), "is damaged at 'topk'"),
        (json.dumps(GOOD | {"schemes": {"topk": 3}}), "is damaged at 'topk'"),
        (json.dumps(_with(fields=3)), "is damaged at 'fields'"),
        (json.dumps(_with(decode=None)), "is damaged at 'decode'"),
        (json.dumps(_with(encode={"seconds": [1]})), "is damaged at 'encode'"),
        (json.dumps(_with(encode="fast")), "is damaged at 'encode'"),
        (json.dumps(_with(encode=FLAT | {"seconds": ["1"]})), "is damaged"),
        (json.dumps(_with(encode=FLAT | {"seconds": [-1]})), "is damaged"),
        (json.dumps(_with(encode=LONGER)), "is damaged at 'encode'"),
        (json.dumps(_with(encode=FALLING)), "elements do not rise"),
    ],
)
def test_broken_table_is_explained(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        _table(tmp_path, content).coding(TOPK)
    assert said in caught.value.problem
    assert "netsim calibrate-schemes --out FILE" in caught.value.remedy


def test_missing_table_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Measured(table=str(tmp_path / "none.json")).aggregate()
