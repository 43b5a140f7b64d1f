"""Calibration: the fit finds the law it was given, and a table that was measured is one that cost models read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from netsim.compress import schemes
from netsim.engine.calibrate import calibrate, fit, write_table
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
    seen: list[str] = []
    table = calibrate("cpu", sizes=[4096, 65536, 262144], repeats=3, progress=seen.append)
    assert seen == list(schemes)
    path = tmp_path / "here.json"
    write_table(table, path)
    assert json.loads(path.read_text(encoding="utf-8")) == table
    assert [one.name for one in tmp_path.iterdir()] == ["here.json"]
    model = Measured(table=str(path))
    assert str(table["device"]) in model.source()
    for kind in schemes:
        coding = model.coding(kind)
        assert coding.encode(10**6) >= 0
    assert model.coding("topk").encode(10**6) > 0
    assert model.aggregate()(10**6) > 0


@pytest.mark.parametrize(("sizes", "repeats"), [([1024], 3), ([1024, 1024], 3), ([0, 1024], 3), ([1024, 2048], 0)])
def test_calibration_needs_something_to_measure(sizes: list[int], repeats: int) -> None:
    with pytest.raises(InputError, match="two different sizes"):
        calibrate("cpu", sizes=sizes, repeats=repeats)


def test_unwritable_place_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        write_table({}, tmp_path / "missing" / "table.json")
