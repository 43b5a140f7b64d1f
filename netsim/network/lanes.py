"""Plans in which no two transfers ever meet on a link, as array recurrences: t[i] = max(own send left, own arrived).

That is so where every link carries the transfers of one source only and a source sends one transfer a round: its sends
follow one another by the rule of time. A ring on any tree is such a plan. Its times need no solver and no events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.network.base import Round
    from netsim.network.links import Links

NOBODY = -1


class Flying(NamedTuple):
    """Where a plan stands at some instant.

    Attributes:
        at: [P] the round each participant is in; the number of rounds if it has finished, -1 if it has not joined.
        done: the transfers that have completed in rounds that are not over, as (round, places [K] in it).
        waiting: transfers that have been started but hold no bandwidth yet: (round, place [K], begin_s [K]).
        moving: transfers under way: (round, place [K], bytes left [K]).
    """

    at: NDArray[np.int64]
    done: list[tuple[int, NDArray[np.int64]]]
    waiting: list[tuple[int, NDArray[np.int64], NDArray[np.float64]]]
    moving: list[tuple[int, NDArray[np.int64], NDArray[np.float64]]]


def owners(rounds: Sequence[Round], links: Links) -> NDArray[np.int64] | None:
    """Return [L] the source that owns each link (NOBODY if unused), or None where transfers of a plan can meet."""
    owner = np.full(len(links.capacity), NOBODY, dtype=np.int64)
    seen: set[tuple[int, int]] = set()
    for one in rounds:
        if (id(one.src), id(one.dst)) in seen:
            continue
        seen.add((id(one.src), id(one.dst)))
        if len(np.unique(one.src)) < len(one.src):
            return None
        routed = links.route(one)
        source = np.repeat(one.src, np.diff(routed.start))
        held = owner[routed.links]
        owner[routed.links] = source
        if ((held != NOBODY) & (held != source)).any() or (owner[routed.links] != source).any():
            return None
    return owner


class Lanes:
    """The recurrence of one plan. Times are those of participants, by their place in `nodes` [P]."""

    def __init__(self, rounds: Sequence[Round], nodes: NDArray[np.int64], links: Links) -> None:
        self.rounds = rounds
        self.links = links
        self.place = np.full(int(nodes.max()) + 1, -1, dtype=np.int64)
        self.place[nodes] = np.arange(len(nodes))
        self.joined_s = np.full(len(nodes), np.inf)

    def finish_s(self) -> NDArray[np.float64]:
        """Return [P] when each participant finishes its part; infinity where that hangs on one that has not joined."""
        time_s = self.joined_s.copy()
        for one in self.rounds:
            src, dst = self.place[one.src], self.place[one.dst]
            arrive_s = self._begin_s(one, time_s[src]) + one.nbytes / self.links.route(one).rate
            _raise_to(time_s, src, dst, arrive_s)
        return time_s

    def _begin_s(self, one: Round, free_s: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(free_s + one.hold_s + self.links.route(one).delay_s)

    def standing(self, now_s: float) -> Flying:
        """Return where the plan stands at `now_s`, so that a general solver can go on with it."""
        time_s = self.joined_s.copy()
        at = np.where(time_s <= now_s, 0, -1)
        flying = Flying(at, [], [], [])
        for number, one in enumerate(self.rounds):
            src, dst = self.place[one.src], self.place[one.dst]
            rate = self.links.route(one).rate
            begun = time_s[src] <= now_s
            begin_s = self._begin_s(one, time_s[src])
            arrive_s = begin_s + one.nbytes / rate
            _raise_to(time_s, src, dst, arrive_s)
            self._note(flying, number, one, (begun, begin_s, arrive_s, rate), now_s)
            at[(at == number) & (time_s <= now_s)] = number + 1
            if (at <= number).all():
                break
        return flying

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


def _raise_to(
    time_s: NDArray[np.float64], src: NDArray[np.int64], dst: NDArray[np.int64], arrive_s: NDArray[np.float64]
) -> None:
    """Let every source and destination wait for its transfers, in place."""
    time_s[src] = np.maximum(time_s[src], arrive_s)
    np.maximum.at(time_s, dst, arrive_s)
