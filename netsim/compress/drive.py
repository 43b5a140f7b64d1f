"""Drive the workers of one exchange in lock step, and try a scheme on tensors at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netsim.compress.base import Message, Peer, Reply, Scheme, State, check_finite
from netsim.compress.stacked import stacked
from netsim.errors import InputError
from netsim.given import shown, whole
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.compress.base import Exchange
    from netsim.compress.stacked import Gradients


@dataclass(frozen=True)
class Outcome:
    """What an exchange gives: the estimate all workers share, and for each worker what it sent and keeps.

    Attributes:
        mean: the workers' common estimate of the mean gradient.
        own: each worker's own contribution.
        states: each worker's state for the next step.
        messages: rounds of the exchange, each with the messages of all workers.
    """

    mean: torch.Tensor
    own: list[torch.Tensor]
    states: list[State]
    messages: tuple[list[Message], ...]


def exchange(scheme: Scheme, grads: Sequence[torch.Tensor], states: Sequence[State], what: str = "gradient") -> Outcome:
    """Exchange one tensor between all workers.

    Args:
        scheme: the scheme that all workers run.
        grads: a float32 gradient for each worker, all of one shape.
        states: a state for each worker, from `scheme.init` or the last outcome.
        what: what to call the tensor in an error, such as its name and step.

    Raises:
        NonFiniteGradient: where a gradient holds NaN or infinity.
    """
    for rank, grad in enumerate(grads):
        check_finite(grad, f"{what} of worker {rank}")
    running = [scheme.exchange(grad, state) for grad, state in zip(grads, states, strict=True)]
    rounds: list[list[Message]] = []
    reply: Reply | None = None
    while True:
        messages, finished = _advance(running, reply)
        if finished:
            estimates, own, kept = zip(*finished, strict=True)
            return Outcome(estimates[0], list(own), list(kept), tuple(rounds))
        rounds.append(messages)
        reply = Reply([message.parts for message in messages])


def _advance(running: Sequence[Exchange], reply: Reply | None) -> tuple[list[Message], list[Any]]:
    """Run every worker to its next message or to its end; return the messages and what ended workers return."""
    messages, finished = [], []
    for worker in running:
        try:
            messages.append(next(worker) if reply is None else worker.send(reply))
        except StopIteration as end:
            finished.append(end.value)
    if (messages and finished) or len({message.op for message in messages}) > 1:
        raise RuntimeError("workers of one exchange must send the same kinds of messages")
    return messages, finished


@dataclass(frozen=True)
class Compressed:
    """What a scheme makes of some gradients.

    Attributes:
        mean: the estimate of the mean gradient that every worker ends with.
        nbits_per_worker: the bits that the busiest worker sends, over all messages.
        rel_error: Euclidean norm of (estimate - mean) over that of the mean; NaN where the estimate has no size.
    """

    mean: torch.Tensor
    nbits_per_worker: int
    rel_error: float


def compress(scheme: Scheme, grads: Gradients, seed: int = 0) -> Compressed:
    """Exchange the gradients of some workers once, from fresh states, every worker owning a shard.

    Args:
        scheme: any scheme.
        grads: [workers, ...] one gradient a worker: a tensor, a NumPy array, or a list of either of equal shapes;
            converted to float32.
        seed: seed of the scheme's randomness, 0 or more.

    Raises:
        InputError: where `scheme` is none, or `grads` holds no worker, no floating-point numbers, or gradients of
            several shapes.
        NonFiniteGradient: where a gradient holds NaN or infinity.
    """
    if not isinstance(scheme, Scheme):
        raise InputError(
            f"{shown(scheme)} is no scheme", "build one, as in netsim.scheme('topk', ratio=0.01)", "scheme"
        )
    seed = whole(seed, "seed")
    exact = stacked(grads)
    each = list(exact.float())
    peers = [Peer(rank, workers=len(each), owners=len(each), seed=seed) for rank in range(len(each))]
    outcome = exchange(scheme, each, [scheme.init(each[0].shape, peer) for peer in peers])
    sent = [sum(message.nbits for message in of_worker) for of_worker in zip(*outcome.messages, strict=True)]
    error = float("nan") if scheme.scale_free else relative_error(outcome.mean, exact.double().mean(0))
    return Compressed(outcome.mean, max(sent), error)


def relative_error(estimate: torch.Tensor, exact: torch.Tensor) -> float:
    """Return the Euclidean norm of (estimate - exact) over that of exact, in float64; 0 where both are zero."""
    return relative(float((estimate.double() - exact.double()).norm()), float(exact.double().norm()))


def relative(error: float, exact: float) -> float:
    """Return the size of an error over that of what is exact: 0 where both are 0, infinity where only the latter is."""
    if exact:
        return error / exact
    return error * float("inf") if error else 0.0
