"""The fields of a plug-in as a pydantic model: its resolved type hints, units and files included."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pydantic
from pydantic_core import PydanticCustomError

from netsim.compress import base as compress
from netsim.conditions import base as conditions
from netsim.errors import InputError
from netsim.network import base as network
from netsim.network import transport
from netsim.optim import base as optim
from netsim.policy import base as policy
from netsim.registry import FileField, Registry
from netsim.scenario.files import resolve
from netsim.sync import base as sync
from netsim.topology import base as topology
from netsim.units import Quantity
from netsim.workload import base as workload
from netsim.workload import cost
from netsim.workload.tasks import base as tasks

REGISTRIES: dict[type, Registry[Any]] = {
    compress.Scheme: compress.schemes,
    network.Fidelity: network.fidelities,
    transport.Transport: transport.transports,
    sync.Sync: sync.syncs,
    topology.TopologyKind: topology.topologies,
    workload.Workload: workload.workloads,
    cost.CostModel: cost.costs,
    optim.Optimizer: optim.optimizers,
    conditions.Condition: conditions.conditions,
    policy.Policy: policy.policies,
    tasks.Task: tasks.tasks,
}
"""The base class of every kind of plug-in and its registry."""


@dataclass(frozen=True)
class Fields:
    """What a dataclass takes.

    Attributes:
        names: all its keys, in order.
        required: those without a default.
        model: a pydantic model of those that are scalars, choices, quantities and files.
        nested: those that are plug-ins (a registry) or dataclasses of their own (a type).
        optional: the nested ones that may be null.
    """

    names: tuple[str, ...]
    required: frozenset[str]
    model: type[pydantic.BaseModel]
    nested: dict[str, Registry[Any] | type]
    optional: frozenset[str]
    hints: dict[str, Any]


def fields_of(cls: type) -> Fields:
    """Return what a dataclass takes; its annotations must resolve in its own module."""
    return _fields_of(cls)


@cache
def _fields_of(cls: Any) -> Fields:
    hints = _hints(cls)
    own = [one for one in dataclasses.fields(cls) if one.init]
    required = frozenset(
        one.name for one in own if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
    )
    nested: dict[str, Registry[Any] | type] = {}
    scalars: dict[str, Any] = {}
    for one in own:
        core = core_type(hints[one.name])
        if core in REGISTRIES:
            nested[one.name] = REGISTRIES[core]
        elif dataclasses.is_dataclass(core) and isinstance(core, type):
            nested[one.name] = core
        else:
            scalars[one.name] = (_checked(hints[one.name]), ... if one.name in required else None)
    config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())
    model = pydantic.create_model(cls.__name__, __config__=config, **scalars)
    optional = frozenset(name for name in nested if NoneType in get_args(hints[name]))
    return Fields(tuple(one.name for one in own), required, model, nested, optional, hints)


def _hints(cls: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields; class variables are left alone, as they may name unloaded modules."""
    own = {one.name for one in dataclasses.fields(cls)}
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        named = {name: hint for name, hint in inspect.get_annotations(base).items() if name in own}
        holder = SimpleNamespace(__annotations__=named)
        hints |= get_type_hints(holder, vars(sys.modules[base.__module__]), include_extras=True)
    return hints


def reads_file(one: Any) -> bool:
    """Return whether a field of a member, or of one inside it, names a file."""
    fields = fields_of(type(one))
    if any(marker(hint, FileField) for hint in fields.hints.values()):
        return True
    return any(reads_file(inner) for name in fields.nested if (inner := getattr(one, name)) is not None)


def core_type(hint: Any) -> Any:
    """Return a hint without its `Annotated` and `| None`."""
    if get_origin(hint) is Annotated:
        return core_type(get_args(hint)[0])
    if get_origin(hint) in {Union, UnionType}:
        rest = [arg for arg in get_args(hint) if arg is not NoneType]
        return core_type(rest[0]) if len(rest) == 1 else hint
    return hint


def marker(hint: Any, kind: type) -> Any:
    """Return the first annotation of class `kind` in a hint, looking into `| None`; None where there is none."""
    if get_origin(hint) is Annotated:
        for one in get_args(hint)[1:]:
            if isinstance(one, kind):
                return one
    for arg in get_args(hint) if get_origin(hint) in {Union, UnionType, Annotated} else ():
        if (found := marker(arg, kind)) is not None:
            return found
    return None


def _checked(hint: Any) -> Any:
    """Return the hint with parsers for quantities and files, and tuples that accept a list."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        extras = tuple(_validator(one) for one in args[1:])
        return Annotated[(_checked(args[0]), *extras)]
    if origin in {Union, UnionType}:
        return Union[tuple(_checked(arg) for arg in args)]  # noqa: UP007 (built at run time)
    if origin is tuple:
        inner = tuple(arg if arg is ... else _checked(arg) for arg in args)
        return Annotated[origin[inner], pydantic.Strict(False)]
    return hint


def _validator(extra: Any) -> Any:
    if isinstance(extra, Quantity):
        schema = {"type": "string", "description": f"{extra.name} with its unit", "examples": [extra.example]}
        return _Both(pydantic.BeforeValidator(lambda text: _said(extra.parse, text)), schema)
    if isinstance(extra, FileField):
        return pydantic.AfterValidator(lambda text, info: _said(resolve, text, extra, Path(info.context or ".")))
    return extra


@dataclass(frozen=True, eq=False)
class _Both:
    """A validator that also says how its input looks in JSON Schema."""

    validator: pydantic.BeforeValidator
    schema: dict[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: pydantic.GetCoreSchemaHandler) -> Any:
        return self.validator.__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(self, schema: Any, handler: pydantic.GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema)


def _said(parse: Any, *args: Any) -> Any:
    """Call a parser of ours inside pydantic, which stops at exceptions that it does not know."""
    try:
        return parse(*args)
    except InputError as error:
        raise PydanticCustomError("input", "input", {"problem": error.problem, "remedy": error.remedy}) from error
