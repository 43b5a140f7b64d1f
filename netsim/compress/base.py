"""The central types of compression: a scheme yields what it puts on the wire and gets the aggregate back.

A scheme is a frozen dataclass without state; `init` makes a worker's state, `exchange` takes it and hands it back, so
a thousand virtual workers share one scheme object. Nothing here knows networks, topologies or clocks.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np

from netsim.compress import wire
from netsim.errors import NetsimError
from netsim.lazy import torch
from netsim.registry import Registry, Variant, label, variant

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Self

Op: TypeAlias = Literal["sum", "merge", "union", "gather", "owner", "shard"]
"""How a message travels: `sum` is added in flight; `merge` too, but in whole messages, by the nodes of a tree; `union`
by partners who exchange their sums, which grow as they hold more; `gather` reaches every worker as it is; `owner` goes
to the owners of its shards, who decode and average them; `shard` is an owner's re-encoded shard on its way to every
worker."""

State: TypeAlias = Any
Parts: TypeAlias = "tuple[torch.Tensor, ...]"
T = TypeVar("T")


class NonFiniteGradient(NetsimError):
    """A gradient that holds NaN or infinity: no scheme can compress it."""


def check_finite(grad: torch.Tensor, what: str) -> None:
    """Raise NonFiniteGradient, naming `what`, where a gradient holds NaN or infinity."""
    if math.isfinite(float(grad.sum())):  # NaN and infinity survive a sum; counting them is much slower
        return
    bad = grad.numel() - int(torch.isfinite(grad).sum())
    if bad:
        raise NonFiniteGradient(
            f"{what}: {bad} of {grad.numel()} values are NaN or infinite; "
            "leave that step out, or train with a lower learning rate or without overflowing half precision"
        )


@dataclass(frozen=True)
class Peer:
    """Who a state belongs to: a worker's rank among `workers`, the number of shard `owners`, and the shared seed.

    `stand_for` is the number of workers that these are a sample of, where they are one: sums have to hold as many.
    """

    rank: int
    workers: int
    owners: int
    seed: int
    stand_for: int = 0

    @property
    def addends(self) -> int:
        """Return how many messages add up in a sum."""
        return max(self.workers, self.stand_for)


@dataclass(frozen=True)
class Key:
    """All that randomness depends on; generators are made from it per call, so a state never mutates.

    `phase` is 0 when a worker encodes its gradient and 1 when an owner re-encodes an aggregate.
    """

    seed: int
    rank: int
    step: int = 0
    phase: int = 0

    def own_seed(self) -> np.uint64:
        """Return this worker's seed of this step, which is not 0."""
        mixed = np.random.SeedSequence((self.seed % 2**64, self.step, self.phase, 1 + self.rank))
        return np.uint64(int(mixed.generate_state(1, np.uint64)[0] >> 1) or 1)

    def own(self, device: torch.device) -> torch.Generator:
        """Return this worker's generator for this step; the numbers it gives depend on the kind of device."""
        return torch.Generator(device).manual_seed(int(self.own_seed()))

    def shared(self) -> np.random.Generator:
        """Return the generator that is the same on all workers for this step, whatever their device."""
        return np.random.default_rng((self.seed % 2**64, self.step, self.phase, 0))

    def next(self) -> Key:
        """Return the key of the next step."""
        return replace(self, step=self.step + 1)


class Support(NamedTuple):
    """What a lossless message holds of a tensor; how large sums of such messages are follows from it.

    Attributes:
        present: [items] which of the tensor's items, elements or blocks, it holds.
        fixed_bits: of a sum that holds nothing.
        item_bits: of every item that a sum holds.
        most_bits: of a sum that holds everything.
    """

    present: torch.Tensor
    fixed_bits: float
    item_bits: float
    most_bits: float = math.inf


@dataclass(frozen=True)
class Message:
    """What one worker puts on the wire: tensors, their size in the declared wire format, and how they travel."""

    parts: Parts
    nbits: int
    op: Op
    layout: tuple[wire.Field, ...] = ()
    """The wire format of each part, known to every receiver from the tensor's shape and the scheme's fields alone."""
    weigh: Callable[[], Sequence[float]] | None = None
    """How much of an `owner` message goes to each owner, or of a `shard` message is each of its shards; None: alike."""
    support: Callable[[], Support] | None = None
    """What a lossless message holds; None: sums are as large as messages."""

    @classmethod
    def of(
        cls,
        op: Op,
        *coded: tuple[torch.Tensor, int | wire.Field],
        weigh: Callable[[], Sequence[float]] | None = None,
        support: Callable[[], Support] | None = None,
    ) -> Message:
        """Return the message of some parts, each given with the bits its elements take on the wire or its field."""
        parts = tuple(part for part, _ in coded)
        layout = tuple(
            wire.Field(tuple(part.shape), part.dtype, field) if isinstance(field, int) else field
            for part, field in coded
        )
        nbits = sum(field.nbits(part) for part, field in zip(parts, layout, strict=True))
        return cls(parts, nbits, op, layout, weigh, support)

    def pack(self) -> bytes:
        """Return the ceil(nbits / 8) bytes of the message; `wire.unpack(data, layout)` gives the parts back."""
        return wire.pack(self.parts, self.layout)


@dataclass
class Reply:
    """What every worker's message amounts to once the exchange is over; one object shared by all workers."""

    parts: Sequence[Parts]
    _made: Any = field(default=None, repr=False)

    def once(self, make: Callable[[], T]) -> T:
        """Return what `make` gives, computed by the first worker that asks and shared by the others."""
        if self._made is None:
            self._made = make()
        made: T = self._made
        return made

    def mean(self) -> Parts:
        """Return the element-wise mean over workers of each part in float32 (the reply to `sum`)."""
        return tuple(average([one.float() for one in same]) for same in zip(*self.parts, strict=True))

    def decoded_mean(self, decode: Callable[[Parts], torch.Tensor]) -> torch.Tensor:
        """Return the mean over workers of the decoded messages, computed once for all workers."""
        return self.once(lambda: average(decode(one) for one in self.parts))


def average(tensors: Sequence[torch.Tensor] | Generator[torch.Tensor]) -> torch.Tensor:
    """Return the mean of tensors of one shape, one for each worker, added in the order of the workers."""
    total, count = None, 0
    for one in tensors:
        # The first of them may be a message's own part, which must not change.
        total = one if total is None else total + one if count == 1 else total.add_(one)
        count += 1
    if total is None:
        raise ValueError("an exchange needs at least one worker")
    return total.div_(count) if count > 1 else total.clone()


def nothing(shape: Sequence[int]) -> torch.Tensor:
    """Return float32 zeros of a shape, which take no memory: for a first state, which nobody changes in place."""
    return torch.zeros(()).expand(tuple(shape))


Exchange: TypeAlias = "Generator[Message, Reply, tuple[torch.Tensor, torch.Tensor, State]]"
"""Yields messages, is sent replies, returns (mean estimate, own contribution, state)."""


class Scheme(ABC):
    """A gradient compression scheme: a registered frozen dataclass whose fields are its YAML keys."""

    kind: ClassVar[str]
    paper: ClassVar[str]
    costs_alike: ClassVar[tuple[str, ...]] = ()
    """Fields whose values change what is computed, but not how long it takes."""

    @property
    @abstractmethod
    def ops(self) -> frozenset[Op]:
        """Return the ops of the messages that `exchange` may yield."""

    @property
    def unbiased(self) -> bool:
        """Return whether the expectation of the decoded message is the gradient."""
        return False

    @property
    def feeds_back(self) -> bool:
        """Return whether what a worker contributes holds what it did not contribute before."""
        return False

    @property
    def scale_free(self) -> bool:
        """Return whether the estimate is a direction alone, whatever the gradient's size, so that it has no error."""
        return False

    @property
    def agrees(self) -> bool:
        """Return whether workers may take several collectives: what is sent in one depends on those before it."""
        return False

    def init(self, shape: torch.Size, peer: Peer) -> State:
        """Return the state of one worker for one tensor of `shape`, before the first step."""
        return None

    @abstractmethod
    def exchange(self, grad: torch.Tensor, state: State) -> Exchange:
        """Exchange one float32 gradient with all workers; neither it nor the state is changed in place."""

    def shipped(self, framework: str) -> Scheme:
        """Return the scheme as a framework of `as_shipped` runs it, where that is not the method's own form."""
        return self

    def keeping(self, ratio: float) -> Scheme | None:
        """Return the scheme with another `ratio` of kept elements, which goes on with the states of this one, or None.

        None is the answer of schemes that keep no such ratio.
        """
        return replace(self, ratio=ratio) if hasattr(self, "ratio") else None  # type: ignore[type-var]

    @property
    def label(self) -> str:
        """Return the name with the parameters that are not defaults, as in `topk(ratio=0.001)`."""
        return label(self, leave_out=("inner",))

    @property
    def variant(self) -> Variant:
        """Return what its coding costs depend on: its kind and its own fields."""
        return variant(self, leave_out=("inner", *self.costs_alike))

    def chain(self) -> list[Scheme]:
        """Return wrappers and scheme, outermost first."""
        return [self]

    def chain_at(self, step: int) -> list[Scheme]:
        """Return those that code anything at a step, outermost first."""
        return self.chain()

    @classmethod
    def example(cls) -> Self:
        """Return a member with its default parameters, for cost tables and contract tests."""
        return cls()


class OneShot(Scheme):
    """A scheme of one message: a member writes `encode` and `decode` and sets `op` to `sum` or `gather`.

    Its state is a `Key`. Encoding and decoding work on any shape, and stay on the gradient's device.
    """

    op: ClassVar[Op]

    @property
    def ops(self) -> frozenset[Op]:
        """Return the one op."""
        return frozenset({self.op})

    def init(self, shape: torch.Size, peer: Peer) -> Key:
        """Return the key of the first step."""
        return Key(peer.seed, peer.rank)

    @abstractmethod
    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the message of a float32 tensor of any shape."""

    @abstractmethod
    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return the float32 tensor of `shape` that parts stand for; uses no more of the key than all workers share."""

    def exchange(self, grad: torch.Tensor, state: Key) -> Exchange:
        """Send the encoded gradient; decode the mean of what was summed, or average what was gathered and decoded."""
        message = self.encode(grad, state)
        own = self.decode(message.parts, grad.shape, state)
        reply = yield message
        if self.op == "sum":
            mean = reply.once(lambda: self.decode(reply.mean(), grad.shape, state))
        else:
            mean = reply.decoded_mean(lambda parts: self.decode(parts, grad.shape, state))
        return mean, own, state.next()


class Wrapper(Scheme):
    """A scheme around another: a policy that any scheme, or any scheme of one message, can be given."""

    inner: Scheme

    @property
    def ops(self) -> frozenset[Op]:
        """Return the ops of the inner scheme."""
        return self.inner.ops

    @property
    def feeds_back(self) -> bool:
        """Return whether the inner scheme feeds back."""
        return self.inner.feeds_back

    @property
    def scale_free(self) -> bool:
        """Return whether the inner scheme's estimate is a direction alone."""
        return self.inner.scale_free

    @property
    def agrees(self) -> bool:
        """Return whether the inner scheme takes several collectives."""
        return self.inner.agrees

    def shipped(self, framework: str) -> Scheme:
        """Return the wrapper around what a framework runs."""
        return replace(self, inner=self.inner.shipped(framework))  # type: ignore[type-var]

    def keeping(self, ratio: float) -> Scheme | None:
        """Return the wrapper around the inner scheme with another ratio, or None."""
        inner = self.inner.keeping(ratio)
        return None if inner is None else replace(self, inner=inner)  # type: ignore[type-var]

    @property
    def label(self) -> str:
        """Return the inner scheme's label with this one as a suffix, as in `topk+error_feedback`."""
        return f"{self.inner.label}+{super().label}"

    def chain(self) -> list[Scheme]:
        """Return wrappers and scheme, outermost first."""
        return [self, *self.inner.chain()]

    def chain_at(self, step: int) -> list[Scheme]:
        """Return those that code anything at a step, outermost first."""
        return [self, *self.inner.chain_at(step)]

    @classmethod
    def example(cls) -> Self:
        """Return a wrapper with its default parameters around `none`."""
        return cls(inner=schemes.get("none").example())  # type: ignore[call-arg]


# A scheme sees one unit: what is joined before is the job's (decision 16).
schemes: Registry[Scheme] = Registry(
    "scheme",
    {
        "per_layer": "job: {coding_unit: tensor}, which is the default",
        "per_bucket": "job: {coding_unit: bucket}",
        "flat": "job: {coding_unit: bucket, first_bucket: 1 TB}, which makes one bucket of the model",
    },
)
