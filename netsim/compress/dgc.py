"""Deep gradient compression: momentum correction around top-k with a sampled threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, Lt

from netsim.compress.base import Exchange, Key, Op, Peer, Scheme, schemes
from netsim.compress.indices import Index
from netsim.compress.local_clipping import LocalClipping
from netsim.compress.momentum_correction import MomentumCorrection
from netsim.compress.sparse import Sparse, kept, largest, places_above
from netsim.lazy import torch

if TYPE_CHECKING:
    from netsim.compress.base import State

MOST, LEAST, ROUNDS = 1.3, 0.8, 10
"""The band of kept elements that a threshold may give, as shares of those asked for, and the trials to get there."""


@dataclass(frozen=True, kw_only=True)
class SampledTopK(Sparse):
    """About the `ratio` largest magnitudes, by a threshold found on a `sample` of the elements."""

    ratio: float
    sample: float
    counted: ClassVar[bool] = True

    def select(self, flat: torch.Tensor, key: Key) -> torch.Tensor:
        """Return the indices above the threshold: of too many the first, of far too many the largest."""
        count = kept(flat.numel(), self.ratio)
        if count == flat.numel():
            return torch.arange(count, device=flat.device)
        stride = max(1, round(1 / self.sample))
        sampled = flat[key.step % min(stride, len(flat)) :: stride].abs()
        threshold = float(sampled.topk(kept(len(sampled), self.ratio)).values[-1])
        chosen = places_above(flat, threshold)
        for _ in range(ROUNDS):
            if len(chosen) >= LEAST * count:
                break
            threshold = threshold * LEAST
            chosen = places_above(flat, threshold)
        if len(chosen) > MOST * count:
            return chosen[largest(flat[chosen], count)]
        return chosen[:count]


@schemes.register("dgc", paper="Lin et al., ICLR 2018 (arXiv:1712.01887)")
@dataclass(frozen=True, kw_only=True)
class DGC(Scheme):
    """Momentum correction with factor masking around top-k by a sampled threshold, with a warm-up of the ratio.

    The threshold comes from a `sample` of the elements; where it keeps 0.8 to 1.3 of those asked for, the first ones
    are sent, as the authors' code does. `warm_up` steps lead from almost everything to `ratio` in equal factors.
    `clipping` bounds each worker's gradient as local_clipping does, before it is accumulated. Needs no error_feedback.
    Vectors are compressed too, as in GRACE. The authors' are dense: put skip_small around it, with a `below` between
    vectors and matrices, such as 2049 for ResNet-50, which gives the sizes they publish (but vectors no momentum).
    Wire: k (32 + ceil(log2 d)) bits and two 32-bit counts; `index: runs` is the paper's 48 bits an element.
    """

    costs_alike: ClassVar[tuple[str, ...]] = ("momentum", "warm_up")
    feeds_back: ClassVar[bool] = True
    ratio: Annotated[float, Gt(0), Le(1)] = 0.001
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    clipping: Annotated[float, Gt(0)] | None = None
    sample: Annotated[float, Gt(0), Le(1)] = 0.01
    warm_up: Annotated[int, Ge(0)] = 0
    index: Index = "log2"
    ops: ClassVar[frozenset[Op]] = frozenset({"gather"})

    def _at(self, step: int) -> Scheme:
        """Return the composition that this is at a step."""
        ratio = self.ratio ** min(1.0, (step + 1) / (self.warm_up + 1))
        coder = MomentumCorrection(SampledTopK(ratio=ratio, sample=self.sample, index=self.index), self.momentum)
        return coder if self.clipping is None else LocalClipping(coder, self.clipping)

    def init(self, shape: torch.Size, peer: Peer) -> tuple[int, State]:
        """Return no steps taken and the composition's state."""
        return 0, self._at(0).init(shape, peer)

    def exchange(self, grad: torch.Tensor, state: tuple[int, Any]) -> Exchange:
        """Exchange as the composition of this step does."""
        step, inner = state
        mean, own, inner = yield from self._at(step).exchange(grad, inner)
        return mean, own, (step + 1, inner)
