"""Transports turn line rate into achieved rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from netsim.registry import Registry
from netsim.units import Bandwidth, Bytes, Seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

ETHERNET = (1500 - 52) / (1500 + 38)
"""Payload share of full 1,500-byte frames: 20 bytes of IP and 32 of TCP with timestamps (RFC 793, RFC 7323) inside,
18 of header and checksum, 8 of preamble and 12 of gap outside (IEEE 802.3)."""
JUMBO = (9000 - 52) / (9000 + 38)
"""The same of 9,000-byte frames, which clouds and training clusters run (Amazon EC2 user guide: MTU 9,001)."""
LINUX_WINDOW = 3 * 2**20
"""Half of Linux' limit of a receive buffer, 6 MiB from 2012 to 2025; the other half is for headers (tcp_rmem[2] and
tcp_adv_win_scale in kernel commit b49960a05e32). Since 2023 (commit dfa2f0483360) the share follows the packets, since
2025 the limit is 32 MiB (net/ipv4/tcp.c): on newer kernels measure the window, or set it to 16 MiB."""
INITIAL_SEGMENTS = 10
"""Segments that a TCP connection sends before the first acknowledgement (RFC 6928)."""
LEAST_TIMEOUT_S = 0.2
"""What Linux adds to the round-trip time, at least, before it sends again (TCP_RTO_MIN; tcp_input.c)."""
ACKNOWLEDGED = 2
"""Segments that one acknowledgement answers (RFC 5681, 4.2)."""


class Transport:
    """What a protocol makes of a link. What a member does not declare as a field has no effect on it.

    Attributes:
        efficiency: the share of the line rate that carries payload.
        overhead: seconds of work for a message.
        call_overhead: seconds that a worker takes to start a collective.
        cap, window, sockets: a pair of hosts moves at most sockets x min(cap, window / round-trip time) bytes/s.
        initial_window: bytes an idle connection sends in its first round trip; they double in each further one. It
            counts for independent transfers; the connections of a job are taken as warm.
        segment: payload bytes of a packet, for those that slow down where packets are lost.
        slice: bytes of the largest piece in which a pipelined algorithm passes a chunk on, or None for whole chunks.
        slices_in_flight: pieces that may be on their way before the receiver has made room for the next.
        announced: a piece leaves only after its receiver's message that it waits for it, which queues with data.
    """

    kind: ClassVar[str]
    paper: ClassVar[str]
    efficiency: float = 1.0
    overhead: float = 0.0
    call_overhead: float = 0.0
    cap: float | None = None
    window: float | None = None
    sockets: int = 1
    initial_window: ClassVar[float | None] = None
    segment: ClassVar[float | None] = None
    slice: float | None = None
    slices_in_flight: int = 1
    announced: ClassVar[bool] = False

    def lossy_rate(self, round_trip_s: NDArray[np.float64], loss: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the bytes/s [F] of one socket where packets are lost; no limit for one that does not heed loss."""
        return np.full(len(round_trip_s), np.inf)


transports: Registry[Transport] = Registry("transport")


@transports.register("ideal")
@dataclass(frozen=True, kw_only=True)
class Ideal(Transport):
    """The line rate itself: efficiency 1, no overhead."""


@dataclass(frozen=True, kw_only=True)
class OverTcp(Transport):
    """What all transports over TCP have in common."""

    efficiency: Annotated[float, Gt(0), Le(1)] = JUMBO
    overhead: Seconds = 25e-6
    cap: Bandwidth | None = None
    window: Annotated[Bytes, Gt(0)] | None = LINUX_WINDOW
    sockets: Annotated[int, Ge(1)] = 1
    congestion: Literal["cubic", "reno"] = "cubic"
    initial_window: ClassVar[float | None] = INITIAL_SEGMENTS * 8948.0
    segment: ClassVar[float | None] = 8948.0

    def lossy_rate(self, round_trip_s: NDArray[np.float64], loss: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the bytes/s [F] that one connection reaches where packets are lost at random.

        Reno by Padhye et al. 1998 (SIGCOMM, eq. 30) with an acknowledgement for every second segment: at small loss
        this is Mathis et al. 1997 (0.87 segments / (round trip x sqrt(loss))), at large loss timeouts prevail. CUBIC
        keeps 1.054 (round trip / loss)^(3/4) segments under way (RFC 9438, 5.2) where that is more than Reno's.
        """
        assert self.segment is not None
        timeout_s = round_trip_s + LEAST_TIMEOUT_S
        with np.errstate(divide="ignore"):
            waits = np.minimum(1.0, 3 * np.sqrt(3 * ACKNOWLEDGED * loss / 8)) * loss * (1 + 32 * loss**2)
            rate = 1 / (round_trip_s * np.sqrt(2 * ACKNOWLEDGED * loss / 3) + timeout_s * waits)
            if self.congestion == "cubic":
                rate = np.maximum(rate, 1.054 / (round_trip_s * loss**3) ** 0.25)
        return np.asarray(self.segment * rate)


@transports.register("tcp", paper="RFC 793, RFC 6928, RFC 7323, IEEE 802.3")
@dataclass(frozen=True, kw_only=True)
class Tcp(OverTcp):
    """TCP over Ethernet: 1,448 payload bytes in 1,538 on the wire, and the host's work for every message.

    The efficiency is that of full segments of a 1,500-byte MTU with timestamps. The overhead of 25 us a message is an
    assumption between a loopback send and a loaded host that no source confirms: `netsim probe` measures yours. The
    window is half of Linux' receive buffer of 6 MiB: a pair of hosts moves at most `sockets` x min(`cap`, `window` /
    round-trip time). Connections are warm: there is no slow start.
    """

    efficiency: Annotated[float, Gt(0), Le(1)] = ETHERNET
    initial_window: ClassVar[float | None] = None
    segment: ClassVar[float | None] = 1448.0


@transports.register("rdma", paper="InfiniBand Architecture Specification 1.3")
@dataclass(frozen=True, kw_only=True)
class Rdma(Transport):
    """RDMA verbs: 4,096 payload bytes in 4,122 on the wire, 2 us a message, no window.

    A packet of the largest InfiniBand MTU carries 8 bytes of local and 12 of transport header and 6 of checksums. The
    2 us of a one-sided write through both hosts and their cards are an order of magnitude that is commonly reported;
    no text that we could read states them. `netsim calibrate` fits yours.
    """

    efficiency: Annotated[float, Gt(0), Le(1)] = 4096 / 4122
    overhead: Seconds = 2e-6
    call_overhead: Seconds = 0.0


@transports.register(
    "nccl", paper="github.com/NVIDIA/nccl: src/graph/tuning.cc, connect.cc; src/transport/net_socket.cc"
)
@dataclass(frozen=True, kw_only=True)
class Nccl(OverTcp):
    """NCCL over sockets: 16 sockets a pair, chunks passed on in slices of 1 MiB, 8 of them in flight.

    The 8.4 us of a call and 14 us of a message between machines are NCCL's own figures of its ring with the Simple
    protocol (baseLatencies, hwLatencies in tuning.cc). A channel's buffer of 4 MiB (DEFAULT_BUFFSIZE in init.cc) has 8
    steps, a slice of an all-reduce is two of them (collectives.h), and of one network card two channels come, the one
    that is found and its double (connect.cc): 8 slices of 1 MiB. 16 sockets a pair are its choice on Amazon EC2 (2
    threads of 8 in net_socket.cc), 4 on Google's cloud and 1 elsewhere, unless NCCL_NSOCKS_PERTHREAD and
    NCCL_SOCKET_NTHREADS say more. The efficiency is that of 9,000-byte frames.
    """

    overhead: Seconds = 14e-6
    call_overhead: Seconds = 8.4e-6
    sockets: Annotated[int, Ge(1)] = 16
    slice: Annotated[Bytes, Gt(0)] | None = 2.0**20
    slices_in_flight: Annotated[int, Ge(1)] = 8


@transports.register(
    "gloo", paper="github.com/facebookincubator/gloo: allreduce.h, allreduce.cc, transport/tcp/pair.cc"
)
@dataclass(frozen=True, kw_only=True)
class Gloo(OverTcp):
    """Gloo over TCP: one socket a pair; its ring passes chunks on in segments of 1 MiB, two of them in flight.

    At least two segments a chunk, none above kMaxSegmentSize (allreduce.h); two buffers take turns (`ring` in
    allreduce.cc). A segment leaves once its receiver has told that it waits for it (transport/tcp/pair.cc): a round
    trip each, and what queues in front of it. The overhead of 25 us a message is that of
    `tcp`, the efficiency that of 9,000-byte frames.
    """

    slice: Annotated[Bytes, Gt(0)] | None = 2.0**20
    slices_in_flight: Annotated[int, Ge(1)] = 2
    announced: ClassVar[bool] = True


@transports.register("mpi", paper="Thakur, Rabenseifner, Gropp 2005; github.com/open-mpi/ompi: btl_tcp_component.c")
@dataclass(frozen=True, kw_only=True)
class Mpi(OverTcp):
    """MPI over TCP: one socket a pair, whole messages, a library's work of 5 us a call on top of TCP's.

    Thakur, Rabenseifner and Gropp (2005) time whole messages by latency and bandwidth. 5 us for the entry to a
    collective is an assumption that no source confirms: measure yours. Open MPI opens one connection a link
    (btl_tcp_links = 1) and sets no buffers of its own since version 2 (btl_tcp_sndbuf = btl_tcp_rcvbuf = 0; 128 kiB
    before), so the window is the kernel's.
    """

    call_overhead: Seconds = 5e-6
