"""Transports turn line rate into achieved rate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from netsim.registry import Registry
from netsim.units import Seconds


class Transport:
    """What a protocol makes of a link: the share of the line rate that carries payload, and the cost of a message."""

    kind: ClassVar[str]
    paper: ClassVar[str]
    efficiency: float
    overhead: float


transports: Registry[Transport] = Registry("transport")


@transports.register("ideal")
@dataclass(frozen=True, kw_only=True)
class Ideal(Transport):
    """The line rate itself: efficiency 1, no overhead."""

    efficiency: float = field(default=1.0, init=False)
    overhead: float = field(default=0.0, init=False)


@transports.register("tcp", paper="RFC 793, RFC 7323, IEEE 802.3")
@dataclass(frozen=True, kw_only=True)
class Tcp(Transport):
    """TCP over Ethernet: 1,448 payload bytes in 1,538 on the wire, and the host's work for every message.

    The efficiency is that of full segments of a 1,500-byte MTU with timestamps: 1500 - 20 - 32 = 1,448 payload bytes;
    18 bytes of header and checksum, 8 of preamble and 12 of gap make 1,538 on the wire. The overhead of 25 us a
    message is a middle value between a loopback send (about 10 us) and a loaded host; measure yours.
    """

    efficiency: Annotated[float, Gt(0), Le(1)] = 1448 / 1538
    overhead: Seconds = 25e-6
