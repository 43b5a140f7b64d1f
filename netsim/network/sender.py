"""One transfer as packets: sends what its window allows, hears what arrived, sends again what was lost."""

from __future__ import annotations

from math import inf
from random import Random
from typing import TYPE_CHECKING

from netsim.network.port import Packet, Port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netsim.network.congestion import Window


class Sender:
    """A transfer of `nbytes` over `ports`, in packets of at most `mtu_bytes`.

    Acknowledgements return after the route's latency, using no bandwidth. A packet counts as lost once a few sent after
    it have been acknowledged, or when nothing is heard for `timeout_s` beyond the last measured round trip. Where that
    is finite, a host takes up to a packet's time to hear of an acknowledgement, at random but the same in every run: in
    strict time, drop-tail queues starve one of two equal flows for ever (Floyd, Jacobson 1991, phase effects).
    """

    def __init__(
        self,
        number: int,
        ports: Sequence[Port],
        nbytes: float,
        mtu_bytes: float,
        window: Window,
        timeout_s: float,
        clock: tuple[Callable[[], float], Callable[[float, Callable[[], None]], None]],
        finished: Callable[[], None],
    ) -> None:
        self.number, self.ports, self.window, self.timeout_s = number, ports, window, timeout_s
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
        self._return_s = sum(port.latency_s for port in ports)
        self._round_trip_s = 0.0
        self._alarm = 0
        self._jitter_s = mtu_bytes / ports[0].bytes_per_s if timeout_s < inf else 0.0
        self._random = Random(number)

    def start(self) -> None:
        """Send the first window."""
        self._fill()

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
        hear_s = self._return_s + self._jitter_s * self._random.random()
        self._schedule(hear_s, lambda: self._acknowledge(packet))
        if first and len(self._received) == self._count:
            self._finished()

    def _acknowledge(self, packet: Packet) -> None:
        """Let the window move on; packets sent well before this one and still not heard of are lost."""
        if packet.number not in self._under_way:
            return
        order, sent_s = self._under_way.pop(packet.number)
        self._round_trip_s = self._now() - sent_s
        self.window.acknowledged(self._now(), marked=packet.marked)
        limit = order - self.window.duplicates
        missing = [number for number, (sent, _) in self._under_way.items() if sent < limit]
        if missing:
            if order >= self._recover_until:
                self.window.lost(self._now())
                self._recover_until = self._sent
            self._resend(missing)
        self._fill()

    def _resend(self, missing: list[int]) -> None:
        for number in missing:
            del self._under_way[number]
        self._again += [number for number in missing if number not in self._received]

    def _set_alarm(self) -> None:
        self._alarm += 1
        alarm = self._alarm
        if self._under_way:
            self._schedule(self.timeout_s + self._round_trip_s, lambda: self._silence(alarm))

    def _silence(self, alarm: int) -> None:
        if alarm != self._alarm or not self._under_way:
            return
        self.window.silent()
        self._recover_until = self._sent
        self._resend(list(self._under_way))
        self._fill()
