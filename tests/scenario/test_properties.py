"""Properties: units and canonical text give back the same floats; a grid has every combination, once, in order."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.errors import InputError, ScenarioErrors
from netsim.scenario.document import parse
from netsim.scenario.dump import dump_yaml, written
from netsim.scenario.grid import expand, place
from netsim.scenario.load import parse_text
from netsim.scenario.tree import from_python
from netsim.units import BANDWIDTH, DURATION, SIZE

if TYPE_CHECKING:
    from netsim.units import Quantity

QUANTITIES = st.sampled_from([BANDWIDTH, DURATION, SIZE])
POSITIVE = st.floats(min_value=1e-12, max_value=1e18)


@given(QUANTITIES, POSITIVE)
def test_a_written_quantity_parses_to_the_same_float(quantity: Quantity, value: float):
    assert quantity.parse(written(quantity, value)) == value


@given(QUANTITIES, POSITIVE, st.data())
def test_every_unit_scales_by_its_factor(quantity: Quantity, value: float, data: st.DataObject):
    unit, factor = data.draw(st.sampled_from(quantity.units))
    assert quantity.parse(f"{value!r} {unit}") == quantity.parse(f"{value!r}{unit}")
    assert quantity.parse(f"{value!r} {unit}") == pytest.approx(value * factor, rel=1e-15, abs=0)


@given(QUANTITIES, st.one_of(POSITIVE, st.integers(1, 10**9), POSITIVE.map(repr), st.booleans(), st.none()))
def test_a_quantity_without_a_unit_is_refused(quantity: Quantity, bare: object):
    with pytest.raises(InputError) as caught:
        quantity.parse(bare)
    assert quantity.example in caught.value.remedy


@given(st.text(max_size=20))
def test_any_text_is_a_quantity_or_an_input_error(text: str):
    for quantity in (BANDWIDTH, DURATION, SIZE):
        problem = None
        try:
            assert quantity.parse(text) >= 0
        except InputError as error:
            problem = error
        assert problem is None or problem.remedy


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=1, max_size=4))
def test_a_grid_is_the_product_of_its_lists_in_order(lists: list[list[int]]):
    keys = [f"job.k{index}" for index in range(len(lists))]
    points = expand(from_python({"sweep": dict(zip(keys, lists, strict=True))}), problems := [])
    assert not problems
    found = [tuple(point.root.get("job").get(key[4:]).value for key in keys) for point in points]
    assert found == list(product(*lists))
    assert [tuple(node.value for _, node in point.swept) for point in points] == found


@given(st.lists(st.tuples(st.integers(), st.integers()), min_size=1, max_size=9))
def test_a_zip_is_its_rows(rows: list[tuple[int, int]]):
    columns = {"seed": [one for one, _ in rows], "job.steps": [one for _, one in rows]}
    points = expand(from_python({"sweep": {"zip": columns}}), [])
    assert [(point.root.get("seed").value, point.root.get("job").get("steps").value) for point in points] == rows


@given(st.recursive(st.integers(), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=12), st.data())
def test_placing_a_value_changes_that_place_alone(tree: object, data: st.DataObject):
    root = from_python({"about": tree})
    path, node = "about", root.get("about")
    while node.kind == "list":
        index = data.draw(st.integers(0, len(node.value) - 1))
        path, node = f"{path}.{index}", node.value[index]
    assert place(root, path, node) == root
    changed = place(root, path, from_python("new")).plain()
    for key in path.split(".")[:-1]:
        changed = changed[int(key) if key.isdigit() else key]
    last = path.split(".")[-1]
    assert changed[int(last) if last.isdigit() else last] == "new"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str):
    problems = ()
    try:
        parse(text, "any")
    except ScenarioErrors as error:
        problems = error.problems
    assert all(problem.file == "any" and problem.remedy for problem in problems)


@given(
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20),
    st.floats(min_value=1.0, max_value=1e13),
    st.floats(min_value=0, max_value=10),
    st.floats(min_value=1e-6, max_value=1),
    st.integers(0, 2**63),
)
def test_a_dumped_scenario_loads_as_itself(folder, about, bandwidth, latency_s, ratio, seed):
    text = "topology: {kind: star, bandwidth: 1 Gbit/s}\nworkload: {kind: recorded, trace: tiny}\nschemes: [topk]\n"
    points = parse_text(text, folder)
    points = [
        replace(one, about=about, seed=seed, topology=replace(one.topology, bandwidth=bandwidth, latency=latency_s))
        for one in points
    ]
    points[1] = replace(points[1], scheme=replace(points[1].scheme, ratio=ratio))
    assert parse_text(dump_yaml(points), folder) == points
