"""Ok-Topk: top-k sums found by owners of balanced regions, with thresholds that are kept for many steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from netsim.compress.base import Exchange, Message, Op, Parts, Peer, Scheme, schemes
from netsim.compress.lossless import join, shards
from netsim.compress.shards import owned, ranges
from netsim.compress.sparse import kept, largest, places_above, scatter
from netsim.compress.wire import Field, WireError, stream
from netsim.lazy import torch

INDEX_BITS = 32
RAISES, RAISE, LOCAL_STEP, SHARED_STEP = 5, 1.03, 1.012, 1.008
"""How often and by how much a local threshold rises at once, and what both thresholds change by from step to step."""
LEAST, LOCAL_MOST, MOST = 2 / 3, 5 / 4, 4 / 3
"""Shares of the elements asked for; outside these thresholds follow."""


@dataclass(frozen=True)
class Regions:
    """A worker's peer and steps taken, the thresholds in force, and where regions end [owners - 1]."""

    peer: Peer
    step: int = 0
    local: float = 0.0
    shared: float = 0.0
    ends: tuple[int, ...] = ()


@schemes.register("oktopk", paper="Li and Hoefler, PPoPP 2022 (arXiv:2201.07598)")
@dataclass(frozen=True, kw_only=True)
class OkTopK(Scheme):
    """Send what is above a local threshold to owners of regions, who hand on the sums above a shared threshold.

    Every `period` steps both thresholds are made anew, exactly, for the `ratio` largest: owners then hand on all of
    their sums. In between thresholds rise where too many elements are above them, and fall where too few are, as what
    error_feedback holds back grows. Every `balance` steps regions are made: their ends are the mean over workers of the
    ends that would give each region as many of the worker's elements. All as the authors' code has it for VGG-16. A
    worker has contributed what it sent of the elements that were handed on. Wire, both ways: 64 bits an element and two
    32-bit counts; 32 bits for each end of a region. Wrap in error_feedback.
    """

    costs_alike: ClassVar[tuple[str, ...]] = ("balance",)
    ratio: Annotated[float, Gt(0), Le(1)] = 0.01
    period: Annotated[int, Ge(1)] = 32
    balance: Annotated[int, Ge(1)] = 64
    ops: ClassVar[frozenset[Op]] = frozenset({"sum", "owner", "shard"})
    agrees: ClassVar[bool] = True

    def init(self, shape: torch.Size, peer: Peer) -> Regions:
        """Return no steps taken."""
        return Regions(peer)

    def exchange(self, grad: torch.Tensor, state: Regions) -> Exchange:
        """Agree on regions where it is time to, send to their owners, receive what is above the shared threshold."""
        flat, peer, anew = grad.flatten(), state.peer, state.step % self.period == 0
        count = kept(len(flat), self.ratio)
        local = _threshold(flat, count) if anew else _raised(flat, state.local, count)
        index = places_above(flat, local)
        ends = state.ends
        if state.step % self.balance == 0:
            wanted = yield Message.of("sum", (_ends(index, len(flat), peer.owners), 32))
            ends = tuple(wanted.once(lambda: _agreed(wanted.mean()[0].tolist(), len(flat))))
        up = yield Message.of(
            "owner",
            stream(index, INDEX_BITS),
            stream(flat[index], 32),
            weigh=lambda: [int(((index >= one.start) & (index < one.stop)).sum()) for one in ranges(ends, len(flat))],
        )
        total = up.decoded_mean(lambda parts: _read(parts, len(flat)))
        cut = ranges(ends, len(flat))
        least = 0.0 if anew else state.shared
        down = yield shards([_code(total[cut[one]], least) for one in owned(peer, peer.rank)])
        mean, shared = down.once(lambda: self._finish(join(down.parts, cut, peer, _read), least, anew=anew))
        own = scatter(flat[index], index, len(flat)).masked_fill_(mean == 0, 0)
        local = _followed(local, len(index) / max(count, 1), LOCAL_MOST, LOCAL_STEP)
        after = Regions(peer, state.step + 1, local, shared, ends)
        return mean.reshape(grad.shape), own.reshape(grad.shape), after

    def _finish(self, received: torch.Tensor, shared: float, *, anew: bool) -> tuple[torch.Tensor, float]:
        """Return what is above the shared threshold, and the threshold of the next step."""
        count = kept(len(received), self.ratio)
        if anew:
            shared = _threshold(received, count)
            return received.masked_fill(received.abs() < shared, 0), shared
        return received, _followed(shared, int(received.count_nonzero()) / max(count, 1), MOST, SHARED_STEP)


def _threshold(flat: torch.Tensor, count: int) -> float:
    """Return the smallest magnitude that is among the `count` largest."""
    return float(flat[largest(flat, count)].abs().min()) if count else 0.0


def _raised(flat: torch.Tensor, local: float, count: int) -> float:
    """Return a local threshold, raised where far more than `count` elements are above it."""
    sizes = flat[places_above(flat, local)].abs()
    for _ in range(RAISES):
        if len(sizes) <= MOST * count:
            break
        local *= RAISE
        sizes = sizes[sizes >= local]
    return local


def _followed(threshold: float, share: float, most: float, step: float) -> float:
    """Return the next step's threshold, this one having left a share of the elements asked for."""
    return threshold / step if share < LEAST else threshold * step if share > most else threshold


def _ends(index: torch.Tensor, numel: int, owners: int) -> torch.Tensor:
    """Return where regions [owners - 1] would have to end to hold as many of the rising indices each."""
    shares = torch.arange(1, owners, device=index.device)
    if not len(index):
        return (shares * numel // owners).float()
    return index[shares * len(index) // owners].float()


def _agreed(ends: list[float], numel: int) -> list[int]:
    """Return whole ends; raise WireError where damaged bytes put one outside the tensor, or before another."""
    if not all(0 <= end <= numel for end in ends) or ends != sorted(ends):
        raise WireError(f"regions do not end one after another within {numel} elements")
    return [round(end) for end in ends]


def _code(values: torch.Tensor, least: float) -> list[tuple[torch.Tensor, Field]]:
    index = places_above(values, least)
    return [stream(index, INDEX_BITS), stream(values[index], 32)]


def _read(parts: Parts, numel: int) -> torch.Tensor:
    index, values = parts
    return scatter(values, index, numel)
