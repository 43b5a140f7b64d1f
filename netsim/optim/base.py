"""What a distributed optimizer is: what is exchanged when, and what becomes of it. No clock here, no network.

An optimizer is a frozen dataclass without state; states are handed in and out. A synchronous one is a generator of
exchanges, like a compression scheme: it yields what the workers have to say, and is sent what all of them receive. An
asynchronous one says what a worker computes from what it pulled, and what the server makes of a push on arrival.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from netsim.errors import InputError
from netsim.registry import Registry, label

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from netsim.compress.base import Scheme

FLOAT_BYTES = 4
"""What a number takes on the wire: arithmetic is in float64, messages count as float32."""

State: TypeAlias = Any
Rows: TypeAlias = "Mapping[str, NDArray[np.float64]]"
"""What each worker of some keeps, one row [k, ...] a worker."""


@dataclass(frozen=True, eq=False)
class Exchange:
    """One exchange between all workers; whoever yields it is sent what all of them know afterwards.

    Attributes:
        evaluations: gradients of one sample that each worker evaluates before it sends.
        values: [W, m] what the workers have to say, of which all want the mean; None where nothing is sent.
        code: how the values are coded: `exact`, by the scheme of the `scenario`, or by the optimizer's own scheme.
        fused: whether the own scheme codes all values as one tensor; else each tensor of the model by itself.
        passes: forward and backward passes in which the gradients are evaluated.
        updates: optimizer steps that each worker does, its own ones included.
        overlaps: whether values are gradients of the last pass, sent while it goes on; else they follow it.
        buffers: name of the errors that a code keeps: values of different kinds must not share them.
    """

    evaluations: float
    values: NDArray[Any] | None
    code: Scheme | Literal["exact", "scenario"] = "exact"
    fused: bool = False
    passes: int = 1
    updates: int = 1
    overlaps: bool = False
    buffers: str = ""

    @cached_property
    def result(self) -> NDArray[Any]:
        """Return the exact mean [m]."""
        assert self.values is not None
        return np.asarray(self.values.mean(axis=0))

    @property
    def nbytes(self) -> float:
        """Return the bytes of a worker's values as float32."""
        return 0.0 if self.values is None else float(FLOAT_BYTES * self.values.shape[1])

    @classmethod
    def mean(cls, evaluations: float, values: NDArray[Any]) -> Exchange:
        """Return the exact mean of values [W, m], as a sum of floats carries it."""
        return cls(evaluations, values)

    @classmethod
    def gradients(cls, evaluations: float, values: NDArray[Any]) -> Exchange:
        """Return the mean of gradients [W, d], coded by the scenario's scheme while the backward pass goes on."""
        return cls(evaluations, values, "scenario", overlaps=True)


Turn: TypeAlias = "Generator[Exchange, NDArray[Any], State]"
"""One round of all workers: yields exchanges, is sent what everyone then knows, returns the new state."""


class Optimizer(ABC):
    """A registered optimizer: its fields are its YAML keys."""

    kind: ClassVar[str]
    paper: ClassVar[str]
    single: ClassVar[bool] = False
    """Whether it is defined for one worker alone."""
    linear: ClassVar[bool] = True
    """Whether it is defined for linear models alone, of which a gradient is one number a sample."""
    matrices: ClassVar[bool] = False
    """Whether it has something to do with tensors of two or more dimensions alone, which linear models lack."""
    coded: ClassVar[bool] = False
    """Whether what it exchanges goes through the scenario's scheme."""
    told: ClassVar[tuple[str, ...]] = ()
    """Parameters that its label tells even where they are defaults."""

    @property
    def label(self) -> str:
        """Return the name with the parameters that are not defaults."""
        return label(self, always=self.told)

    def check(self, workers: int) -> None:
        """Raise InputError where the optimizer cannot run on so many workers."""
        if self.single and workers != 1:
            raise InputError(
                f"optimizer {self.kind!r} runs on one worker, not on {workers}",
                "set `topology.workers: 1`, or choose its distributed form; see `netsim list optimizers`",
            )


class Synchronous(Optimizer):
    """All workers go through rounds together."""

    adjustable: ClassVar[bool] = False
    """Whether workers do `steps` steps by themselves in a round, of which `lasting` may change the number."""

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """Return the schemes of its own by which it codes what it exchanges."""
        return ()

    @property
    def dense(self) -> Synchronous:
        """Return the optimizer that it is an approximation of, which exchanges everything exactly at every step."""
        return self

    def lasting(self, state: State, steps: int) -> State:
        """Return the state whose next round has so many local steps; only of those that are `adjustable`."""
        raise NotImplementedError

    def accumulating(self, passes: int) -> Synchronous:
        """Return the optimizer whose batches are `passes` times as large.

        Raises:
            InputError: it has no batch.
        """
        batch = getattr(self, "batch", None)
        if passes == 1:
            return self
        if batch is None:
            raise InputError(f"optimizer {self.kind!r} has no batch", "remove it", "job.grad_accumulation")
        return replace(self, batch=passes * batch)  # type: ignore[type-var]

    @abstractmethod
    def init(self, problem: Any, seed: int) -> State:
        """Return the state before the first round; `problem` is an Objective, or a Problem where `linear` says so."""

    @abstractmethod
    def turn(self, problem: Any, state: State) -> Turn:
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
    def serve(self, problem: Any) -> State:
        """Return the server's state before the first push."""

    @abstractmethod
    def begin(self, problem: Any) -> Rows:
        """Return what all W workers keep before their first computation."""

    @abstractmethod
    def pull(self, server: State) -> NDArray[np.float64]:
        """Return [m] what a worker pulls now."""

    @abstractmethod
    def evaluations(self, problem: Any, server: State) -> float:
        """Return the gradients of one sample that a worker evaluates for what it pulls now."""

    @abstractmethod
    def compute(self, problem: Any, task: Task) -> tuple[NDArray[np.float64], Rows]:
        """Return [k, p] what the workers push, and what they keep."""

    @abstractmethod
    def apply(self, problem: Any, server: State, worker: int, push: NDArray[np.float64]) -> State:
        """Return the server's state after a push [p] of a worker."""

    @abstractmethod
    def model(self, server: State) -> NDArray[np.float64]:
        """Return the server's model [d]."""

    @abstractmethod
    def floats(self, problem: Any, server: State) -> tuple[int, int]:
        """Return the numbers of a push, and of a pull that is answered now."""

    def waits(self, server: State, worker: int) -> bool:
        """Return whether a worker's pull is not answered yet; asked again after every push."""
        return False


optimizers: Registry[Optimizer] = Registry("optimizer")


def generator(seed: int, worker: int, turn: int) -> np.random.Generator:
    """Return the generator of one worker's turn: the same whatever the order of events."""
    return np.random.default_rng((seed, 7, int(worker), int(turn)))
