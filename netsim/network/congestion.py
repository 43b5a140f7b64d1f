"""Window-based congestion control: how many packets a sender may have under way. Windows are in packets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf

_DUPLICATES = 3
"""Later packets that must be acknowledged before an earlier one counts as lost (RFC 5681)."""


class Window(ABC):
    """The window of one sender; it hears of acknowledgements, losses and silence.

    `most_packets` is what its receiver has room for.
    """

    packets: float
    most_packets: float = inf
    duplicates: int = _DUPLICATES

    @abstractmethod
    def acknowledged(self, now_s: float, *, marked: bool) -> None:
        """Hear that a packet has arrived, and whether a queue on its way had marked it."""

    @abstractmethod
    def lost(self, now_s: float) -> None:
        """Hear, once a window, that a packet was lost."""

    @abstractmethod
    def silent(self) -> None:
        """Hear that nothing was acknowledged for a retransmission timeout."""


class Fixed(Window):
    """A window that never changes: with fair queues and room for all packets, rates become max-min fair.

    Hahne 1991 (doi 10.1109/49.105166) proves it for round-robin service and windows that are large enough.
    """

    def __init__(self, packets: float) -> None:
        self.packets = packets

    def acknowledged(self, now_s: float, *, marked: bool) -> None:
        """Stay."""

    def lost(self, now_s: float) -> None:
        """Stay."""

    def silent(self) -> None:
        """Stay."""


class Reno(Window):
    """Slow start, then one packet more a round trip; half after a loss, one packet after a timeout (RFC 5681).

    What has timed out before leaves the slow-start threshold where it is (3.1).
    """

    def __init__(self, packets: float) -> None:
        self.packets = packets
        self.threshold = float("inf")

    def acknowledged(self, now_s: float, *, marked: bool) -> None:
        """Grow by a packet, or by a packet a window beyond the slow-start threshold."""
        self.packets += 1.0 if self.packets < self.threshold else 1.0 / self.packets

    def lost(self, now_s: float) -> None:
        """Halve."""
        self.threshold = max(self.packets / 2, 2.0)
        self.packets = self.threshold

    def silent(self) -> None:
        """Begin anew with one packet."""
        if self.packets > 1:
            self.threshold = max(self.packets / 2, 2.0)
        self.packets = 1.0


class Cubic(Reno):
    """Beyond slow start, a cubic of the time since the last loss, flat where that loss was (RFC 9438).

    W(t) = C (t - K)^3 + W_max, K = cbrt((W_max - W) / C) with the window W that it sets out from, C = 0.4, beta = 0.7;
    never less than a window that Reno would have reached by the same average loss (4.3).
    """

    scale = 0.4
    beta = 0.7

    def __init__(self, packets: float) -> None:
        super().__init__(packets)
        self.largest = self.reno = self.inflection_s = 0.0
        self.since_s: float | None = None

    def acknowledged(self, now_s: float, *, marked: bool) -> None:
        """Grow towards the cubic, or as Reno where that is more."""
        if self.packets < self.threshold:
            super().acknowledged(now_s, marked=marked)
            return
        if self.since_s is None:
            self._set_out(now_s, self.packets)
        assert self.since_s is not None
        target = self.scale * (now_s - self.since_s - self.inflection_s) ** 3 + self.largest
        self.reno += 3 * (1 - self.beta) / (1 + self.beta) / self.packets
        self.packets += max(min(target, 1.5 * self.packets) - self.packets, 0.0) / self.packets
        self.packets = max(self.packets, self.reno)

    def lost(self, now_s: float) -> None:
        """Remember the window, and shrink it by beta."""
        largest = self.packets
        self.packets = self.threshold = max(self.packets * self.beta, 2.0)
        self._set_out(now_s, max(largest, self.packets))

    def silent(self) -> None:
        """Begin anew with one packet; what follows slow start sets out from where that ends (4.7)."""
        if self.packets > 1:
            self.threshold = max(self.packets * self.beta, 2.0)
        self.packets, self.since_s = 1.0, None

    def _set_out(self, now_s: float, largest: float) -> None:
        self.largest, self.reno, self.since_s = largest, self.packets, now_s
        self.inflection_s = ((largest - self.packets) / self.scale) ** (1 / 3)


class Dctcp(Reno):
    """Shrinks by half the smoothed share of marked packets, once a window (Alizadeh et al. 2010, SIGCOMM)."""

    gain = 1 / 16

    def __init__(self, packets: float) -> None:
        super().__init__(packets)
        self.share = 1.0
        self._heard = self._marked = 0
        self._window_end = packets

    def acknowledged(self, now_s: float, *, marked: bool) -> None:
        """Grow as Reno does; at the end of a window with marks, shrink."""
        self._heard += 1
        self._marked += marked
        if not marked:
            super().acknowledged(now_s, marked=marked)
        if self._heard >= self._window_end:
            self.share += self.gain * (self._marked / self._heard - self.share)
            if self._marked:
                self.packets = max(self.packets * (1 - self.share / 2), 1.0)
                self.threshold = self.packets
            self._heard = self._marked = 0
            self._window_end = self.packets


WINDOWS: dict[str, type[Window]] = {"fixed": Fixed, "reno": Reno, "cubic": Cubic, "dctcp": Dctcp}
