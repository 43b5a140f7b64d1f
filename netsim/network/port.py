"""A link's output queue: packets wait, are sent one after another, may be marked or dropped."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.network.sender import Sender


@dataclass(slots=True)
class Packet:
    """A segment of a transfer on its way: `hop` links of its sender's route lie behind it."""

    sender: Sender
    number: int
    nbytes: float
    hop: int = 0
    marked: bool = False


class Port:
    """The queue before one link. Transfers take turns packet by packet if `fair`, else packets leave as they came.

    Counts what it sent, dropped and marked, and the largest queue it had. While its link is down, packets wait if it
    `holds` them, else they are dropped, those in the queue too.
    """

    def __init__(
        self,
        bytes_per_s: float,
        latency_s: float,
        *,
        fair: bool,
        buffer_bytes: float,
        mark_bytes: float,
        holds: bool,
        seed: int,
    ) -> None:
        self.full_bytes_per_s = self.bytes_per_s = bytes_per_s
        self.latency_s, self.loss, self.holds = latency_s, 0.0, holds
        self._random = Random(seed)
        self.fair, self.buffer_bytes, self.mark_bytes = fair, buffer_bytes, mark_bytes
        self.queued_bytes = self.largest_bytes = self.sent_bytes = 0.0
        self.dropped = self.marked = 0
        self._turns: deque[int] = deque()
        self._waiting: dict[int, deque[Packet]] = {}
        self._busy = False

    def change(
        self, share: float, latency_s: float, loss: float, schedule: Callable[[float, Callable[[], None]], None]
    ) -> None:
        """Put the link into a state from now on: a packet that is on it already goes on as it began."""
        self.bytes_per_s, self.latency_s, self.loss = self.full_bytes_per_s * share, latency_s, loss
        if not share and not self.holds:
            for waiting in self._waiting.values():
                self.dropped += len(waiting)
                self.queued_bytes -= sum(packet.nbytes for packet in waiting)
            self._turns.clear()
            self._waiting.clear()
        if not self._busy:
            self._send(schedule)

    def take(self, packet: Packet, schedule: Callable[[float, Callable[[], None]], None]) -> None:
        """Queue a packet, or drop it where the buffer is full or the link is down."""
        is_lost = not (self.bytes_per_s or self.holds)
        if is_lost or self.queued_bytes + packet.nbytes > self.buffer_bytes:
            self.dropped += 1
            return
        if self.queued_bytes + packet.nbytes > self.mark_bytes:
            packet.marked = True
            self.marked += 1
        self.queued_bytes += packet.nbytes
        self.largest_bytes = max(self.largest_bytes, self.queued_bytes)
        turn = packet.sender.number if self.fair else 0
        if turn not in self._waiting:
            self._waiting[turn] = deque()
            self._turns.append(turn)
        self._waiting[turn].append(packet)
        if not self._busy:
            self._send(schedule)

    def _send(self, schedule: Callable[[float, Callable[[], None]], None]) -> None:
        """Put the next packet on the link; it arrives after its bytes and the latency have passed."""
        self._busy = bool(self._turns) and self.bytes_per_s > 0
        if not self._busy:
            return
        turn = self._turns.popleft()
        waiting = self._waiting[turn]
        packet = waiting.popleft()
        if waiting:
            self._turns.append(turn)
        else:
            del self._waiting[turn]
        duration_s = packet.nbytes / self.bytes_per_s

        def leave() -> None:
            self.queued_bytes -= packet.nbytes
            self.sent_bytes += packet.nbytes
            packet.hop += 1
            if self.loss and self._random.random() < self.loss:
                self.dropped += 1
            else:
                schedule(self.latency_s, lambda: packet.sender.arrived(packet))
            self._send(schedule)

        schedule(duration_s, leave)
