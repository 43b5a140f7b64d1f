"""What a worker asks of the network between itself and all others: carry this piece, and tell me when it is there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.engine.coding import Exchange
    from netsim.sync.base import Piece


class Item(NamedTuple):
    """One worker's piece under way: which step, bucket, collective of the bucket and piece, and what it is to do then.

    `order` says whom it may overtake; `pulled` is called once the answer is there, with the staleness of what was sent
    and, where pieces take turns, with the second at which this one's began.
    """

    key: tuple[int, int, int]
    step: int
    worker: int
    piece: Piece
    exchange: Exchange
    order: float
    pulled: Callable[..., None]


class Ways(ABC):
    """The ways of a job's pieces.

    Attributes:
        call_s: seconds from a worker's call until the pieces of a bucket are on their way.
        closed: whether they carry nothing any more.
    """

    call_s: float = 0.0
    closed: bool = False

    @abstractmethod
    def exchange(self, item: Item) -> None:
        """Carry one piece of one worker."""

    def round_trip_s(self, worker: int, server: int) -> float:
        """Return the seconds of delay, without any bytes, from a worker to a server and back."""
        return 0.0

    def close(self) -> None:
        """Carry nothing from now on; what is under way ends here."""
        raise NotImplementedError

    @abstractmethod
    def told(self, worker: int, step: int) -> dict[str, float]:
        """Return what the row of a worker's step says of its messages."""

    @abstractmethod
    def moved(self) -> int:
        """Return how many messages have arrived."""
