"""Plans that look the same from everywhere along them, solved for one part that stands for all.

Where a turn of all participants by some places takes every transfer to another one of the same round, as long and as
held up, and every link to another of the same capacity, on which the same meets, all that happens to a participant
happens to its images at the same instants: max-min rates and the rule of time know no names. So the fluid has to hold
one participant, one transfer and one link for each orbit. A grid of workers whose rows are whole machines is such a
plan: its rows are alike, however the workers of one of them stand to each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from netsim.network import kernel
from netsim.network.base import Round, repeats
from netsim.network.fluid import Fluid
from netsim.network.lanes import ROUNDING, Flying
from netsim.network.links import LinkTable, Routed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.network.links import Links

LEAST_TRANSFERS = 20_000
"""Plans with fewer transfers are solved as soon as it is found out how they turn."""
LEAST_REPEATS = 8
"""How often rounds must be repeated in the mean for the same reason."""


@dataclass(frozen=True, eq=False)
class Fold:
    """How a plan turns: by `shift` places, `images` times until it is back.

    `next_link` [L] is the link that each link is taken to, -1 where the plan does not use it.
    """

    nodes: NDArray[np.int64]
    shift: int
    images: int
    next_link: NDArray[np.int64]

    def same(self, other: Fold) -> bool:
        """Say whether another plan turns alike, over the same links."""
        alike = self.shift == other.shift and np.array_equal(self.nodes, other.nodes)
        return alike and np.array_equal(self.next_link, other.next_link)

    def places(self, folded: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return [K * images] the places in the plan, in order, of those [K] that stand for them."""
        return np.sort((folded[None, :] + self.shift * np.arange(self.images)[:, None]).ravel())


def fold_of(rounds: Sequence[Round], nodes: NDArray[np.int64], place: NDArray[np.int64], links: Links) -> Fold | None:
    """Return the shortest turn of a plan between nodes [P], whose places are given, or None where there is none."""
    different, count = repeats(rounds), len(nodes)
    in_all = sum(times * len(one.src) for one, times in different)
    if in_all < max(LEAST_TRANSFERS, LEAST_REPEATS * sum(len(one.src) for one, _ in different)):
        return None
    for shift in (one for one in range(1, count // 2 + 1) if count % one == 0):
        images = [images_of(one, place, count, shift) for one, _ in different]
        if all(image is not None for image in images):
            next_link = _next_links([one for one, _ in different], images, links)
            if next_link is not None and _is_free([one for one, _ in different], next_link, count // shift, links):
                return Fold(nodes, shift, count // shift, next_link)
    return None


def images_of(one: Round, place: NDArray[np.int64], count: int, shift: int) -> NDArray[np.int64] | None:
    """Return [F] the transfer that each is taken to by a turn, or None where one has no image as long as itself."""
    src, dst = place[one.src], place[one.dst]
    key, turned = src * count + dst, (src + shift) % count * count + (dst + shift) % count
    order = np.argsort(key)
    image = order[np.minimum(np.searchsorted(key[order], turned), len(order) - 1)]
    hold_s = np.broadcast_to(one.hold_s, key.shape)
    alike = (key[image] == turned) & (one.nbytes[image] == one.nbytes) & (hold_s[image] == hold_s)
    return image if alike.all() and len(np.unique(key)) == len(key) else None


def _next_links(
    rounds: Sequence[Round], images: Sequence[NDArray[np.int64] | None], links: Links
) -> NDArray[np.int64] | None:
    """Return [L] where a turn takes each link that rounds use, -1 for others; None where that is no link as wide."""
    next_link = np.full(len(links.capacity), -1, dtype=np.int64)
    for one, image in zip(rounds, images, strict=True):
        assert image is not None
        routed = links.route(one)
        hops = np.diff(routed.start)
        delays_alike = np.abs(routed.delay_s[image] - routed.delay_s) <= ROUNDING * routed.delay_s
        if not delays_alike.all() or (hops[image] != hops).any():
            return None
        way = in_order(routed, one.src, links)
        offset = np.arange(len(way)) - np.repeat(routed.start[:-1], hops)
        there = way[np.repeat(routed.start[image], hops) + offset]
        held = next_link[way]
        next_link[way] = there
        if ((held >= 0) & (held != there)).any() or (next_link[way] != there).any():
            return None
    used = np.flatnonzero(next_link >= 0)
    wide = np.abs(links.capacity[next_link[used]] - links.capacity[used]) <= ROUNDING * links.capacity[used]
    return next_link if wide.all() and np.array_equal(np.unique(next_link[used]), used) else None


def in_order(routed: Routed, src: NDArray[np.int64], links: Links) -> NDArray[np.int64]:
    """Return the links of routes as CSR, those of each route as a message meets them; private ones last."""
    topology, count = links.topology, len(links.nbytes)
    flow = np.repeat(np.arange(len(src)), np.diff(routed.start))
    real = routed.links < count
    begins = np.where(real, topology.link_src[np.where(real, routed.links, 0)], -1)
    here, rank = src.astype(np.int64), np.full(len(flow), len(topology.names))
    for hop in range(int(np.diff(routed.start).max(initial=0))):
        next_one = np.flatnonzero((begins == here[flow]) & real)
        rank[next_one], begins[next_one] = hop, -1
        here[flow[next_one]] = topology.link_dst[routed.links[next_one]]
    return routed.links[np.lexsort((rank, flow))]


def _is_free(rounds: Sequence[Round], next_link: NDArray[np.int64], images: int, links: Links) -> bool:
    """Say whether each link is back after all turns and not before, and no route crosses two links of an orbit."""
    orbit = orbits(next_link)
    if (np.bincount(orbit[orbit >= 0]) != images).any():
        return False
    for routed in map(links.route, rounds):
        crossed = np.repeat(np.arange(len(routed.rate)), np.diff(routed.start)) * len(orbit) + orbit[routed.links]
        if len(np.unique(crossed)) < len(crossed):
            return False
    return True


def orbits(next_link: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return [L] the number of each link's orbit, -1 for a link that is not used."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    used, size = np.flatnonzero(next_link >= 0), len(next_link)
    graph = csr_matrix((np.ones(len(used)), (used, next_link[used])), shape=(size, size))
    of_orbit = connected_components(graph, directed=False)[1]
    found = np.full(size, -1, dtype=np.int64)
    found[used] = np.unique(of_orbit[used], return_inverse=True)[1]
    return found


class _Part(NamedTuple):
    """What of a plan is solved: its rounds, and for each of their ids the transfers [K, images] that one stands for."""

    rounds: list[Round]
    copies: dict[int, NDArray[np.int64]]


class _PartLinks(LinkTable):
    """One link for each orbit."""

    def __init__(self, capacity: NDArray[np.float64]) -> None:
        self.capacity = capacity
        self.nbytes = np.zeros(len(capacity))
        self.routes: dict[int, tuple[Round, Routed]] = {}

    def route(self, one: Round) -> Routed:
        """Return the routes of a round of a part."""
        return self.routes[id(one)][1]


class FoldedFluid(Fluid):
    """A fluid of plans that turn alike, which is asked and answers by the places of all participants and by all links.

    It cannot go on with what a recurrence left, nor with links that change.
    """

    def __init__(self, fold: Fold, links: LinkTable) -> None:
        self.fold, self._whole = fold, links
        self._orbit, used = orbits(fold.next_link), fold.next_link >= 0
        capacity = np.zeros(self._orbit.max() + 1)
        capacity[self._orbit[used]] = links.capacity[: len(used)][used]
        self._part_links = _PartLinks(capacity)
        self._parts: dict[int, _Part] = {}
        super().__init__(self._part_links)

    def open(self, rounds: Sequence[Round], nodes: NDArray[np.int64], place: NDArray[np.int64]) -> int:
        """Make room for a plan that turns as the fold says."""
        part = self._part(rounds, place)
        here = np.arange(self.fold.shift)
        number = super().open(part.rounds, here, here)
        self._parts[number] = part
        return number

    def close(self, plan: int) -> None:
        """Forget a plan that is over."""
        super().close(plan)
        part = self._parts.pop(plan)
        for one in part.copies:
            del self._part_links.routes[one]

    def _part(self, rounds: Sequence[Round], place: NDArray[np.int64]) -> _Part:
        shift, found, copies = self.fold.shift, {}, {}
        for one, _ in repeats(rounds):
            image = images_of(one, place, len(self.fold.nodes), shift)
            assert image is not None
            routed, src = self._whole.route(one), place[one.src]
            some = np.flatnonzero(src < shift)
            turns = [some]
            for _ in range(self.fold.images - 1):
                turns.append(image[turns[-1]])
            hops = np.diff(routed.start)[some]
            start = np.concatenate([[0], np.cumsum(hops)])
            offset = np.arange(start[-1]) - np.repeat(start[:-1], hops)
            link = self._orbit[routed.links[np.repeat(routed.start[some], hops) + offset]]
            hold_s = np.broadcast_to(one.hold_s, src.shape)[some]
            part = Round(src[some], place[one.dst][some] % shift, one.nbytes[some], hold_s)
            self._part_links.routes[id(part)] = part, Routed(start, link, routed.delay_s[some], routed.rate[some])
            found[id(one)], copies[id(part)] = part, np.stack(turns, axis=1)
        return _Part([found[id(one)] for one in rounds], copies)

    def whole(self, places: NDArray[np.int64]) -> bool:
        """Say whether some participants are all images of each other."""
        return bool(np.isin(np.bincount(places % self.fold.shift), [0, self.fold.images]).all())

    def join(self, plan: int, places: NDArray[np.int64], now_s: float) -> None:
        """Let participants begin now, who are all images of each other."""
        super().join(plan, places[places < self.fold.shift], now_s)

    def finished(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Return who has finished since this was asked last, as plans and places."""
        return [(plan, self.fold.places(places)) for plan, places in super().finished()]

    def held_s(self, now_s: float) -> NDArray[np.float64]:
        """Return [L] the seconds that transfers have held each link until now, added up over transfers."""
        return self._on_all(super().held_s(now_s))

    def left_bytes(
        self, plan: int, rounds: Sequence[Round], place: NDArray[np.int64], now_s: float
    ) -> NDArray[np.float64]:
        """Return [L] the bytes of a plan that have not passed each link by now; all that was due must have happened."""
        here = np.arange(self.fold.shift)
        return self._on_all(super().left_bytes(plan, self._parts[plan].rounds, here, now_s))

    def _on_all(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [L] for all links what holds [orbits] for each of an orbit."""
        orbit = self._orbit[: len(self._whole.nbytes)]
        return np.where(orbit >= 0, values[orbit], 0.0)

    def standing(self, plan: int, rounds: Sequence[Round], now_s: float) -> Flying:
        """Return where a plan stands, so that a fluid of all transfers can go on with it."""
        core, part, order = self.core, self._parts[plan], self._lent[plan].table.order
        begin = int(core.plan[plan, kernel.NODES])
        at = core.node[begin : begin + self.fold.shift, kernel.AT].astype(np.int64)
        flying = Flying(rounds, np.tile(at, self.fold.images), [], [], [])
        slots = self._slots_of(plan)
        left, waits = self._left(slots, now_s), core.left[slots] >= 0
        number, transfer = core.what[slots, kernel.ROUND], core.what[slots, kernel.TRANSFER]
        for one in range(max(int(at.min()), 0), min(int(at.max()) + 1, len(rounds))):
            here = number == one
            copies, under_way = part.copies[id(part.rounds[one])], order[one][transfer[here]]
            over = at[part.rounds[one].src] >= one
            over[under_way] = False
            flying.done.append((one, copies[over].ravel()))
            for which, noted in ((waits[here], flying.waiting), (~waits[here], flying.moving)):
                begins = core.begin_s[core.place[slots[here][which]]] if noted is flying.waiting else left[here][which]
                if which.any():
                    noted.append((one, copies[under_way[which]].ravel(), np.repeat(begins, self.fold.images)))
        return flying
