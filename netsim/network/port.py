"""A link's output queue: packets wait, are sent one after another, may be marked or dropped."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
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

    Counts what it sent, dropped and marked, and the largest queue it had.
    """

    def __init__(
        self,
        bytes_per_s: float,
        latency_s: float,
        *,
        fair: bool,
        buffer_bytes: float,
        mark_bytes: float,
    ) -> None:
        self.bytes_per_s, self.latency_s = bytes_per_s, latency_s
        self.fair, self.buffer_bytes, self.mark_bytes = fair, buffer_bytes, mark_bytes
        self.queued_bytes = self.largest_bytes = self.sent_bytes = 0.0
        self.dropped = self.marked = 0
        self._turns: deque[int] = deque()
        self._waiting: dict[int, deque[Packet]] = {}
        self._busy = False

    def take(self, packet: Packet, schedule: Callable[[float, Callable[[], None]], None]) -> None:
        """Queue a packet, or drop it where the buffer is full."""
        if self.queued_bytes + packet.nbytes > self.buffer_bytes:
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
        self._busy = bool(self._turns)
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
            schedule(self.latency_s, lambda: packet.sender.arrived(packet))
            self._send(schedule)

        schedule(duration_s, leave)
