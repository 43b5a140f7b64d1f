"""Calls for people who build topologies and schemes, and time transfers and collectives, without a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from netsim.compress import schemes
from netsim.errors import InputError, closest
from netsim.given import plain, shown, whole
from netsim.network import Transfers, fidelities, transports
from netsim.network.run import plan_times
from netsim.scenario.load import build
from netsim.sync import syncs
from netsim.sync.named import COLLECTIVES, named_rounds
from netsim.topology.base import topologies
from netsim.topology.graph import Topology

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from netsim.compress import Scheme
    from netsim.network import Transport
    from netsim.registry import Registry

T = TypeVar("T")


def topology(kind: str | Mapping[str, Any], *, servers: int = 0, **fields: Any) -> Topology:
    """Return a topology of a registered kind, with `servers` hosts added for dedicated parameter servers.

    `fields` are the kind's YAML keys, written as in a scenario: `topology("star", workers=8, bandwidth="10 Gbit/s")`.
    A dict of `kind` and its keys says the same.

    Raises:
        ScenarioErrors: unknown kinds or keys, missing units, values out of range; all of them at once.
        InputError: a number of servers that can be none, or more workers and servers than can be simulated.
    """
    hosts = whole(servers, "servers")
    made = build(topologies, {"kind": kind, **fields} if fields else kind)
    made.refuse_too_large(hosts)
    return made.build(hosts)


def scheme(kind: str | Mapping[str, Any] | Sequence[Any], **fields: Any) -> Scheme:
    """Return a compression scheme of a registered kind: `scheme("topk", ratio=0.01)`.

    A dict of `kind` and its keys says the same, and a list is wrappers with what they wrap last, as in a scenario:
    `scheme(["error_feedback", {"kind": "topk", "ratio": 0.01}])`.

    Raises:
        ScenarioErrors: unknown kinds or keys, values out of range; all of them at once.
    """
    return build(schemes, {"kind": kind, **fields} if fields else kind)


def transfer_times(
    topology: Topology,
    src: str | int | Sequence[str | int] | NDArray[np.int64],
    dst: str | int | Sequence[str | int] | NDArray[np.int64],
    nbytes: ArrayLike,
    start_s: ArrayLike = 0.0,
    network: str | Mapping[str, Any] = "flow",
    transport: str | Mapping[str, Any] = "ideal",
) -> NDArray[np.float64]:
    """Return the seconds [F] at which independent transfers finish.

    Args:
        topology: where they happen.
        src, dst: [F] nodes, or one, by name or index.
        nbytes: [F] bytes, or one number for all.
        start_s: [F] seconds at which each is started, or one number for all.
        network, transport: names as in `netsim list networks` and `netsim list transports`, or dicts as in a
            scenario, such as `{"kind": "tcp", "efficiency": 0.9}`.

    Raises:
        InputError: unknown nodes or names, a transfer to itself, negative or non-finite numbers, unequal lengths.
        ScenarioErrors: a dict that describes no network or transport.
    """
    _check_topology(topology)
    ends = [plain(one) for one in (src, dst)]
    sources, targets = (topology.nodes([one] if isinstance(one, str | int) else one) for one in ends)
    sizes, starts = _column(nbytes, len(sources), "nbytes"), _column(start_s, len(sources), "start_s")
    if len(sources) != len(targets):
        raise InputError(f"{len(sources)} sources and {len(targets)} destinations", "give one of each per transfer")
    transfers = Transfers(sources, targets, sizes, starts)
    return _member(fidelities, network).transfer_times(topology, _member(transports, transport), transfers)


def collective_time(
    topology: Topology,
    collective: str,
    nbytes: float,
    algorithm: str | Mapping[str, Any] = "ring",
    network: str | Mapping[str, Any] = "flow",
    transport: str | Mapping[str, Any] | Transport = "ideal",
    workers: Sequence[str | int] | NDArray[np.int64] | None = None,
) -> float:
    """Return the seconds that one collective takes alone, between all workers or those given by name or index.

    `nbytes` is what nccl-tests call size: the bytes each worker reduces, sends to all others together, or broadcasts,
    or all gathered bytes together. `algorithm`, `network` and `transport` are names, or dicts as in a scenario, such as
    `{"kind": "tcp", "efficiency": 0.9}`.

    Raises:
        InputError: an unknown name, an impossible size, or an algorithm that cannot carry the collective.
        ScenarioErrors: a dict that describes no algorithm, network or transport.
    """
    _check_topology(topology)
    if not isinstance(collective, str) or collective not in COLLECTIVES:
        raise InputError(f"unknown collective {collective!r}", closest(collective, COLLECTIVES))
    (nbytes,) = _column(nbytes, 1, "nbytes")
    group = topology.workers if workers is None else topology.nodes(workers)
    if not len(group) or len(np.unique(group)) < len(group):
        raise InputError("a collective between no workers, or with one of them twice", "name each of them once")
    sync, carried_by = _member(syncs, algorithm), _member(transports, transport)
    rounds = named_rounds(topology, collective, float(nbytes), sync, group, carried_by)
    nodes = np.concatenate([group, topology.servers[: sync.dedicated_servers]])
    return float(plan_times(_member(fidelities, network), topology, carried_by, rounds, nodes).max())


def _member(registry: Registry[T], spec: str | Mapping[str, Any] | T) -> T:
    """Return the member that a name, or a dict of `kind` and its keys, describes, or one that is built already."""
    return registry.get(spec)() if isinstance(spec, str) else build(registry, spec)


def _check_topology(topology: object) -> None:
    if not isinstance(topology, Topology):
        remedy = "build one, as in netsim.topology('star', workers=8, bandwidth='10 Gbit/s')"
        raise InputError(f"{shown(topology)} is no topology", remedy)


def _column(values: ArrayLike, count: int, name: str) -> NDArray[np.float64]:
    try:
        column = np.asarray(plain(values), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not a number or a list of numbers", "give bytes and seconds as numbers") from error
    if column.ndim > 1 or (column.ndim == 1 and len(column) != count):
        raise InputError(f"{name} has shape {column.shape}, for {count} transfers", "give one number, or one each")
    if not np.isfinite(column).all() or (column < 0).any():
        raise InputError(f"{name} must be finite and zero or more", "check the values")
    return np.broadcast_to(column, (count,)).copy()
