"""PacTrain: gradients that share the mask of pruned weights, packed and summed in flight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Lt

from netsim.compress.base import Exchange, Key, Message, Op, Peer, Reply, Scheme, schemes
from netsim.compress.sparse import largest, scatter
from netsim.lazy import torch

LARGEST_INT8 = 127


@dataclass(frozen=True)
class Mask:
    """A worker's key, the workers that add up, and the places [k] that all of them send, None before the first step."""

    key: Key
    addends: int
    places: torch.Tensor | None = None


@schemes.register("pactrain", paper="Wang et al., DAC 2025 (arXiv:2505.18563)")
@dataclass(frozen=True, kw_only=True)
class PacTrain(Scheme):
    """Send what a shared mask keeps, without indices: 32 bits a kept element, summable. Zeros outside are not sent.

    The first step is dense and shows every worker the same mean. Its zeros are masked, and of the rest the smallest, up
    to the share `pruned` of all elements: a trace holds no weights, so the mean gradient stands for the score by which
    weights are pruned; gradients there are then set to zero (gradient sparsity enforcing). Later steps first agree:
    an 8-bit flag, summed, says whether any worker has a value outside a mask that nobody enforces. If so, the step is
    dense and makes the mask anew. `ternary` sends signs at random, at the largest magnitude of all workers (which
    travels with the flag), as 8-bit integers, which stay exact in sums of 127 workers, or 16-bit ones for more.
    """

    pruned: Annotated[float, Ge(0), Lt(1)] = 0.8
    ternary: bool = False
    ops: ClassVar[frozenset[Op]] = frozenset({"sum"})
    agrees: ClassVar[bool] = True

    def init(self, shape: torch.Size, peer: Peer) -> Mask:
        """Return no mask."""
        return Mask(Key(peer.seed, peer.rank), peer.addends)

    def exchange(self, grad: torch.Tensor, state: Mask) -> Exchange:
        """Agree on the mask, then exchange what it keeps, or everything."""
        flat, places = grad.flatten(), state.places
        if places is None:
            return (yield from self._dense(grad, state))
        places = places.to(flat.device)
        values = flat[places]
        outside = not self.pruned and int(flat.count_nonzero()) > int(values.count_nonzero())
        flag = torch.full((1,), outside, device=flat.device)
        agreed = yield Message.of("sum", (flag.to(torch.uint8), 8), *([(_peak(values), 32)] if self.ternary else []))
        if any(bool(parts[0]) for parts in agreed.parts):
            return (yield from self._dense(grad, state))
        peak = None
        if self.ternary:
            peak = agreed.once(lambda: torch.stack([parts[1] for parts in agreed.parts]).amax(dim=0))
            values, message = self._ternary(values, peak, state)
        else:
            message = Message.of("sum", (values, 32))
        reply = yield message
        mean = reply.once(lambda: scatter(_scaled(reply.mean()[0], peak), places, len(flat)).reshape(grad.shape))
        own = scatter(values, places, len(flat)).reshape(grad.shape)
        return mean, own, Mask(state.key.next(), state.addends, places)

    def _dense(self, grad: torch.Tensor, state: Mask) -> Exchange:
        """Exchange everything, and mask what the mean shows to be zero or small."""
        reply = yield Message.of("sum", (grad, 32))
        mean, places = reply.once(lambda: self._masked(reply))
        return mean, grad, Mask(state.key.next(), state.addends, places)

    def _masked(self, reply: Reply) -> tuple[torch.Tensor, torch.Tensor]:
        mean = reply.mean()[0]
        flat = mean.flatten()
        nonzero = flat.nonzero().flatten()
        keep = len(flat) - round(self.pruned * len(flat))
        return mean, nonzero if len(nonzero) <= keep else largest(flat, keep).sort().values

    def _ternary(self, values: torch.Tensor, peak: torch.Tensor, state: Mask) -> tuple[torch.Tensor, Message]:
        """Return -peak, 0 or peak at random, so that the expectation is the value, and the message of the signs."""
        noise = torch.rand(values.shape, generator=state.key.own(values.device), device=values.device)
        hit = noise * peak < values.abs()
        signs = values.sign() * hit
        narrow = state.addends <= LARGEST_INT8
        codes = signs.to(torch.int8 if narrow else torch.int16)
        return signs * peak, Message.of("sum", (codes, 8 if narrow else 16))


def _scaled(mean: torch.Tensor, peak: torch.Tensor | None) -> torch.Tensor:
    return mean if peak is None else mean * peak


def _peak(values: torch.Tensor) -> torch.Tensor:
    """Return the largest magnitude [1], 0 of none."""
    return values.abs().amax().reshape(1) if len(values) else values.new_zeros(1)
