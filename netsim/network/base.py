"""The central types of the network: rounds of transfers, and networks that execute them.

The one rule of time: a node starts its transfers of round r when everything addressed to it in round r-1 of that plan
has arrived and its own transfers of round r-1 have left. There is no global barrier.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeAlias

import numpy as np

from netsim.errors import InputError
from netsim.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import simpy
    from numpy.typing import NDArray

    from netsim.network.links import Links
    from netsim.network.transport import Transport
    from netsim.topology.graph import Topology


Done: TypeAlias = "Callable[[NDArray[np.int64]], None]"
"""Called with the nodes that have finished, at the instant they finish."""


Seen: TypeAlias = "Callable[[float, NDArray[np.float64], NDArray[np.int64]], None]"
"""Called with a second, and from then on the bytes/s [L] that each link carries and the transfers [L] that hold it."""


@dataclass(frozen=True, eq=False)
class Round:
    """Transfers that belong together: source and destination nodes [F], bytes [F], seconds held before sending [F].

    `hold_s` is work that the source does first (a server's aggregation, say), after the rule of time lets it begin.
    `slices` says in how many pieces sources pass on what came in the round before, while they still sent: pieces hide
    latency behind the bytes. None leaves it to the transport; 1 waits for the whole.
    """

    src: NDArray[np.int64]
    dst: NDArray[np.int64]
    nbytes: NDArray[np.float64]
    hold_s: NDArray[np.float64] | float = 0.0
    slices: int | None = 1


class Transfers(NamedTuple):
    """Independent transfers: source and destination nodes [F], bytes [F], seconds [F] at which each is started."""

    src: NDArray[np.int64]
    dst: NDArray[np.int64]
    nbytes: NDArray[np.float64]
    start_s: NDArray[np.float64]


class LinkState(NamedTuple):
    """What links [K] are like for a time.

    `share` is the part of its own capacity that each has, 0 where it has failed; `loss` the probability with which it
    loses a packet.
    """

    share: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    loss: NDArray[np.float64]


def repeats(rounds: Sequence[Round]) -> list[tuple[Round, int]]:
    """Return the different rounds of a plan, each with how often it occurs: long plans repeat a few of them."""
    times = Counter(map(id, rounds))
    return [(one, times[number]) for number, one in {id(one): one for one in rounds}.items()]


class Execution(ABC):
    """A plan under way."""

    @abstractmethod
    def join(self, nodes: NDArray[np.int64]) -> None:
        """Let `nodes` begin the plan now. Every participant must join once."""

    @abstractmethod
    def abandon(self) -> None:
        """Let the plan end here: nobody finishes it, and what it had under way is gone."""


class Network(ABC):
    """Executes plans in simulated time."""

    links: Links
    """The links as the transport achieves them; `links.nbytes` [L] counts what each has been given to carry so far."""
    most_transfers: float = float("inf")
    """Transfers that a plan may have that are solved one by one; one with more is refused by an InputError."""

    @abstractmethod
    def begin(
        self, rounds: Sequence[Round], nodes: NDArray[np.int64], done: Done, *, collective: bool = True
    ) -> Execution:
        """Return the execution of a plan between `nodes`; `done(nodes)` is called at the instant they finish it.

        `collective` says that nobody can finish before everybody has joined, as in every all-reduce and all-gather.
        """

    def carried_bytes(self) -> NDArray[np.float64]:
        """Return [L] the bytes that each link has carried until now."""
        return self.links.nbytes.copy()

    def held_s(self) -> NDArray[np.float64]:
        """Return [L] the seconds that transfers have held each link, added up over transfers; NaN if not known."""
        return np.full(len(self.links.nbytes), np.nan)

    def watch(self, seen: Seen) -> None:
        """Tell at every instant what each link carries; called before the first plan. Raise InputError if unknown."""
        raise InputError("this network does not know what its links carry at an instant", "choose `network: flow`")

    def expect_changes(self) -> None:
        """Get ready for links that change; called before the first plan. Raise InputError where that cannot be."""
        raise InputError("this network knows no links that change", "choose `network: flow`", "network")

    def change(self, links: NDArray[np.int64], state: LinkState) -> None:
        """Put links [K] into a state from now on.

        What is under way goes on at its new rate; a latency counts for transfers that are still to start.
        """
        raise NotImplementedError


class Fidelity(ABC):
    """A registered network fidelity: its fields are its YAML keys."""

    kind: ClassVar[str]
    paper: ClassVar[str]
    changes: ClassVar[bool] = False
    """Whether its networks know links that change."""
    shares: ClassVar[bool] = False
    """Whether a plan feels what else is under way."""
    takes_time: ClassVar[bool] = True
    """Whether transfers take any time."""
    delays: ClassVar[str] = ""
    """What makes exchanges longer than links, caps and latencies do, by a name for users."""

    def deaf(self, transport: Transport) -> InputError | None:
        """Return why nobody would notice that packets are lost, or None where somebody does."""
        if transport.segment is not None:
            return None
        problem = f"transport {transport.kind!r} does not heed loss"
        return InputError(problem, "choose one over TCP: tcp, nccl, gloo or mpi")

    @abstractmethod
    def build(self, env: simpy.Environment, topology: Topology, transport: Transport) -> Network:
        """Return a network of this fidelity in `env`."""

    @abstractmethod
    def transfer_times(self, topology: Topology, transport: Transport, transfers: Transfers) -> NDArray[np.float64]:
        """Return the [F] seconds at which independent transfers finish."""


fidelities: Registry[Fidelity] = Registry("network")
