"""What a transport makes of a topology: achieved capacities, route latencies, and the bytes given to each link."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from netsim.network.base import LinkState, repeats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.network.base import Round
    from netsim.network.transport import Transport
    from netsim.topology.graph import Topology


_ROUTES_KEPT = 256
_ROUNDING = 1e-12


class Routed(NamedTuple):
    """Transfers with their routes.

    `start` [F + 1] and `links` are the routes as CSR; `delay_s` [F] is what passes before the first byte moves
    (propagation and the transport's work for a message); `rate` [F] is the least capacity on each route.
    """

    start: NDArray[np.int64]
    links: NDArray[np.int64]
    delay_s: NDArray[np.float64]
    rate: NDArray[np.float64]


class LinkTable(ABC):
    """Links with capacities [L + ...] in bytes/s, a count of the bytes [L] given to each, and the routes of rounds."""

    capacity: NDArray[np.float64]
    nbytes: NDArray[np.float64]

    @abstractmethod
    def route(self, one: Round) -> Routed:
        """Return the round's routes."""

    def account(self, rounds: Sequence[Round]) -> None:
        """Add the bytes of a plan to the links they cross."""
        for one, times in repeats(rounds):
            self.nbytes += self.over(one, one.nbytes * times)

    def over(self, one: Round, amount: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [L] the sum over a round's transfers, with an `amount` [F] each, of those that cross each link."""
        routed = self.route(one)
        of_links = routed.links < len(self.nbytes)
        each = np.repeat(amount, np.diff(routed.start))
        return np.asarray(np.bincount(routed.links[of_links], each[of_links], len(self.nbytes)), dtype=np.float64)

    def still_to_start(
        self, rounds: Sequence[Round], place: NDArray[np.int64], at: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return [L] the bytes of a plan's transfers that are not started: those in rounds behind their sources'.

        `place` [nodes] are those of its participants, `at` [P] the round each of them is in, -1 before it has joined.
        """
        numbers: dict[int, list[int]] = {}
        for number, one in enumerate(rounds):
            numbers.setdefault(id(one), []).append(number)
        left_bytes = np.zeros(len(self.nbytes))
        for one, _ in repeats(rounds):
            come = np.searchsorted(numbers[id(one)], at[place[one.src]], side="right")
            left_bytes += self.over(one, one.nbytes * (len(numbers[id(one)]) - come))
        return left_bytes


class Links(LinkTable):
    """Capacities [L + caps] bytes/s as a transport achieves them, and a count of the bytes [L] that every link carries.

    Where the transport's cap on a pair of hosts is less than their route's capacity, the route ends with a private
    link of the pair, which all its transfers share. Private links have their places behind the topology's L, in the
    order in which their pairs are first routed; `capacity` grows with them and has room for some more.
    `window_bytes` [nodes] are what a socket takes in a round trip: the receiver's own window, or the transport's.
    `changes` says how often links have changed: what was found out of them holds until then.
    """

    def __init__(self, topology: Topology, transport: Transport) -> None:
        self.topology = topology
        self.transport = transport
        self.overhead_s = transport.overhead
        self.call_overhead_s = transport.call_overhead
        efficiency = np.where(topology.local, 1.0, transport.efficiency)
        self.capacity = topology.capacity_bytes_per_s * efficiency
        self.nbytes = np.zeros(len(self.capacity))
        self.propagation_s = topology.latency_s
        self.share = np.ones(len(self.capacity))
        self._shared_s, self._since_s = np.zeros(len(self.capacity)), 0.0
        self._up_s, self._while_up = np.zeros(len(self.capacity)), np.zeros((3, len(self.capacity)))
        self._full, self._slowest = self.capacity, np.inf
        self.loss = np.zeros(len(self.capacity))
        self._changing, self.changes = False, 0
        self._pairs, self._place = (np.zeros(0, dtype=np.int64) for _ in range(2))
        self._routed: dict[tuple[int, int, int], tuple[Round, Routed]] = {}
        self.window_bytes = self._windows()
        self._caps = self._may_cap()

    def expect_changes(self) -> None:
        """Get ready for links that change: from now on every pair of hosts may be capped, as it may come to be."""
        self.capacity, self.propagation_s = self.capacity.copy(), self.propagation_s.copy()
        transport, self._changing = self.transport, True
        may_cap = not (transport.cap is transport.window is transport.segment is None)
        self._caps = self._caps or (may_cap and not self.topology.local.all())

    def moved_by(self, links: NDArray[np.int64], state: LinkState) -> NDArray[np.int64]:
        """Return those whose capacity a change of links [K] may move: themselves, and the caps on pairs of hosts."""
        same = (state.latency_s == self.propagation_s[links]).all() and (state.loss == self.loss[links]).all()
        return links if same or not self._caps else np.concatenate([links, self._place])

    def change(self, links: NDArray[np.int64], state: LinkState, now_s: float) -> None:
        """Put links [K] into a state from now on."""
        self._note(now_s)
        self._since_s, self._slowest = now_s, self.slowest_bytes_per_s()
        self._routed.clear()
        self.changes += 1
        self.share[links], self.propagation_s[links], self.loss[links] = state
        self.capacity[links] = self._full[links] * state.share
        if len(self._pairs):
            ends = np.divmod(self._pairs, len(self.topology.names))
            self.capacity[self._place] = self._cap(*ends)

    def _note(self, now_s: float) -> None:
        """Add up what links have been like since they changed last."""
        passed_s = now_s - self._since_s
        self._shared_s += self.share * passed_s
        up_s = np.where(self.share > 0, passed_s, 0.0)
        self._up_s += up_s
        self._while_up += up_s * np.array([self.share, self.propagation_s, self.loss])

    def while_up(self, now_s: float) -> LinkState:
        """Return what links [L] have been like until now, in the mean over the time in which they had not failed."""
        now = np.array([self.share, self.propagation_s, self.loss])
        if not self.changes:
            return LinkState(*now)
        self._note(now_s)
        self._since_s = now_s
        return LinkState(*np.divide(self._while_up, self._up_s, out=now, where=self._up_s > 0))

    def slowest_bytes_per_s(self) -> float:
        """Return the least that any link, or a cap on a pair of hosts, has been until now; failed ones are none."""
        return float(min(self._slowest, self.capacity[self.capacity > 0].min(initial=np.inf)))

    def mean_share(self, now_s: float) -> NDArray[np.float64]:
        """Return [L] which part of its capacity each link has had until now, in the mean; above 1 where it had more."""
        if not now_s:
            return self.share.copy()
        share = (self._shared_s + self.share * (now_s - self._since_s)) / now_s
        return np.where(np.abs(share - 1.0) < _ROUNDING, 1.0, share)

    def _private(self, pair: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the private links of pairs [F] (source times nodes plus destination); new pairs get new ones."""
        met = np.append(self._pairs, -1)[np.searchsorted(self._pairs, pair)] == pair
        if not met.all():
            new = np.unique(pair[~met])
            first, at = len(self.nbytes) + len(self._pairs), np.searchsorted(self._pairs, new)
            self._pairs = np.insert(self._pairs, at, new)
            self._place = np.insert(self._place, at, first + np.arange(len(new)))
            lacking = first + len(new) - len(self.capacity)
            if lacking > 0:
                self.capacity = np.concatenate([self.capacity, np.full(max(lacking, len(self._pairs)), np.inf)])
        return self._place[np.searchsorted(self._pairs, pair)]

    def route(self, one: Round) -> Routed:
        """Return the round's routes; rounds that share their arrays of nodes are looked up once."""
        key = (id(one.src), id(one.dst), 0 if one.slices == 1 else id(one.nbytes))
        known = self._routed.get(key)
        if known is None:
            if len(self._routed) >= _ROUTES_KEPT:
                self._routed.clear()
            routed = self.routed(one.src, one.dst)
            if one.slices != 1:
                routed = routed._replace(delay_s=self._pipelined_s(one, routed))
            # The round is kept beside its routes so that the ids of its arrays cannot be given to others.
            known = self._routed[key] = (one, routed)
        return known[1]

    def routed(self, src: NDArray[np.int64], dst: NDArray[np.int64]) -> Routed:
        """Return the routes of transfers from `src` [F] to `dst` [F]."""
        start, links = self.topology.routes(src, dst)
        if not len(src):
            return Routed(start, links, np.zeros(0), np.zeros(0))
        latency_s = np.add.reduceat(self.propagation_s[links], start[:-1])
        spoken = np.logical_not(np.logical_and.reduceat(self.topology.local[links], start[:-1]))
        rate = np.minimum.reduceat(self.capacity[links], start[:-1])
        delay_s = latency_s + self.overhead_s * spoken
        if not self._caps:
            return Routed(start, links, delay_s, rate)
        cap = np.where(spoken, self._cap(src, dst), np.inf)
        binds = spoken if self._changing else cap < rate
        capped = np.flatnonzero(binds)
        private = self._private(src[capped] * len(self.topology.names) + dst[capped])
        self.capacity[private] = cap[capped]
        links = np.insert(links, start[1:][capped], private)
        start = start + np.concatenate([[0], np.cumsum(binds)])
        return Routed(start, links, delay_s, np.minimum(rate, cap))

    def cap_name(self, private: int) -> str:
        """Return what caps a pair of hosts, by the place of its private link: its `window`, `loss` or `cap`."""
        src, dst = np.divmod(self._pairs[self._place == private], len(self.topology.names))
        round_trip_s, loss = self._round_trip_s(src, dst), self._loss(src, dst)
        with np.errstate(divide="ignore"):
            windowed = self.window_bytes[dst] / round_trip_s
        most = {
            "window": windowed,
            "loss": self.transport.lossy_rate(round_trip_s, loss) if loss.any() else np.inf,
            "cap": self.transport.cap or np.inf,
        }
        name = min(most, key=lambda one: float(np.min(most[one])))
        return f"{name} {self.topology.names[src[0]]}->{self.topology.names[dst[0]]}"

    def latency_s(self, rounds: Sequence[Round]) -> float:
        """Return the seconds that a plan's longest delays add up to, round by round: its time if nothing had bytes."""
        return sum(times * float(self.route(one).delay_s.max(initial=0.0)) for one, times in repeats(rounds))

    def slow_start_s(
        self, src: NDArray[np.int64], dst: NDArray[np.int64], nbytes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return [F] the seconds that transfers over idle connections lose until their windows fill the route.

        Window j is the initial one doubled j times; it is sent at the route's rate, and the rest of the round trip is
        lost (Jacobson 1988; RFC 5681, 3.1). Nothing is lost behind the last window.
        """
        initial = self.transport.initial_window
        lost_s = np.zeros(len(src))
        if initial is None or not len(src):
            return lost_s
        first, round_trip_s, rate = (
            initial * self.transport.sockets,
            self._round_trip_s(src, dst),
            self.routed(src, dst).rate,
        )
        local = np.logical_and.reduceat(*self._local_routes(src, dst))
        window, sent = np.full(len(src), float(first)), np.full(len(src), float(first))
        waits = ~local & (window < rate * round_trip_s) & (sent < nbytes)
        while waits.any():
            lost_s += np.where(waits, round_trip_s - window / rate, 0.0)
            window, sent = 2 * window, sent + 2 * window
            waits &= (window < rate * round_trip_s) & (sent < nbytes)
        return lost_s

    def _local_routes(
        self, src: NDArray[np.int64], dst: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        start, links = self.topology.routes(src, dst)
        return self.topology.local[links], start[:-1]

    def _pipelined_s(self, one: Round, routed: Routed) -> NDArray[np.float64]:
        """Return [F] how long transfers wait that pass on, slice by slice, what came in the round before.

        A chunk of C bytes in k slices follows the one before after C/B, or, where that is longer, after a slice has
        come (d + C/(kB)), or after its slices have gone through what may be in flight, a round trip each time. What
        exceeds C/B is waiting: in a long ring this is exact, as all but the first wait is hidden behind own sends.

        Where receivers announce every slice, announcements and slices queue behind the slices of their own host: m in
        flight, each away for t = 2d + s + w, keep its queue busy for u = m s / t, and what enters behind the m - 1
        others waits for w = (m - 1) s u. That is nothing on a long path and s (m - 1) on a link that is never idle.
        """
        size, delay_s = self.transport.slice, routed.delay_s
        # Behind a link that has failed all wait for longer than any slices would hide.
        chunk_s = one.nbytes / np.where(routed.rate > 0, routed.rate, 1.0)
        if one.slices is not None:
            slices = np.full(len(chunk_s), float(one.slices))
        elif size is not None:
            slices = np.maximum(np.ceil(one.nbytes / size), 2)
        else:
            return delay_s
        next_s = delay_s + chunk_s / slices
        if size is not None:
            in_flight, slice_s = self.transport.slices_in_flight, chunk_s / slices
            away_s = 2 * delay_s + slice_s
            if self.transport.announced:
                away_s = (away_s + np.sqrt(away_s**2 + 4 * in_flight * (in_flight - 1) * slice_s**2)) / 2
            room_s = slices * away_s / in_flight
            next_s = np.maximum(next_s, room_s)
        return np.asarray(np.maximum(next_s - chunk_s, 0.0))

    def _cap(self, src: NDArray[np.int64], dst: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return [F] bytes/s that pairs of hosts move over their sockets, by window, round trip and loss on the way."""
        loss, round_trip_s = self._loss(src, dst), self._round_trip_s(src, dst)
        cap = self._windowed(self.window_bytes[dst], round_trip_s)
        if loss.any():
            cap = np.minimum(cap, self.transport.lossy_rate(round_trip_s, loss))
        return cap * self.transport.sockets

    def _loss(self, src: NDArray[np.int64], dst: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return [F] the probability that a packet is lost on its way."""
        start, links = self.topology.routes(src, dst)
        return np.asarray(1.0 - np.multiply.reduceat(1.0 - self.loss[links], start[:-1]))

    def _windowed(self, window: NDArray[np.float64], round_trip_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [F] bytes/s of one socket whose receiver takes so much in a round trip."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.minimum(window / round_trip_s, self.transport.cap or np.inf))

    def _windows(self) -> NDArray[np.float64]:
        """Return [nodes] what a socket takes in a round trip: the node's own window, or the transport's."""
        own, default = self.topology.window_bytes, self.transport.window
        windows = np.full(len(self.topology.names), np.inf if default is None else default)
        if own is None or self.transport.segment is None:
            return windows
        return np.where(np.isnan(own), windows, own)

    def _round_trip_s(self, src: NDArray[np.int64], dst: NDArray[np.int64]) -> NDArray[np.float64]:
        forth, back = self.topology.routes(src, dst), self.topology.routes(dst, src)
        return np.asarray(sum(np.add.reduceat(self.propagation_s[links], start[:-1]) for start, links in (forth, back)))

    def _may_cap(self) -> bool:
        """Say whether a cap could bind anywhere."""
        spoken = ~self.topology.local
        if (self.transport.cap is None and np.isinf(self.window_bytes).all()) or not spoken.any():
            return False
        longest_s = 2 * self.topology.most_hops() * self.topology.latency_s.max()
        least = self._windowed(self.window_bytes, np.array(longest_s)).min() * self.transport.sockets
        return bool(least < self.capacity[spoken].max())
