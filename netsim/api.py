"""Calls for people who build topologies and schemes, and time transfers and collectives, without a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.compress import schemes
from netsim.errors import InputError, closest
from netsim.network import Transfers, fidelities, transports
from netsim.network.run import plan_times
from netsim.scenario.load import build
from netsim.sync import syncs
from netsim.sync.named import COLLECTIVES, named_rounds
from netsim.topology.base import topologies
from netsim.topology.graph import Topology

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from netsim.compress import Scheme


def topology(kind: str, *, servers: int = 0, **fields: Any) -> Topology:
    """Return a topology of a registered kind, with `servers` hosts added for dedicated parameter servers.

    `fields` are the kind's YAML keys, written as in a scenario: `topology("star", workers=8, bandwidth="10 Gbit/s")`.

    Raises:
        ScenarioErrors: unknown kinds or keys, missing units, values out of range; all of them at once.
        InputError: more workers and servers than can be simulated.
    """
    made = build(topologies, {"kind": kind, **fields})
    made.refuse_too_large(servers)
    return made.build(servers)


def scheme(kind: str, **fields: Any) -> Scheme:
    """Return a compression scheme of a registered kind: `scheme("topk", ratio=0.01)`.

    Raises:
        ScenarioErrors: unknown kinds or keys, values out of range; all of them at once.
    """
    return build(schemes, {"kind": kind, **fields})


def transfer_times(
    topology: Topology,
    src: str | int | Sequence[str | int] | NDArray[np.int64],
    dst: str | int | Sequence[str | int] | NDArray[np.int64],
    nbytes: ArrayLike,
    start_s: ArrayLike = 0.0,
    network: str = "flow",
    transport: str = "ideal",
) -> NDArray[np.float64]:
    """Return the seconds [F] at which independent transfers finish.

    Args:
        topology: where they happen.
        src, dst: [F] nodes, or one, by name or index.
        nbytes: [F] bytes, or one number for all.
        start_s: [F] seconds at which each is started, or one number for all.
        network, transport: names as in `netsim list networks` and `netsim list transports`.

    Raises:
        InputError: unknown nodes or names, a transfer to itself, negative or non-finite numbers, unequal lengths.
    """
    _check_topology(topology)
    sources, targets = (topology.nodes([one] if isinstance(one, str | int) else one) for one in (src, dst))
    sizes, starts = _column(nbytes, len(sources), "nbytes"), _column(start_s, len(sources), "start_s")
    if len(sources) != len(targets):
        raise InputError(f"{len(sources)} sources and {len(targets)} destinations", "give one of each per transfer")
    fidelity = fidelities.get(network)()
    return fidelity.transfer_times(topology, transports.get(transport)(), Transfers(sources, targets, sizes, starts))


def collective_time(
    topology: Topology,
    collective: str,
    nbytes: float,
    algorithm: str = "ring",
    network: str = "flow",
    transport: str = "ideal",
    workers: Sequence[str | int] | NDArray[np.int64] | None = None,
) -> float:
    """Return the seconds that one collective takes alone, between all workers or those given by name or index.

    `nbytes` is what nccl-tests call size: the bytes each worker reduces, sends to all others together, or broadcasts,
    or all gathered bytes together.

    Raises:
        InputError: an unknown name, an impossible size, or an algorithm that cannot carry the collective.
    """
    _check_topology(topology)
    if collective not in COLLECTIVES:
        raise InputError(f"unknown collective {collective!r}", closest(collective, COLLECTIVES))
    (nbytes,) = _column(nbytes, 1, "nbytes")
    group = topology.workers if workers is None else topology.nodes(workers)
    if not len(group) or len(np.unique(group)) < len(group):
        raise InputError("a collective between no workers, or with one of them twice", "name each of them once")
    sync = syncs.get(algorithm)()
    carried_by = transports.get(transport)()
    rounds = named_rounds(topology, collective, float(nbytes), sync, group, carried_by)
    nodes = np.concatenate([group, topology.servers[: sync.dedicated_servers]])
    return float(plan_times(fidelities.get(network)(), topology, carried_by, rounds, nodes).max())


def _check_topology(topology: object) -> None:
    if not isinstance(topology, Topology):
        remedy = "build one, as in netsim.topology('star', workers=8, bandwidth='10 Gbit/s')"
        raise InputError(f"{topology!r} is no topology", remedy)


def _column(values: ArrayLike, count: int, name: str) -> NDArray[np.float64]:
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not a number or a list of numbers", "give bytes and seconds as numbers") from error
    if column.ndim > 1 or (column.ndim == 1 and len(column) != count):
        raise InputError(f"{name} has shape {column.shape}, for {count} transfers", "give one number, or one each")
    if not np.isfinite(column).all() or (column < 0).any():
        raise InputError(f"{name} must be finite and zero or more", "check the values")
    return np.broadcast_to(column, (count,)).copy()
