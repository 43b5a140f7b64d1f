"""The JSON Schema names every key of every plug-in, and nothing that the loader refuses."""

from __future__ import annotations

import json

import pytest

from netsim.scenario.fields import REGISTRIES, fields_of
from netsim.scenario.json_schema import json_schema

SCHEMA = json_schema()


def test_it_is_json():
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_its_top_keys_are_those_of_a_scenario():
    keys = {"about", "seed", "topology", "network", "workload", "schemes", "sync", "job", "cost", "train", "sweep"} | {
        "conditions"
    }
    assert SCHEMA["properties"].keys() == keys


@pytest.mark.parametrize("registry", REGISTRIES.values(), ids=lambda registry: registry.kind)
def test_every_member_and_each_of_its_keys_is_there(registry):
    names, *maps = SCHEMA["$defs"][registry.kind.replace(" ", "_")]["anyOf"]
    assert [one["properties"]["kind"]["const"] for one in maps] == list(registry)
    assert set(names["enum"]) == {name for name in registry if not fields_of(registry.get(name)).required}
    for one in maps:
        fields = fields_of(registry.get(one["title"]))
        assert set(fields.names) | {"kind"} == one["properties"].keys() - ({"transport"} - set(fields.names))
        assert one["description"].startswith(registry.summary(one["title"])[0])


def test_quantities_show_how_they_are_written():
    star = next(one for one in SCHEMA["$defs"]["topology"]["anyOf"] if one.get("title") == "star")
    assert star["properties"]["bandwidth"]["examples"] == ["10 Gbit/s"]
    assert star["properties"]["latency"]["default"] == "25 us"
    assert SCHEMA["properties"]["job"]["properties"]["bucket"]["default"] == "25 MiB"


def test_choices_and_bounds_are_told():
    job = SCHEMA["properties"]["job"]["properties"]
    assert job["overlap"]["enum"] == ["ddp", "none", "per_tensor"]
    assert job["steps"]["minimum"] == 1
    assert job["straggler"]["properties"]["spread"]["minimum"] == 0


def test_references_lead_somewhere():
    text = json.dumps(SCHEMA)
    for part in text.split('"$ref": "#/$defs/')[1:]:
        assert part.split('"')[0] in SCHEMA["$defs"]
