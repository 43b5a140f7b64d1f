"""Seconds of encoding, decoding and aggregating: a floor and a slope for each scheme, with the device they hold for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from netsim.registry import Registry


@dataclass(frozen=True)
class Affine:
    """Seconds of one call on x elements: max(floor_s, fixed_s + slope_s_per_element x) (Cupcake, MLSys'23, 3.1)."""

    floor_s: float
    fixed_s: float
    slope_s_per_element: float

    def __call__(self, elements: float) -> float:
        """Return seconds of one call."""
        return max(self.floor_s, self.fixed_s + self.slope_s_per_element * elements)


FREE = Affine(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Coding:
    """What one scheme costs: encoding a tensor, decoding a message, each per call."""

    encode: Affine
    decode: Affine


class CostModel(ABC):
    """A registered cost model: its fields are its YAML keys."""

    kind: ClassVar[str]
    paper: ClassVar[str]

    @abstractmethod
    def coding(self, scheme_kind: str) -> Coding:
        """Return what the scheme or wrapper of this kind costs; raise InputError where nothing is known."""

    @abstractmethod
    def aggregate(self) -> Affine:
        """Return the seconds in which a server adds one float32 message to its sum."""

    @abstractmethod
    def source(self) -> str:
        """Return the device and where the figures come from, for the result."""


costs: Registry[CostModel] = Registry("cost model")


@costs.register("free")
@dataclass(frozen=True, kw_only=True)
class Free(CostModel):
    """Coding takes no time: the headroom of a scheme."""

    def coding(self, scheme_kind: str) -> Coding:
        """Return zero for every scheme."""
        return Coding(FREE, FREE)

    def aggregate(self) -> Affine:
        """Return zero."""
        return FREE

    def source(self) -> str:
        """Say that nothing was measured."""
        return "free (no coding time)"
