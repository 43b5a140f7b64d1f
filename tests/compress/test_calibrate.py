"""Calibration: the fit finds the law it was given, and a table that was measured is one that cost models read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from netsim.compress import ErrorFeedback, TopK, WarmUp, schemes
from netsim.engine.calibrate import calibrate, fit, measured_on, members
from netsim.engine.cost_table import joined, of_device, write_table
from netsim.errors import InputError
from netsim.workload.cost import Affine, Measured

if TYPE_CHECKING:
    from pathlib import Path

SIZES = [2**power for power in range(10, 23, 2)]


@pytest.mark.parametrize(
    "law",
    [Affine(2.5e-4, 2.6e-5, 2.5e-10), Affine(0.0, 5e-5, 1e-9), Affine(0.0, 0.0, 3e-9), Affine(4e-5, 0.0, 7e-9)],
)
def test_fit_finds_floor_fixed_part_and_slope(law: Affine) -> None:
    found = fit(SIZES, [law(size) for size in SIZES])
    for size in (1, *SIZES, 2**26):
        assert found(size) == pytest.approx(law(size), rel=2e-3)


def test_fit_bears_noise() -> None:
    law, draw = Affine(2e-4, 1e-5, 1e-9), np.random.default_rng(0)
    found = fit(SIZES, [law(size) * draw.uniform(0.95, 1.05) for size in SIZES])
    assert [found(size) for size in SIZES] == pytest.approx([law(size) for size in SIZES], rel=0.1)


def test_fit_of_nothing_is_nothing() -> None:
    assert fit([10, 100, 1000], [0.0, 0.0, 0.0])(10**9) == 0.0


def test_table_is_measured_written_and_read(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    table = calibrate("cpu", sizes=[1024, 16384], repeats=2, progress=lambda *told: seen.append(told))
    assert seen == [(done, len(seen), kind) for done, kind in enumerate(schemes)]
    path = tmp_path / "here.json"
    write_table(table, path)
    assert json.loads(path.read_text(encoding="utf-8")) == table
    assert [one.name for one in tmp_path.iterdir()] == ["here.json"]
    model = Measured(table=str(path))
    assert str(table["device"]) in model.source()
    for kind in schemes:
        coding = model.coding(schemes.get(kind).example().variant)
        assert coding.encode(10**6) >= 0
    assert model.coding(TopK().variant).encode(10**6) > 0
    assert model.aggregate()(10**6) > 0


@pytest.mark.parametrize(("sizes", "repeats"), [([1024], 3), ([1024, 1024], 3), ([0, 1024], 3), ([1024, 2048], 0)])
def test_calibration_needs_something_to_measure(sizes: list[int], repeats: int) -> None:
    with pytest.raises(InputError, match="two different sizes"):
        calibrate("cpu", sizes=sizes, repeats=repeats)


def test_unwritable_place_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"table.json: cannot be written"):
        write_table({}, tmp_path / "missing" / "table.json")


def test_what_is_chosen_is_measured_once_with_its_parameters_and_wrappers_alone() -> None:
    sparse = TopK(ratio=0.1)
    found = members([ErrorFeedback(sparse), WarmUp(ErrorFeedback(sparse), 5), WarmUp(TopK(), 9)])
    assert [one.label for one in found] == [
        "none", "none+error_feedback", "topk(ratio=0.1)", "none+warm_up(steps=5)", "topk",
    ]  # fmt: skip


def test_a_variant_is_found_in_a_table_of_its_own_and_joins_another(tmp_path: Path) -> None:
    path = tmp_path / "here.json"
    one, other = (calibrate("cpu", sizes=[64, 256], repeats=1, chosen=[TopK(ratio=ratio)]) for ratio in (0.1, 0.2))
    assert one["schemes"].keys() == {"none", "topk"}
    write_table(one, path)
    here = {name: other[name] for name in ("device", "driver", "torch", "threads")}
    assert measured_on("cpu") == here
    older = of_device(path, here)
    both = joined(other, older)
    assert [entry["fields"]["ratio"] for entry in both["schemes"]["topk"]] == [0.1, 0.2]
    assert len(both["schemes"]["none"]) == 1
    assert joined(one, older)["schemes"] == one["schemes"]
    write_table(both, path)
    for ratio, note in ((0.1, ""), (0.2, ""), (0.15, "topk(ratio=0.15) between ratio 0.1 and 0.2")):
        assert Measured(table=str(path)).coding(TopK(ratio=ratio).variant).note == note
    with pytest.raises(InputError, match=r"torch.*without --add"):
        of_device(path, here | {"torch": "0.1"})
