"""The packet fidelity: MTU packets, store and forward, finite queues, drops and marks, window-based congestion control.

For tens of nodes, and to say when the flow fidelity can be trusted: with the defaults (fair queues, room for every
packet, a fixed window) it becomes the flow model as the MTU shrinks; with `queue: fifo`, a finite `buffer` and a real
congestion control it shows what a fluid cannot: slow start, incast collapse, what marking does about it.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import simpy
from annotated_types import Ge

from netsim.errors import InputError
from netsim.network.base import Execution, Fidelity, Network, fidelities
from netsim.network.congestion import WINDOWS
from netsim.network.links import Links
from netsim.network.port import Port
from netsim.network.progress import Progress, Started
from netsim.network.sender import Sender
from netsim.network.timer import Timer
from netsim.units import Bytes, Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from netsim.network.base import Done, LinkState, Round, Transfers
    from netsim.network.transport import Transport
    from netsim.topology.graph import Topology


@fidelities.register("packet", paper="RFC 5681, RFC 9438; Alizadeh et al. 2010, SIGCOMM (DCTCP)")
@dataclass(frozen=True, kw_only=True)
class PacketFidelity(Fidelity):
    """Packets through finite queues with congestion control: validation, incast, small cases.

    `mtu` is a packet's payload. `queue`: transfers take turns at a link (`fair`), or packets leave as they came
    (`fifo`). `buffer` is each switch port's room (a host's own port always has room); beyond `mark` of queue, a packet
    is marked. `congestion`: `fixed` keeps `window` bytes under way, the others begin with `initial_window` packets (10:
    RFC 6928).
    `timeout` is the least retransmission timeout, 200 ms in Linux. Without a buffer or a mark there is no limit.
    Links that change do so for the packets that are still to leave. Behind one that is down packets wait; under a
    congestion control that times out they are dropped instead, and sent again.
    Of the transport, `cap` paces what hosts send to each other, and each transfer, as a connection of its own, has no
    more under way than the receiver's `sockets` take by their `window`; `slice` and its kind have no effect here.
    """

    changes = True
    shares = True
    delays = "congestion control"

    mtu: Annotated[Bytes, Ge(1)] = 1500.0
    queue: Literal["fair", "fifo"] = "fair"
    buffer: Bytes | None = None
    mark: Bytes | None = None
    congestion: Literal["fixed", "reno", "cubic", "dctcp"] = "fixed"
    window: Bytes = 2.0**20
    initial_window: Annotated[int, Ge(1)] = 10
    timeout: Seconds = 0.2

    def __post_init__(self) -> None:
        """Raise InputError where a loss could never be heard of, or a mark would go unheard."""
        if self.congestion == "fixed" and self.buffer is not None:
            raise InputError("a fixed window fills any buffer", "choose congestion: reno, cubic or dctcp", "buffer")
        if self.mark is not None and self.congestion != "dctcp":
            raise InputError(f"congestion {self.congestion!r} does not heed marks", "choose congestion: dctcp", "mark")
        if self.window != 2.0**20 and self.congestion != "fixed":
            raise InputError("only a fixed window has a size", "remove it, or choose congestion: fixed", "window")
        if self.congestion == "fixed" and (self.initial_window != 10 or self.timeout != 0.2):
            raise InputError(
                "a fixed window neither grows nor times out",
                "remove initial_window and timeout, or choose congestion: reno",
                "congestion",
            )

    def deaf(self, transport: Transport) -> InputError | None:
        """Return why lost packets would never be sent again, or None where they would."""
        if self.congestion != "fixed":
            return None
        return InputError("a fixed window sends nothing again that is lost", "choose congestion: reno, cubic or dctcp")

    def build(self, env: simpy.Environment, topology: Topology, transport: Transport) -> PacketNetwork:
        """Return a packet network in `env`."""
        return PacketNetwork(env, topology, transport, self)

    def transfer_times(self, topology: Topology, transport: Transport, transfers: Transfers) -> NDArray[np.float64]:
        """Return the [F] seconds at which the last byte of each transfer arrives."""
        env = simpy.Environment(initial_time=0.0)
        network = self.build(env, topology, transport)
        finish_s = np.zeros(len(transfers.src))

        def note(place: int) -> Callable[[], None]:
            return lambda: finish_s.__setitem__(place, network.now_s)

        for place, (src, dst, nbytes, start_s) in enumerate(zip(*transfers, strict=True)):
            begin_s = float(start_s) + network.links.overhead_s
            network.send(int(src), int(dst), float(nbytes), begin_s, note(place))
        env.run()
        return finish_s


class _Plan(Execution):
    def __init__(self, network: PacketNetwork, rounds: Sequence[Round], nodes: NDArray[np.int64], done: Done) -> None:
        self.network, self.rounds, self.nodes, self.done = network, rounds, nodes, done
        self.progress = Progress(rounds, nodes)
        self.senders: dict[tuple[int, int], Sender] = {}

    def join(self, nodes: NDArray[np.int64]) -> None:
        """Let `nodes` begin the plan now."""
        self._go_on(*self.progress.join(self.progress.place[nodes]))

    def abandon(self) -> None:
        """End the plan here; packets that are on their way still use links, and nobody hears of them."""
        for sender in self.senders.values():
            sender.stop()
        self.senders.clear()

    def _go_on(self, started: list[Started], over: NDArray[np.int64]) -> None:
        for number, transfers in started:
            one = self.rounds[number]
            hold_s = np.broadcast_to(one.hold_s, len(one.src))
            for place in transfers.tolist():
                begin_s = self.network.now_s + float(hold_s[place]) + self.network.links.overhead_s
                ends = int(one.src[place]), int(one.dst[place])
                arrived = partial(self._arrived, number, place)
                self.senders[number, place] = self.network.send(*ends, float(one.nbytes[place]), begin_s, arrived)
        if len(over):
            self.done(self.nodes[over])

    def _arrived(self, number: int, place: int) -> None:
        if self.senders.pop((number, place), None) is not None:
            self._go_on(*self.progress.complete(np.array([number]), np.array([place])))


class PacketNetwork(Network):
    """Executes plans packet by packet. Its own heap holds the packets' events; SimPy sees the next one only."""

    def __init__(
        self, env: simpy.Environment, topology: Topology, transport: Transport, config: PacketFidelity
    ) -> None:
        self.links = Links(topology, transport)
        self.config = config
        self._times_out = config.congestion != "fixed"
        switches = np.ones(len(topology.names), dtype=bool)
        switches[topology.workers] = switches[topology.servers] = False
        capacity = self.links.capacity[: len(topology.latency_s)].tolist()
        ends = zip(capacity, topology.latency_s.tolist(), switches[topology.link_src].tolist(), strict=True)
        self.ports = [self._port(*one, seed=number) for number, one in enumerate(ends)]
        self._env = env
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._counted = 0
        self._senders = 0
        self._event_s = -np.inf
        self._timer = Timer(env, self._run)
        self._routes: dict[tuple[int, int], tuple[list[Port], float]] = {}

    def _port(self, bytes_per_s: float, latency_s: float = 0.0, of_switch: bool = False, seed: int = 0) -> Port:
        """Return a port; only a switch's has a limit."""
        buffer, mark = (self.config.buffer, self.config.mark) if of_switch else (None, None)
        return Port(
            bytes_per_s,
            latency_s,
            fair=self.config.queue == "fair",
            buffer_bytes=np.inf if buffer is None else buffer,
            mark_bytes=np.inf if mark is None else mark,
            holds=not self._times_out,
            seed=seed,
        )

    @property
    def now_s(self) -> float:
        """Return the time of the packet event under way, or SimPy's where there is none."""
        return max(float(self._env.now), self._event_s)

    def begin(
        self, rounds: Sequence[Round], nodes: NDArray[np.int64], done: Done, *, collective: bool = True
    ) -> Execution:
        """Return the execution of a plan; see Network.begin."""
        self.links.account(rounds)
        return _Plan(self, rounds, nodes, done)

    def carried_bytes(self) -> NDArray[np.float64]:
        """Return [L] the bytes that each link has carried until now, what was sent again included."""
        return np.array([port.sent_bytes for port in self.ports])

    def expect_changes(self) -> None:
        """Get ready for links that change."""
        self.links.expect_changes()

    def change(self, links: NDArray[np.int64], state: LinkState) -> None:
        """Change links from now on; see Network.change. What is due at this instant happens first."""
        self._run()
        self.links.change(links, state, float(self._env.now))
        for link, *one in zip(links.tolist(), *(part.tolist() for part in state), strict=True):
            self.ports[link].change(*one, self._schedule)

    def send(self, src: int, dst: int, nbytes: float, begin_s: float, finished: Callable[[], None]) -> Sender:
        """Start a transfer at `begin_s`; `finished` is called when its last byte has arrived."""
        mtu, self._senders = self.config.mtu, self._senders + 1
        (forth, takes_bytes), (back, _) = self._route(src, dst), self._route(dst, src)
        packets, most = self.config.initial_window if self._times_out else self.config.window / mtu, takes_bytes / mtu
        window = WINDOWS[self.config.congestion](max(min(packets, most), 1.0))  # type: ignore[call-arg]
        window.most_packets = max(most, 1.0)
        clock = (lambda: self.now_s), self._schedule
        timeout_s = self.config.timeout if self._times_out else np.inf
        sender = Sender(self._senders, (forth, back), nbytes, mtu, window, timeout_s, clock, finished)
        self._schedule(begin_s - self.now_s, sender.start)
        return sender

    def _route(self, src: int, dst: int) -> tuple[list[Port], float]:
        """Return the ports on the way, in order, and the bytes that the receiver takes in a round trip.

        Where the transport is spoken and has a cap, a port that is no link's paces what goes this way.
        """
        if (src, dst) not in self._routes:
            topology, transport = self.links.topology, self.links.transport
            _, links = topology.routes(np.array([src]), np.array([dst]))
            after = {int(topology.link_src[link]): int(link) for link in links}
            here, ports, takes_bytes = src, [], np.inf
            if not topology.local[links].all():
                takes_bytes = float(self.links.window_bytes[dst]) * transport.sockets
                if transport.cap is not None:
                    ports.append(self._port(transport.cap * transport.sockets))
            while here != dst:
                ports.append(self.ports[after[here]])
                here = int(topology.link_dst[after[here]])
            self._routes[src, dst] = ports, takes_bytes
        return self._routes[src, dst]

    def _schedule(self, delay_s: float, action: Callable[[], None]) -> None:
        if delay_s == np.inf:
            return
        self._counted += 1
        heapq.heappush(self._events, (self.now_s + delay_s, self._counted, action))
        self._timer.set(self._events[0][0])

    def _run(self) -> None:
        """Do the events of this instant."""
        due_s = self._env.now * (1 + 1e-15)
        while self._events and self._events[0][0] <= due_s:
            self._event_s, _, action = heapq.heappop(self._events)
            action()
        self._timer.set(self._events[0][0] if self._events else np.inf)
