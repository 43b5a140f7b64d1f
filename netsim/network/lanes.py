"""Plans whose transfers' rates are known beforehand, as array recurrences: t[i] = max(own sends left, own arrived).

That is so where no two transfers ever meet: every link carries the transfers of one source only, and a source sends one
transfer a round, so that its sends follow one another by the rule of time. A ring on any tree is such a plan. It is so,
too, where all transfers of a round share links alike, as those of rings that leave machines by one card, as long as
everybody begins the plan at the same instant: then all rounds begin and end for everybody at once. Such times need no
solver and no events: one compiled loop runs over the rounds.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.network.base import Round
    from netsim.network.links import Links

NOBODY = -1
ROUNDING = 4 * 2.0**-53
"""Times that agree to this relative difference are equal; it hides rounding only."""


class Flying(NamedTuple):
    """Where a plan stands at some instant.

    Attributes:
        rounds: those of the plan.
        at: [P] the round each participant is in; the number of rounds if it has finished, -1 if it has not joined.
        done: the transfers that have completed in rounds that are not over, as (round, places [K] in it).
        waiting: transfers that have been started but hold no bandwidth yet: (round, place [K], begin_s [K]).
        moving: transfers under way: (round, place [K], bytes left [K]).
    """

    rounds: Sequence[Round]
    at: NDArray[np.int64]
    done: list[tuple[int, NDArray[np.int64]]]
    waiting: list[tuple[int, NDArray[np.int64], NDArray[np.float64]]]
    moving: list[tuple[int, NDArray[np.int64], NDArray[np.float64]]]


class Lane(NamedTuple):
    """A round as the recurrence takes it: places of its ends [F], seconds until its bytes move and of moving [F]."""

    src: NDArray[np.int64]
    dst: NDArray[np.int64]
    wait_s: NDArray[np.float64]
    move_s: NDArray[np.float64]


def owners(rounds: Sequence[Round], links: Links) -> NDArray[np.int64] | None:
    """Return [L] the source that owns each link (NOBODY if unused), or None where transfers of a plan can meet.

    Private links of pairs of hosts always belong to their source, and are left out.
    """
    owner = np.full(len(links.nbytes), NOBODY, dtype=np.int64)
    for one in {(id(one.src), id(one.dst)): one for one in rounds}.values():
        if len(np.unique(one.src)) < len(one.src):
            return None
        routed = links.route(one)
        shared = routed.links < len(owner)
        link, source = routed.links[shared], np.repeat(one.src, np.diff(routed.start))[shared]
        held = owner[link]
        owner[link] = source
        if ((held != NOBODY) & (held != source)).any() or (owner[link] != source).any():
            return None
    return owner


def levels(rounds: Sequence[Round], nodes: NDArray[np.int64], links: Links) -> dict[int, float] | None:
    """Return, by the id of each round, the rate of all its transfers, or None where they do not end all at once.

    They do where they are as long, and held up as long, as each other, where each has the same fair share of its
    narrowest link, so that this is its max-min fair rate, and where everybody sends or receives in every round.
    """
    found = {}
    for one in {id(one): one for one in rounds}.values():
        routed = links.route(one)
        taken = np.bincount(np.concatenate([one.src, one.dst]), minlength=len(links.topology.names))
        if not taken[nodes].all() or not (_alike(one.nbytes) and _alike(routed.delay_s + one.hold_s)):
            return None
        crowd = np.bincount(routed.links, minlength=len(links.capacity))
        share = np.minimum.reduceat((links.capacity / np.maximum(crowd, 1))[routed.links], routed.start[:-1])
        if not _alike(share):
            return None
        found[id(one)] = float(share.min())
    return found


def _alike(values: NDArray[np.float64]) -> bool:
    return bool(np.ptp(values) <= ROUNDING * values.max()) if len(values) else False


class Lanes:
    """The recurrence of one plan. Times are those of participants, by their place in `nodes` [P].

    With `levels` the plan's participants have to begin at the same instant.
    """

    def __init__(
        self,
        rounds: Sequence[Round],
        nodes: NDArray[np.int64],
        links: Links,
        levels: dict[int, float] | None = None,
    ) -> None:
        self.rounds = rounds
        self.links = links
        self.levels = levels
        self.place = np.full(int(nodes.max()) + 1, -1, dtype=np.int64)
        self.place[nodes] = np.arange(len(nodes))
        self.joined_s = np.full(len(nodes), np.inf)

    def finish_s(self) -> NDArray[np.float64]:
        """Return [P] when each participant finishes its part; infinity where that hangs on one that has not joined."""
        time_s = self.joined_s.copy()
        for _, same in groupby(self.rounds, key=id):
            one, *others = same
            lane = self._lane(one)
            _go_round(time_s, lane.src, lane.dst, lane.wait_s, lane.move_s, 1 + len(others))
        return time_s

    @property
    def breaks_up(self) -> bool:
        """Return whether some have begun without the others, which those of a level plan must not."""
        return self.levels is not None and np.isfinite(self.joined_s).any() and np.ptp(self.joined_s) != 0

    def _rate(self, one: Round) -> NDArray[np.float64]:
        """Return [F] the bytes/s of a round's transfers."""
        if self.levels is None:
            return self.links.route(one).rate
        return np.full(len(one.src), self.levels[id(one)])

    def _lane(self, one: Round) -> Lane:
        wait_s = np.asarray(one.hold_s + self.links.route(one).delay_s)
        return Lane(self.place[one.src], self.place[one.dst], wait_s, one.nbytes / self._rate(one))

    def standing(self, now_s: float) -> Flying:
        """Return where the plan stands at `now_s`, so that a general solver can go on with it."""
        time_s = self.joined_s.copy()
        at = np.where(time_s <= now_s, 0, -1)
        flying = Flying(self.rounds, at, [], [], [])
        for number, one in enumerate(self.rounds):
            lane = self._lane(one)
            free_s = time_s[lane.src]
            begin_s = free_s + lane.wait_s
            arrive_s = begin_s + lane.move_s
            _go_round(time_s, lane.src, lane.dst, lane.wait_s, lane.move_s, 1)
            self._note(flying, number, one, (free_s <= now_s, begin_s, arrive_s, self._rate(one)), now_s)
            at[(at == number) & (time_s <= now_s)] = number + 1
            if (at <= number).all():
                break
        return flying

    def held_s(self, standing: Flying | None = None) -> NDArray[np.float64]:
        """Return [L] the seconds that transfers hold each link, added up, in the whole plan or until it so stood."""
        held_s = np.zeros(len(self.links.nbytes))
        if standing is None:
            times = Counter(id(one) for one in self.rounds)
            some = [(one, one.nbytes * times[id(one)]) for one in {id(one): one for one in self.rounds}.values()]
        else:
            some = []
            for number, transfers in standing.done:
                some.append((self.rounds[number], _at(transfers, self.rounds[number].nbytes)))
            for number, transfers, left_bytes in standing.moving:
                one = self.rounds[number]
                some.append((one, _at(transfers, one.nbytes) - _at(transfers, one.nbytes, left_bytes)))
        for one, nbytes in some:
            held_s += self.links.over(one, nbytes / self._rate(one))
        return held_s

    def left_bytes(self, now_s: float) -> NDArray[np.float64]:
        """Return [L] the bytes of the plan that have not passed each link by `now_s`."""
        standing = self.standing(now_s)
        left_bytes = self.links.still_to_start(self.rounds, self.place, standing.at)
        for number, transfers, *_ in standing.waiting:
            left_bytes += self.links.over(self.rounds[number], _at(transfers, self.rounds[number].nbytes))
        for number, transfers, left in standing.moving:
            one = self.rounds[number]
            left_bytes += self.links.over(one, _at(transfers, one.nbytes, left))
        return left_bytes

    @staticmethod
    def _note(
        flying: Flying,
        number: int,
        one: Round,
        times: tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
        now_s: float,
    ) -> None:
        begun, begin_s, arrive_s, rate = times
        flying.done.append((number, np.flatnonzero(begun & (arrive_s <= now_s))))
        waiting = np.flatnonzero(begun & (begin_s > now_s))
        moving = np.flatnonzero(begun & (begin_s <= now_s) & (arrive_s > now_s))
        if len(waiting):
            flying.waiting.append((number, waiting, begin_s[waiting]))
        if len(moving):
            left = np.minimum((arrive_s[moving] - now_s) * rate[moving], one.nbytes[moving])
            flying.moving.append((number, moving, left))


def _at(
    transfers: NDArray[np.int64], nbytes: NDArray[np.float64], some: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return [F] the bytes of some transfers, those of `nbytes` unless others are given, and 0 of the rest."""
    found = np.zeros(len(nbytes))
    found[transfers] = nbytes[transfers] if some is None else some
    return found


@njit(cache=True, error_model="numpy")
def _go_round(
    time_s: NDArray[np.float64],
    src: NDArray[np.int64],
    dst: NDArray[np.int64],
    wait_s: NDArray[np.float64],
    move_s: NDArray[np.float64],
    times: int,
) -> None:
    """Move everyone's time on over a round, in place, as often as it is repeated: both ends wait for a transfer.

    Once a round takes everybody equally long, so do all repetitions of it (max-plus maps commute with a shift), and as
    no such map spreads a difference, what rounding leaves grows with their number at most.
    """
    arrive_s, before_s = np.empty(len(src)), np.empty(len(time_s))
    done = 0
    while done < times:
        looks = done % 64 == 0 or done & (done - 1) == 0
        if looks:
            before_s[:] = time_s
        for one in range(len(src)):
            arrive_s[one] = time_s[src[one]] + wait_s[one] + move_s[one]
        for one in range(len(src)):
            time_s[src[one]] = max(time_s[src[one]], arrive_s[one])
            time_s[dst[one]] = max(time_s[dst[one]], arrive_s[one])
        done += 1
        if looks and done < times:
            took_s, spread_s = _pace(before_s, time_s)
            if spread_s <= ROUNDING * before_s.min():
                time_s += (times - done) * took_s
                return


@njit(cache=True, error_model="numpy")
def _pace(before_s: NDArray[np.float64], after_s: NDArray[np.float64]) -> tuple[float, float]:
    """Return the most seconds that have passed for anyone, and by how much those of others differ."""
    least, most = np.inf, -np.inf
    for one in range(len(before_s)):
        if after_s[one] == np.inf:
            return np.inf, np.inf
        passed_s = after_s[one] - before_s[one]
        least, most = min(least, passed_s), max(most, passed_s)
    return most, most - least
