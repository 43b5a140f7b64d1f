"""Seconds of encoding, decoding and aggregating for each scheme, with the device they hold for."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeGuard

import numpy as np

from netsim.errors import InputError
from netsim.registry import FileField, Registry
from netsim.workload import documented
from netsim.workload.nearest import choose

if TYPE_CHECKING:
    from netsim.registry import Variant

SHIPPED_TABLE = Path(__file__).parent / "costs" / "epyc-7003.json"
"""The table that was measured for, and is installed with, netsim."""
TABLE_FORMAT = "netsim coding costs 3"


@dataclass(frozen=True)
class Affine:
    """Seconds of one call on x elements: max(floor_s, fixed_s + slope_s_per_element x) (Cupcake, MLSys'23, 3.1)."""

    floor_s: float
    fixed_s: float
    slope_s_per_element: float

    def __call__(self, elements: float) -> float:
        """Return seconds of one call."""
        return max(self.floor_s, self.fixed_s + self.slope_s_per_element * elements)


@dataclass(frozen=True)
class Curve:
    """Seconds of one call as they were measured: straight lines between sizes, never falling as tensors grow.

    Below the smallest size a call takes as long as there, beyond the largest as long per element as there.
    """

    elements: tuple[float, ...]
    seconds: tuple[float, ...]

    def __call__(self, elements: float) -> float:
        """Return seconds of one call."""
        beyond = max(1.0, elements / self.elements[-1])
        return float(np.interp(elements, self.elements, np.maximum.accumulate(self.seconds))) * beyond


@dataclass(frozen=True)
class Between:
    """Seconds of one call that other curves tell together, each with a share."""

    parts: tuple[tuple[float, Curve], ...]

    def __call__(self, elements: float) -> float:
        """Return seconds of one call."""
        return sum(share * curve(elements) for share, curve in self.parts)


Seconds = Callable[[float], float]
"""Seconds of one call on so many elements."""
FREE = Affine(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Coding:
    """What one scheme or wrapper costs: encoding a tensor, decoding a message, each per call.

    What a wrapper adds to its inner scheme is element-wise work that is done once a step, however many messages
    arrive: all of it counts as encoding.
    """

    encode: Seconds
    decode: Seconds
    note: str = ""
    """Which other variant of the scheme the times are those of, where they are not its own."""


class CostModel(ABC):
    """A registered cost model: its fields are its YAML keys."""

    kind: ClassVar[str]
    paper: ClassVar[str]

    @abstractmethod
    def coding(self, variant: Variant) -> Coding:
        """Return what a scheme or wrapper costs; raise InputError where nothing is known of its kind."""

    @abstractmethod
    def aggregate(self) -> Seconds:
        """Return the seconds in which a server adds one float32 message to its sum."""

    @abstractmethod
    def source(self) -> str:
        """Return the device and where the figures come from, for the result."""


costs: Registry[CostModel] = Registry("cost model")


@costs.register("free")
@dataclass(frozen=True, kw_only=True)
class Free(CostModel):
    """Coding takes no time: the headroom of a scheme."""

    def coding(self, variant: Variant) -> Coding:
        """Return zero for every scheme."""
        return Coding(FREE, FREE)

    def aggregate(self) -> Seconds:
        """Return zero."""
        return FREE

    def source(self) -> str:
        """Say that nothing was measured."""
        return "free (no coding time)"


@costs.register("documented", paper="Espresso, EuroSys 2023; Cupcake, MLSys 2023")
@dataclass(frozen=True, kw_only=True)
class Documented(CostModel):
    """Published coding times of a V100; estimates from memory traffic where nothing is published.

    `scaled_sign` takes the figures of EF-SignSGD, `rms_sign` of One-bit, `topk` of DGC and `randomk` of Random-K. All
    others and a server's sum are estimated. Every figure is in `netsim.workload.documented`, with its source. Figures
    hold for default parameters: `topk` at 10 % or `powersgd` of rank 4 takes longer, and `cost_assumed` names them.
    """

    def coding(self, variant: Variant) -> Coding:
        """Return the published or estimated figures."""
        if variant.kind not in documented.FIGURES:
            raise InputError(
                f"cost model 'documented' has no figures for scheme {variant.kind!r}",
                "choose cost 'free', or measure with `netsim calibrate-schemes --out FILE` and choose 'measured'",
                "cost",
            )
        figures = documented.FIGURES[variant.kind]
        own = figures is documented.NOTHING or variant.label in ("", variant.kind)
        note = "" if own else f"{variant.label} as with default parameters"
        return Coding(Affine(*figures.encode), Affine(*figures.decode), note)

    def aggregate(self) -> Seconds:
        """Return the estimate for a server's CPU."""
        return Affine(*documented.AGGREGATE)

    def source(self) -> str:
        """Name the papers."""
        papers = "Espresso (EuroSys 2023), Cupcake (MLSys 2023)"
        return f"{documented.DEVICE}, default parameters, as published: {papers}; others estimated"


@costs.register("measured")
@dataclass(frozen=True, kw_only=True)
class Measured(CostModel):
    """Coding times that `netsim calibrate-schemes` measured on a device.

    `table` is the JSON file it wrote, or the name of one in a folder `costs`; the default is a table installed with
    netsim, measured on one core of a server's CPU. It holds some variants of each scheme; between two that differ in
    one number costs are interpolated, others take the nearest one's, and `cost_assumed` names such rows.
    """

    table: Annotated[str, FileField(("costs",), ".json")] | None = None

    @cached_property
    def read(self) -> dict[str, Any]:
        """Return the table as it stands in the file; raise InputError where it is none."""
        path = Path(self.table) if self.table else SHIPPED_TABLE
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise self._broken(f"cannot be read: {error}") from error
        if not isinstance(table, dict):
            raise self._broken("is not a table of coding costs")
        told = table.get("format")
        if told != TABLE_FORMAT:
            older = isinstance(told, str) and told.startswith(TABLE_FORMAT.rpartition(" ")[0])
            raise self._broken("is of another version of netsim" if older else "is not a table of coding costs")
        return table

    def _broken(self, problem: str) -> InputError:
        remedy = "write a new one with `netsim calibrate-schemes --out FILE`"
        return InputError(f"cost table {self.table or SHIPPED_TABLE.name!r} {problem}", remedy, "cost.table")

    def coding(self, variant: Variant) -> Coding:
        """Return the measured times of a scheme, of the variant itself or of the nearest ones."""
        if variant not in self._known:
            self._known[variant] = self._coding(variant)
        return self._known[variant]

    @cached_property
    def _known(self) -> dict[Variant, Coding]:
        return {}

    def _coding(self, variant: Variant) -> Coding:
        found = self._part(self.read, "schemes")
        if variant.kind not in found:
            raise self._broken(f"holds no times of scheme {variant.kind!r}")
        entries = found[variant.kind]
        if not (isinstance(entries, list) and entries and all(isinstance(one, dict) for one in entries)):
            raise self._broken(f"is damaged at {variant.kind!r}")
        parts, note = choose(variant, [self._part(one, "fields") for one in entries])
        encode = tuple((share, self._curve(entries[place], "encode")) for share, place in parts)
        decode = tuple((share, self._curve(entries[place], "decode")) for share, place in parts)
        return Coding(Between(encode), Between(decode), note)

    def aggregate(self) -> Seconds:
        """Return the measured time of adding one tensor to another."""
        return self._curve(self.read, "aggregate")

    def _part(self, table: dict[str, Any], name: str) -> dict[str, Any]:
        found = table.get(name)
        if not isinstance(found, dict):
            raise self._broken(f"is damaged at {name!r}")
        return found

    def _curve(self, table: dict[str, Any], name: str) -> Curve:
        part = self._part(table, name)
        elements, seconds = part.get("elements"), part.get("seconds")
        if not (_numbers(elements) and _numbers(seconds) and len(elements) == len(seconds) > 0):
            raise self._broken(f"is damaged at {name!r}")
        if elements[0] <= 0 or sorted(set(elements)) != elements:
            raise self._broken(f"is damaged at {name!r}: its elements do not rise")
        return Curve(tuple(elements), tuple(seconds))

    def source(self) -> str:
        """Return the device, when it was measured and with what."""
        read = self.read
        threads = f" ({read.get('threads')} used)" if read.get("threads") else ""
        when = f"measured {read.get('date')} with torch {read.get('torch')}"
        return f"{read.get('device')}{threads}, {when}"


def _numbers(values: object) -> TypeGuard[list[float]]:
    """Return whether these are finite numbers, none below 0."""
    return isinstance(values, list) and all(isinstance(one, int | float) and 0 <= one < math.inf for one in values)
