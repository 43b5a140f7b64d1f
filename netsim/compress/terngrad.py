"""TernGrad: stochastic rounding to minus, zero or plus one common magnitude."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from annotated_types import Gt

from netsim.compress.base import Exchange, Key, Message, Op, Parts, Peer, Scheme, schemes
from netsim.compress.codes import TRITS, pack_trits, unpack_trits
from netsim.compress.cpu import array, compiled, empty, on_cpu
from netsim.compress.levels import look_up
from netsim.compress.scale import peak, root_mean_square, tiny
from netsim.compress.wire import symbols
from netsim.lazy import torch

ROUNDING = 1e-5
"""A limit below this share of the largest magnitude is that of a deviation which is rounding."""


@schemes.register("terngrad", paper="Wen et al., NeurIPS 2017 (arXiv:1705.07878)")
@dataclass(frozen=True, kw_only=True)
class TernGrad(Scheme):
    """Clip at `clip` standard deviations, then keep the sign with probability |x| / scale. Unbiased with `clip: null`.

    With `scale: own` a message is a float32, the worker's largest magnitude, and one of three digits an element,
    log2 3 = 1.585 bits, as 29 digits in 46 bits, or 2 bits with `code: fixed`; messages are gathered. With
    `scale: shared` workers first gather the 32 bits of their scales and take the largest; then signs add up to whole
    numbers from -n to n, which are summed in flight in ceil(log2(2 n + 1)) bits for n workers. Values that are all
    alike, as that of a scalar, have no deviation and are not clipped.
    """

    scale: Literal["own", "shared"] = "own"
    clip: Annotated[float, Gt(0)] | None = 2.5
    code: Literal["trits", "fixed"] = "trits"

    def shipped(self, framework: str) -> TernGrad:
        """Return the scheme with a digit an element, for GRACE."""
        return replace(self, code="fixed") if framework.startswith("grace") else self

    @property
    def unbiased(self) -> bool:
        """Return whether nothing is clipped."""
        return self.clip is None

    @property
    def ops(self) -> frozenset[Op]:
        """Return `gather`, and `sum` with a shared scale."""
        return frozenset({"gather", "sum"}) if self.scale == "shared" else frozenset({"gather"})

    @property
    def agrees(self) -> bool:
        """Return whether workers agree on a scale."""
        return self.scale == "shared"

    def init(self, shape: torch.Size, peer: Peer) -> tuple[Key, int]:
        """Return the key of the first step and the number of workers that add up."""
        return Key(peer.seed, peer.rank), peer.addends

    def exchange(self, grad: torch.Tensor, state: tuple[Key, int]) -> Exchange:
        """Send digits and the own scale, or agree on a scale and add digits up."""
        key, workers = state
        clipped, scale = self._clip(grad.flatten())
        if self.scale == "own":
            digits = self._round(clipped, scale, key)
            coded = symbols(pack_trits(digits), 3**TRITS) if self.code == "trits" else symbols(digits, 3)
            reply = yield Message.of("gather", (scale, 32), coded)
            mean = reply.decoded_mean(lambda parts: self._decode(parts, grad.shape))
        else:
            scales = yield Message.of("gather", (scale, 32))
            scale = scales.once(lambda: torch.cat([part for (part,) in scales.parts]).amax(dim=0, keepdim=True))
            digits = self._round(clipped, scale, key)
            reply = yield Message.of("sum", symbols(digits.int(), 2 * workers + 1))
            mean = reply.once(lambda: reply.mean()[0].sub_(1).mul_(scale).reshape(grad.shape))
        own = _values(digits, scale).reshape(grad.shape)
        return mean, own, (key.next(), workers)

    def _decode(self, parts: Parts, shape: torch.Size) -> torch.Tensor:
        scale, coded = parts
        digits = unpack_trits(coded, shape.numel()) if self.code == "trits" else coded
        return _values(digits, scale).reshape(shape)

    def _clip(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the clipped values and their largest magnitude [1]."""
        if self.clip is None or not flat.numel():
            return flat, peak(flat).reshape(1)
        top, limit = peak(flat), self.clip * root_mean_square(flat - flat.mean())
        limit = torch.where(limit > ROUNDING * top, limit, top)
        return flat.clamp(-limit, limit), torch.minimum(top, limit).reshape(1)

    @staticmethod
    def _round(clipped: torch.Tensor, scale: torch.Tensor, key: Key) -> torch.Tensor:
        """Return 0, 1 or 2 for minus, nothing and plus."""
        if on_cpu(clipped):
            digits = empty(clipped.shape, torch.uint8)
            compiled.round_ternary(array(clipped), float(scale), key.own_seed(), array(digits))
            return digits
        noise = torch.rand(clipped.shape, generator=key.own(clipped.device), device=clipped.device)
        kept = noise.mul_(scale.clamp(min=tiny(clipped))) < clipped.abs()
        return (clipped.sign() * kept).add_(1).byte()


def _values(digits: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return minus the scale, 0 or the scale [1] for digits 0, 1 and 2."""
    return look_up(digits, torch.cat([-scale, scale * 0, scale]))
