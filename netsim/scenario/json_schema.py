"""JSON Schema of a scenario, for editors: completion, and the meaning of every key where it is written."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any

from netsim.scenario.dump import written
from netsim.scenario.fields import REGISTRIES, fields_of, marker
from netsim.scenario.points import DEFAULT_COST, DEFAULT_NETWORK, DEFAULT_SYNC, DEFAULT_TRANSPORT, General
from netsim.scenario.schema import Job, Train
from netsim.units import Quantity

if TYPE_CHECKING:
    from netsim.registry import Registry

_BY_KIND = {registry.kind: registry for registry in REGISTRIES.values()}
_SWEEP = {"type": "object", "additionalProperties": {"type": "array", "minItems": 1}}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a scenario file.

    A key that a plug-in requires may be swept instead of written, so the schema marks it in words and demands `kind`
    alone; `netsim check` demands the rest.
    """
    general = _dataclass(General)["properties"]
    network = _reference("network")
    properties = general | {
        "topology": _reference("topology"),
        "network": network | {"description": f"how transfers take time; {DEFAULT_NETWORK} unless given"},
        "workload": _reference("workload"),
        "schemes": {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [_reference("scheme"), {"type": "array", "items": _reference("scheme"), "minItems": 1}]},
            "description": "what is compared; a list in the list holds wrappers, outermost first, and ends in a scheme",
        },
        "sync": {
            "anyOf": [_reference("sync architecture"), {"type": "array", "items": _reference("sync architecture")}],
            "description": f"one architecture or several; {DEFAULT_SYNC} unless given",
        },
        "job": _dataclass(Job),
        "cost": _reference("cost model") | {"description": f"what coding costs; {DEFAULT_COST} unless given"},
        "conditions": {
            "type": "array",
            "items": _reference("condition"),
            "description": "what befalls the network and the workers while the job runs",
        },
        "train": {"anyOf": [_dataclass(Train), {"type": "null"}]},
        "sweep": _SWEEP
        | {
            "properties": {"grid": _SWEEP, "zip": _SWEEP},
            "description": "dotted keys and the values to try: every combination, or under zip in step",
            "examples": [{"topology.bandwidth": ["1 Gbit/s", "10 Gbit/s"]}],
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "netsim scenario",
        "type": "object",
        "additionalProperties": False,
        "anyOf": [{"required": ["topology", "workload"]}, {"required": ["sweep"]}],
        "properties": properties,
        "$defs": {_name(kind): _registry(registry) for kind, registry in _BY_KIND.items()},
    }


def _name(kind: str) -> str:
    return kind.replace(" ", "_")


def _reference(kind: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{_name(kind)}"}


def _registry(registry: Registry[Any]) -> dict[str, Any]:
    """Return a name without keys of its own, or a map whose `kind` says which keys it takes."""
    plain = [name for name in registry if not fields_of(registry.get(name)).required]
    extra = (
        {"transport": _reference("transport") | {"description": f"{DEFAULT_TRANSPORT} unless given"}}
        if registry.kind == "network"
        else {}
    )
    maps = [_member(registry, name, extra) for name in registry]
    return {"anyOf": [{"enum": plain, "description": f"a {registry.kind} with its defaults"}, *maps]}


def _member(registry: Registry[Any], name: str, extra: dict[str, Any]) -> dict[str, Any]:
    line, source = registry.summary(name)
    schema = _dataclass(registry.get(name))
    kind = {"const": name, "description": line}
    about = f"{line} Source: {source}." if source else line
    has_default = registry.kind in {"network", "cost model"}
    return schema | {
        "title": name,
        "description": about,
        "properties": {"kind": kind, **schema["properties"], **extra},
        "required": [] if has_default else ["kind"],
    }


def _dataclass(cls: type) -> dict[str, Any]:
    fields = fields_of(cls)
    shown = fields.model.model_json_schema()["properties"] if fields.model.model_fields else {}
    properties = {}
    for one in dataclasses.fields(cls):
        if not one.init:
            continue
        nested = fields.nested.get(one.name)
        if nested is None:
            schema = {key: value for key, value in shown[one.name].items() if key not in {"title", "default"}}
        else:
            schema = _dataclass(nested) if isinstance(nested, type) else _reference(nested.kind)
            schema = {"anyOf": [schema, {"type": "null"}]} if one.name in fields.optional else schema
        properties[one.name] = schema | _default(one, fields.hints[one.name])
    about = (inspect.getdoc(cls) or "").split("\n")[0]
    return {"type": "object", "description": about, "additionalProperties": False, "properties": properties}


def _default(one: dataclasses.Field[Any], hint: Any) -> dict[str, Any]:
    if one.default is dataclasses.MISSING:
        return {} if one.default_factory is not dataclasses.MISSING else {"$comment": "required, unless swept"}
    quantity = marker(hint, Quantity)
    if quantity is not None and one.default is not None:
        return {"default": written(quantity, one.default)}
    return {"default": list(one.default) if isinstance(one.default, tuple) else one.default}
