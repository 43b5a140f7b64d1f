"""What a condition is: something that befalls the network or the workers while a job runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from netsim.conditions.devices import Devices
from netsim.conditions.links import LinkStates
from netsim.errors import InputError, closest
from netsim.network.base import Round
from netsim.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import simpy
    from numpy.typing import NDArray

    from netsim.network.base import Network
    from netsim.topology.graph import Topology


class Condition(ABC):
    """A registered condition: its fields are its YAML keys; `begin` starts the processes that bring it about."""

    kind: ClassVar[str]
    paper: ClassVar[str]
    changes_links: ClassVar[bool] = True
    """Whether it changes links, which not every network knows."""
    touches_workers: ClassVar[bool] = False
    """Whether a job feels it even where the network takes no time."""
    delays: ClassVar[str] = ""
    """What exchanges lose time to, beyond what links are like when they are up, by a name for users."""

    @abstractmethod
    def check(self, topology: Topology) -> None:
        """Raise InputError where it names nodes or links that the topology has not."""

    @abstractmethod
    def begin(self, cluster: Cluster, number: int) -> None:
        """Start the processes; `number` is the condition's place in the scenario."""


conditions: Registry[Condition] = Registry("condition")


class Cluster:
    """What conditions act upon: a network that runs, and the nodes of a job on it, workers and servers of its own.

    `rests_until_s` is until when the job waits on purpose: it saves or loads a checkpoint.
    """

    def __init__(
        self,
        env: simpy.Environment,
        network: Network,
        workers: NDArray[np.int64],
        seed: int,
        servers: NDArray[np.int64] | None = None,
    ) -> None:
        self.env = env
        self.network = network
        self.workers = workers
        self.nodes = workers if servers is None else np.concatenate([workers, servers])
        self.topology: Topology = network.links.topology
        self.devices = Devices(len(workers))
        self.states = LinkStates(network)
        self.crashed = env.event()
        self.listeners: list[Callable[[int, float], None]] = []
        self.rests_until_s = self._back_s = 0.0
        self._seed = seed

    def begin(self, chosen: Sequence[Condition]) -> None:
        """Start conditions."""
        if any(one.changes_links for one in chosen):
            self.network.expect_changes()
        for number, one in enumerate(chosen):
            one.begin(self, number)

    def is_whole(self) -> bool:
        """Return whether no worker is down and no link has failed."""
        now_s = float(self.env.now)
        return self.devices.up_s(now_s) == now_s and bool(self.network.links.share.all())

    def send(self, src: int, dst: int, nbytes: float) -> None:
        """Send a message of nobody's job from one node to another."""
        one = Round(np.array([src]), np.array([dst]), np.array([nbytes]))
        self.all_of([one], np.array([src, dst]))

    def all_of(self, rounds: Sequence[Round], nodes: NDArray[np.int64]) -> simpy.Event:
        """Run a plan of nobody's job that all its nodes join now; return the event of the last one's finish."""
        finished, left = self.env.event(), set(nodes.tolist())

        def done(some: NDArray[np.int64]) -> None:
            left.difference_update(some.tolist())
            if not left:
                finished.succeed()

        self.network.begin(rounds, nodes, done).join(nodes)
        return finished

    def rng(self, *key: int) -> np.random.Generator:
        """Return a generator of random numbers of a condition's own, by its number and more."""
        return np.random.default_rng((self._seed, 0xC0, *key))

    def up_s(self) -> float:
        """Return the second at which all nodes of the job that are down now will be up, or now."""
        return max(self.devices.up_s(self.env.now), self._back_s)

    def rest(self, seconds: float) -> None:
        """Say that the job waits on purpose for so many seconds from now on."""
        self.rests_until_s = max(self.rests_until_s, float(self.env.now) + seconds)

    def crash(self, node: int, until_s: float) -> None:
        """Say that a node of the job has failed, and when it will be back: what it held is lost."""
        self._back_s = max(self._back_s, until_s)
        event, self.crashed = self.crashed, self.env.event()
        event.succeed()
        for listener in self.listeners:
            listener(node, until_s)


def nodes_named(topology: Topology, patterns: Sequence[str]) -> NDArray[np.int64]:
    """Return the nodes whose names match a pattern such as `worker3` or `worker*`, in their order.

    Raises:
        InputError: no pattern, or one that matches none.
    """
    return _joined([_named(one, topology.names, "node") for one in patterns], "node")


def links_named(topology: Topology, patterns: Sequence[str]) -> NDArray[np.int64]:
    """Return the links that match a pattern: `a->b` for one direction, `a` for all from and to nodes so called.

    Raises:
        InputError: no pattern, or one that matches none.
    """
    found = [
        _named(one, topology.link_names, "link") if "->" in one else links_of(topology, nodes_named(topology, [one]))
        for one in patterns
    ]
    return _joined(found, "link")


def links_of(topology: Topology, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the links from and to nodes, in order."""
    return np.flatnonzero(np.isin(topology.link_src, nodes) | np.isin(topology.link_dst, nodes))


def _named(pattern: str, names: Sequence[str], what: str) -> NDArray[np.int64]:
    """Return the places of names that match; what is a name itself is no pattern, whatever its characters mean."""
    exact = [place for place, name in enumerate(names) if name == pattern]
    places = exact or [place for place, name in enumerate(names) if fnmatchcase(name, pattern)]
    if not places:
        raise InputError(f"no {what} is called {pattern!r}", closest(pattern, names[:50]))
    return np.array(places, dtype=np.int64)


def _joined(found: Sequence[NDArray[np.int64]], what: str) -> NDArray[np.int64]:
    if not found:
        raise InputError(f"it names no {what}, so that nothing befalls any", "name one, or remove the condition")
    return np.unique(np.concatenate(found))
