"""QSGD: stochastic rounding to a few levels of a bucket's norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from netsim.compress.base import Key, Message, OneShot, Op, Parts, schemes
from netsim.compress.wire import bits_for
from netsim.lazy import torch


@schemes.register("qsgd", paper="Alistarh et al., NeurIPS 2017 (arXiv:1610.02132)")
@dataclass(frozen=True, kw_only=True)
class QSGD(OneShot):
    """Round each value at random to one of 2 s + 1 levels of its bucket's norm. Unbiased.

    Wire: a float32 norm a bucket and ceil(log2(2 s + 1)) bits an element (the paper's practical format, without Elias
    coding). With `norm: l2` the variance is at most min(d / s^2, sqrt(d) / s) of the bucket's energy, d being its size;
    `max` has lower variance in practice and is the default, with 4 bits and buckets of 512, as in the paper's runs.
    """

    levels: Annotated[int, Ge(1), Le(2**15)] = 7
    bucket: Annotated[int, Ge(1)] = 512
    norm: Literal["max", "l2"] = "max"
    op: ClassVar[Op] = "gather"
    unbiased: ClassVar[bool] = True

    def encode(self, grad: torch.Tensor, key: Key) -> Message:
        """Return the buckets' norms and each element's level, counted from -s."""
        flat = grad.flatten()
        size = min(self.bucket, max(flat.numel(), 1))
        rows = torch.nn.functional.pad(flat, (0, -flat.numel() % size)).reshape(-1, size)
        norms = self._norms(rows)
        unit = rows / norms.clamp(min=torch.finfo(rows.dtype).tiny)[:, None]
        noise = torch.rand(rows.shape, generator=key.own(rows.device), device=rows.device)
        level = unit.mul_(self.levels).add_(noise).floor_().clamp_(-self.levels, self.levels)
        code = (level + self.levels).int().flatten()[: flat.numel()]
        return Message.of(self.op, (norms, 32), (code, bits_for(2 * self.levels + 1)))

    def _norms(self, rows: torch.Tensor) -> torch.Tensor:
        if not rows.numel():
            return rows.new_zeros(0)
        peak = rows.abs().amax(dim=1)
        if self.norm == "max":
            return peak
        unit = rows / peak.clamp(min=torch.finfo(rows.dtype).tiny)[:, None]
        return (peak * unit.square().sum(dim=1).sqrt()).clamp(max=torch.finfo(rows.dtype).max)

    def decode(self, parts: Parts, shape: torch.Size, key: Key) -> torch.Tensor:
        """Return each level's share of its bucket's norm."""
        norms, code = parts
        size = min(self.bucket, max(code.numel(), 1))
        level = (code - self.levels) / self.levels
        return level.mul_(norms.repeat_interleave(size)[: code.numel()]).reshape(shape)
