"""What a distributed optimizer is: what is exchanged when, and what becomes of it. No clock here, no network.

An optimizer is a frozen dataclass without state; states are handed in and out. A synchronous one is a generator of
exchanges, like a compression scheme: it yields what the workers have to say, and is sent what all of them receive. An
asynchronous one says what a worker computes from what it pulled, and what the server makes of a push on arrival.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from netsim.errors import InputError
from netsim.registry import Registry, label

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from netsim.workload.live import Problem

FLOAT_BYTES = 4
"""What a number takes on the wire: arithmetic is in float64, messages count as float32."""

State: TypeAlias = Any
Rows: TypeAlias = "Mapping[str, NDArray[np.float64]]"
"""What each worker of some keeps, one row [k, ...] a worker."""


@dataclass(frozen=True, eq=False)
class Exchange:
    """One exchange between all workers, after which all know `result`.

    Attributes:
        evaluations: gradients of one sample that each worker evaluates before it sends.
        result: [m] what everyone knows afterwards: a mean over workers, or what was made of their codes.
        up_bytes: bytes of a worker's message.
        down_bytes: bytes of what an owner or server hands out.
        op: how it travels: a `sum`, or codes that `owner`s of shards decode and add.
    """

    evaluations: float
    result: NDArray[np.float64]
    up_bytes: float
    down_bytes: float
    op: Literal["sum", "owner"] = "sum"

    @classmethod
    def mean(cls, evaluations: float, values: NDArray[np.float64]) -> Exchange:
        """Return the exact mean of values [W, m], as a sum of floats carries it."""
        nbytes = float(FLOAT_BYTES * values.shape[1])
        return cls(evaluations, values.mean(axis=0), nbytes, nbytes)


Turn: TypeAlias = "Generator[Exchange, None, State]"
"""One round of all workers: yields exchanges, resumes when everyone has the result, returns the new state."""


class Optimizer(ABC):
    """A registered optimizer: its fields are its YAML keys."""

    kind: ClassVar[str]
    paper: ClassVar[str]
    single: ClassVar[bool] = False
    """Whether it is defined for one worker alone."""

    @property
    def label(self) -> str:
        """Return the name with the parameters that are not defaults."""
        return label(self)

    def check(self, workers: int) -> None:
        """Raise InputError where the optimizer cannot run on so many workers."""
        if self.single and workers != 1:
            raise InputError(
                f"optimizer {self.kind!r} runs on one worker, not on {workers}",
                "set `topology.workers: 1`, or choose its distributed form; see `netsim list optimizers`",
            )


class Synchronous(Optimizer):
    """All workers go through rounds together."""

    @property
    def ops(self) -> frozenset[Literal["sum", "owner"]]:
        """Return how its messages travel."""
        return frozenset({"sum"})

    @abstractmethod
    def init(self, problem: Problem, seed: int) -> State:
        """Return the state before the first round."""

    @abstractmethod
    def turn(self, problem: Problem, state: State) -> Turn:
        """Run one round."""

    @abstractmethod
    def model(self, state: State) -> NDArray[np.float64]:
        """Return the model [d] that all workers have in common."""


@dataclass(frozen=True, eq=False)
class Task:
    """What some workers are to compute, each from what it pulled.

    Attributes:
        workers: [k] which ones.
        turns: [k] how often each has computed before.
        pulled: [k, m] what each has pulled.
        rows: what each keeps.
        seed: the seed of the run.
    """

    workers: NDArray[np.int64]
    turns: NDArray[np.int64]
    pulled: NDArray[np.float64]
    rows: Rows
    seed: int

    def draws(self) -> list[np.random.Generator]:
        """Return a generator for each worker, which depends on the worker and its turn alone."""
        return [generator(self.seed, worker, turn) for worker, turn in zip(self.workers, self.turns, strict=True)]


class Asynchronous(Optimizer):
    """Workers compute, push and pull by themselves; a server answers in the order of arrival."""

    @abstractmethod
    def serve(self, problem: Problem) -> State:
        """Return the server's state before the first push."""

    @abstractmethod
    def begin(self, problem: Problem) -> Rows:
        """Return what all W workers keep before their first computation."""

    @abstractmethod
    def pull(self, server: State) -> NDArray[np.float64]:
        """Return [m] what a worker pulls now."""

    @abstractmethod
    def evaluations(self, problem: Problem, server: State) -> float:
        """Return the gradients of one sample that a worker evaluates for what it pulls now."""

    @abstractmethod
    def compute(self, problem: Problem, task: Task) -> tuple[NDArray[np.float64], Rows]:
        """Return [k, p] what the workers push, and what they keep."""

    @abstractmethod
    def apply(self, problem: Problem, server: State, worker: int, push: NDArray[np.float64]) -> State:
        """Return the server's state after a push [p] of a worker."""

    @abstractmethod
    def model(self, server: State) -> NDArray[np.float64]:
        """Return the server's model [d]."""

    @abstractmethod
    def floats(self, problem: Problem, server: State) -> tuple[int, int]:
        """Return the numbers of a push, and of a pull that is answered now."""

    def waits(self, server: State, worker: int) -> bool:
        """Return whether a worker's pull is not answered yet; asked again after every push."""
        return False


optimizers: Registry[Optimizer] = Registry("optimizer")


def generator(seed: int, worker: int, turn: int) -> np.random.Generator:
    """Return the generator of one worker's turn: the same whatever the order of events."""
    return np.random.default_rng((seed, 7, int(worker), int(turn)))
