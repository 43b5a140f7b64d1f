"""What there is to choose from: every registry's members, and the traces at hand."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import netsim
from netsim.compress import schemes
from netsim.conditions import conditions
from netsim.errors import InputError, TraceError
from netsim.network import fidelities, transports
from netsim.optim import optimizers
from netsim.policy import policies
from netsim.sync import syncs
from netsim.topology import topologies
from netsim.units import format_size
from netsim.workload.base import workloads
from netsim.workload.cost import costs
from netsim.workload.published import load_model, model_names
from netsim.workload.tasks import tasks
from netsim.workload.trace_header import read_header

if TYPE_CHECKING:
    from netsim.registry import Registry
    from netsim.scenario.keys import Key

REGISTRIES: dict[str, Registry[Any]] = {
    "schemes": schemes,
    "sync": syncs,
    "topologies": topologies,
    "networks": fidelities,
    "transports": transports,
    "tasks": tasks,
    "optimizers": optimizers,
    "policies": policies,
    "conditions": conditions,
    "workloads": workloads,
    "costs": costs,
}


class Entry(NamedTuple):
    """One member: its name, what it is in a line, and where it comes from."""

    name: str
    summary: str
    source: str


def catalogue(what: str | None = None) -> dict[str, list[Entry]]:
    """Return the members of one registry, or of all."""
    files = {"traces": traces, "models": models}
    chosen = [what] if what else [*REGISTRIES, *files]
    return {one: files[one]() if one in files else _members(REGISTRIES[one]) for one in chosen}


class Member(NamedTuple):
    """One member in full: its name, all that is said of it, its keys, and where it comes from."""

    name: str
    text: str
    keys: list[Key]
    source: str


def member(what: str, name: str) -> Member:
    """Return a member of a registry with its keys; raise InputError where there is none of this name, or no keys."""
    if what not in REGISTRIES:
        other = "write workload: {kind: published, model: NAME}"
        remedy = "netsim inspect shows what one holds" if what == "traces" else other
        raise InputError(f"{what} have no keys", remedy, "NAME")
    from netsim.scenario.keys import keys_of

    found = REGISTRIES[what].get(name)
    return Member(name, inspect.getdoc(found) or "", keys_of(found), found.paper)


def _members(registry: Registry[Any]) -> list[Entry]:
    return [Entry(name, *registry.summary(name)) for name in registry]


def models() -> list[Entry]:
    """Return the models whose sizes and seconds are published, for `workload: {kind: published, model: NAME}`."""
    return [_model(name) for name in model_names()]


def _model(name: str) -> Entry:
    model = load_model(name)
    parameters = sum(tensor.numel for tensor in model.tensors)
    held = f"{model.title}: {parameters:,} parameters, {len(model.tensors)} tensors, seconds of one {model.device}"
    return Entry(name, held, model.source)


def trace_file(name: Path) -> Path:
    """Return the file of a trace, given by itself or as `netsim list traces` calls it."""
    stem = str(name).removesuffix(".trace")
    named = [home / f"{stem}.trace" for home in _trace_homes()]
    return next((file for file in (name, *named) if file.is_file()), name)


def _trace_homes() -> list[Path]:
    shipped = Path(netsim.__file__).parents[1] / "scenarios" / "traces"
    return [home for home in (Path(), Path("traces"), Path("scenarios/traces"), shipped) if home.is_dir()]


def traces() -> list[Entry]:
    """Return the traces that a scenario here or one of the project may name: what they hold, and the device."""
    homes = reversed(_trace_homes())
    files = {file.resolve(): file for home in homes for file in sorted(home.glob("*.trace"))}
    return [_trace(file) for file in sorted(files.values(), key=lambda file: file.name)]


def _trace(file: Path) -> Entry:
    size = format_size(file.stat().st_size)
    try:
        header = read_header(file)
    except TraceError as error:
        return Entry(file.stem, f"{size}, {error.problem}", str(file))
    held = f"{header.num_workers} workers, {len(header.steps)} steps, {len(header.tensors)} tensors"
    return Entry(file.stem, f"{size}, {held}, {header.origin.device}", str(file))
