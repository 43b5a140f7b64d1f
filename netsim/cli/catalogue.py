"""What there is to choose from: every registry's members, and the traces at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import netsim
from netsim.compress import schemes
from netsim.conditions import conditions
from netsim.errors import TraceError
from netsim.network import fidelities, transports
from netsim.optim import optimizers
from netsim.policy import policies
from netsim.sync import syncs
from netsim.topology import topologies
from netsim.units import format_size
from netsim.workload.base import workloads
from netsim.workload.cost import costs
from netsim.workload.tasks import tasks
from netsim.workload.trace_header import read_header

if TYPE_CHECKING:
    from netsim.registry import Registry

_REGISTRIES: dict[str, Registry[Any] | None] = {
    "schemes": schemes,
    "sync": syncs,
    "topologies": topologies,
    "networks": fidelities,
    "transports": transports,
    "tasks": tasks,
    "traces": None,
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
    chosen = [what] if what else list(_REGISTRIES)
    return {one: traces() if one == "traces" else _members(_REGISTRIES[one]) for one in chosen}


def _members(registry: Registry[Any] | None) -> list[Entry]:
    return [Entry(name, *registry.summary(name)) for name in registry] if registry else []


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
