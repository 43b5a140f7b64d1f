"""What a log of measured transfers says, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass

from netsim.errors import InputError, closest
from netsim.sync.named import COLLECTIVES

POINT_TO_POINT = "point_to_point"
OPERATIONS = (POINT_TO_POINT, *COLLECTIVES)
"""What can be calibrated on: one message between two hosts, and the collectives of nccl-tests."""


@dataclass(frozen=True)
class Sample:
    """One measured time.

    Attributes:
        operation: one of OPERATIONS.
        workers: the ranks that take part.
        size_bytes: bytes of the message, or what nccl-tests call the size of a collective.
        time_s: seconds it took.
        flows: connections that carried it together, where the log tells; else the transport's own number of sockets.
    """

    operation: str
    workers: int
    size_bytes: float
    time_s: float
    flows: int | None = None


@dataclass(frozen=True)
class Hints:
    """What the user says of a log that does not say it itself."""

    operation: str | None = None
    workers: int | None = None
    column: str | None = None


def known_operation(name: str) -> str:
    """Return `name` if it is one of OPERATIONS; raise InputError naming the nearest ones."""
    if name not in OPERATIONS:
        raise InputError(f"unknown operation {name!r}", closest(name, OPERATIONS))
    return name


def known_workers(operation: str, workers: int | None) -> int:
    """Return the number of ranks: two of a message; raise InputError where a collective's is not known."""
    if operation == POINT_TO_POINT:
        return 2
    if workers is None or workers < 2:
        raise InputError(f"the log does not say how many ranks did the {operation}", "give two or more: --workers 8")
    return workers
