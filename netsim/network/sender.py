"""One transfer as packets: sends what its window allows, hears what arrived, sends again what was lost."""

from __future__ import annotations

from itertools import takewhile
from math import inf
from random import Random
from typing import TYPE_CHECKING

from netsim.network.port import Packet, Port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netsim.network.congestion import Window


_MOST_TIMES = 64
"""The longest retransmission timeout over the first one: six times doubled (Padhye et al. 1998; RFC 6298, 5.5)."""


class Sender:
    """A transfer of `nbytes` over the ports of a route forth and back, in packets of at most `mtu_bytes`.

    Acknowledgements return after the latency of the way back, using no bandwidth, and are never lost. A packet counts
    as lost once a few sent after it have been acknowledged, or when nothing is heard for `timeout_s` beyond the last
    measured round trip, twice as long after each further timeout. Where that is finite, a host takes up to a packet's
    time to hear of an acknowledgement, at random but the same in every run: in strict time, drop-tail queues starve one
    of two equal flows for ever (Floyd, Jacobson 1991, phase effects). A window does not grow beyond what the
    receiver has room for (RFC 7661).
    """

    def __init__(
        self,
        number: int,
        ways: tuple[Sequence[Port], Sequence[Port]],
        nbytes: float,
        mtu_bytes: float,
        window: Window,
        timeout_s: float,
        clock: tuple[Callable[[], float], Callable[[float, Callable[[], None]], None]],
        finished: Callable[[], None],
    ) -> None:
        self.number, (self.ports, self._back), self.window, self.timeout_s = number, ways, window, timeout_s
        self._now, self._schedule = clock
        self._finished = finished
        self._mtu_bytes = mtu_bytes
        self._nbytes = nbytes
        self._count = max(1, -int(-nbytes // mtu_bytes))
        self._next = 0
        self._again: list[int] = []
        self._under_way: dict[int, tuple[int, float]] = {}
        self._received: set[int] = set()
        self._sent = 0
        self._recover_until = 0
        self._round_trip_s = 0.0
        self._alarm = 0
        self._times = 1
        self._jitter_s = mtu_bytes / self.ports[0].full_bytes_per_s if timeout_s < inf else 0.0
        self._random = Random(number)

    def start(self) -> None:
        """Send the first window."""
        self._fill()

    def stop(self) -> None:
        """Send nothing any more, nor wait for what is on its way."""
        self._count = self._next
        self._again.clear()
        self._under_way.clear()

    def _fill(self) -> None:
        while len(self._under_way) < max(int(self.window.packets), 1) and (self._again or self._next < self._count):
            if self._again:
                number = self._again.pop(0)
            else:
                number, self._next = self._next, self._next + 1
            nbytes = min(self._mtu_bytes, self._nbytes - number * self._mtu_bytes)
            self._under_way[number] = (self._sent, self._now())
            self._sent += 1
            self.ports[0].take(Packet(self, number, nbytes), self._schedule)
        self._set_alarm()

    def arrived(self, packet: Packet) -> None:
        """Pass a packet on to its next link, or take it in at its destination."""
        if packet.hop < len(self.ports):
            self.ports[packet.hop].take(packet, self._schedule)
            return
        first = packet.number not in self._received
        self._received.add(packet.number)
        hear_s = sum(port.latency_s for port in self._back) + self._jitter_s * self._random.random()
        self._schedule(hear_s, lambda: self._acknowledge(packet))
        if first and len(self._received) == self._count:
            self._finished()

    def _acknowledge(self, packet: Packet) -> None:
        """Let the window move on; packets sent well before this one and still not heard of are lost."""
        if packet.number not in self._under_way:
            return
        order, sent_s = self._under_way.pop(packet.number)
        self._round_trip_s, self._times = self._now() - sent_s, 1
        self.window.acknowledged(self._now(), marked=packet.marked)
        self.window.packets = min(self.window.packets, self.window.most_packets)
        missing = self._missing(order - self.window.duplicates) if self.timeout_s < inf else []
        if missing:
            if order >= self._recover_until:
                self.window.lost(self._now())
                self._recover_until = self._sent
            self._resend(missing)
        self._fill()

    def _missing(self, limit: int) -> list[int]:
        """Return the packets sent before a place in the order of sending, which is that of those under way."""
        before = takewhile(lambda one: one[1][0] < limit, self._under_way.items())
        return [number for number, _ in before]

    def _resend(self, missing: list[int]) -> None:
        for number in missing:
            del self._under_way[number]
        self._again += [number for number in missing if number not in self._received]

    def _set_alarm(self) -> None:
        self._alarm += 1
        alarm = self._alarm
        if self._under_way:
            wait_s = self._times * (self.timeout_s + self._round_trip_s)
            self._schedule(wait_s, lambda: self._silence(alarm))

    def _silence(self, alarm: int) -> None:
        if alarm != self._alarm or not self._under_way:
            return
        self.window.silent()
        self._times = min(2 * self._times, _MOST_TIMES)
        self._recover_until = self._sent
        self._resend(list(self._under_way))
        self._fill()
