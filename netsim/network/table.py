"""A plan as two flat arrays, one of integers and one of floats, so that compiled code can follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from netsim.network.base import repeats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.network.base import Round
    from netsim.network.links import LinkTable


class Table(NamedTuple):
    """A plan's rounds by its participants.

    Attributes:
        ints: rows of rounds [R, 5]: where the parts of each begin (columns as in `kernel`); then, for rounds between
            other nodes: how many transfers the nodes before each one send [P + 1], how many each receives [P], the
            transfers by their source [F, 4], and their links.
        floats: bytes [F] and seconds before the first byte [F] of different rounds.
        order: [R] arrays [F]: the transfers of a round by their source; rounds may share one.
        in_flight: the most transfers that can be under way at one time.
        on_link: [L] the most transfers that can be on each link at one time.
        most_hops: the links of the longest route.
    """

    ints: NDArray[np.int64]
    floats: NDArray[np.float64]
    order: list[NDArray[np.int64]]
    in_flight: int
    on_link: NDArray[np.int64]
    most_hops: int


class _Shape(NamedTuple):
    first: int
    receives: int
    ends: int
    order: NDArray[np.int64]


class _Writer:
    """Gathers arrays end to end."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.parts: list[NDArray[Any]] = []

    def put(self, part: NDArray[Any]) -> int:
        """Return where the part begins."""
        self.parts.append(part)
        self.length += part.size
        return self.length - part.size


def make_table(rounds: Sequence[Round], place: NDArray[np.int64], count: int, links: LinkTable) -> Table:
    """Return the table of a plan between `count` nodes, whose places [nodes of the topology] are given."""
    ints, floats = _Writer(5 * len(rounds)), _Writer(0)
    shapes: dict[tuple[int, int], _Shape] = {}
    rows: dict[int, tuple[int, ...]] = {}
    order: dict[int, NDArray[np.int64]] = {}
    sends, on_link, most_hops = np.zeros(count, dtype=np.int64), np.zeros(len(links.capacity), dtype=np.int64), 1
    for one, _ in repeats(rounds):
        routed, key = links.route(one), (id(one.src), id(one.dst))
        if key not in shapes:
            src, dst, hops = place[one.src], place[one.dst], np.diff(routed.start)
            sent = np.bincount(src, minlength=count)
            by_source = np.argsort(src, kind="stable")
            route = ints.put(routed.links) + routed.start[:-1]
            ends = np.stack([src, dst, route, hops], axis=1)[by_source]
            first = ints.put(np.concatenate([[0], np.cumsum(sent)]))
            shapes[key] = _Shape(first, ints.put(np.bincount(dst, minlength=count)), ints.put(ends.ravel()), by_source)
            sends = np.maximum(sends, sent)
            on_link += np.bincount(routed.links, minlength=len(on_link))
            most_hops = max(most_hops, int(hops.max(initial=1)))
        shape = shapes[key]
        wait_s = np.broadcast_to(one.hold_s + routed.delay_s, one.src.shape)
        parts = floats.put(one.nbytes[shape.order]), floats.put(wait_s[shape.order])
        rows[id(one)] = (shape.first, shape.receives, shape.ends, *parts)
        order[id(one)] = shape.order
    row = np.array([rows[id(one)] for one in rounds], dtype=np.int64).ravel()
    return Table(
        np.concatenate([row, *ints.parts], dtype=np.int64),
        np.concatenate([np.zeros(0), *floats.parts], dtype=np.float64),
        [order[id(one)] for one in rounds],
        int(sends.sum()),
        on_link,
        most_hops,
    )
