"""Quantities with compulsory units at the edge: `10 Gbit/s`, `25 us`, `1 MiB`.

Inside netsim there are only seconds, bytes and bytes per second, as floats. Decimal and binary prefixes, bits and
bytes are told apart; a bare number (other than 0 for a duration or a size) is an error.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from netsim.errors import InputError

_DECIMAL = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
_PREFIXES = _DECIMAL | _BINARY
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*")


@dataclass(frozen=True)
class Quantity:
    """A physical quantity: its units (name -> factor to the inner unit), an example, and whether 0 is allowed."""

    name: str
    units: tuple[tuple[str, float], ...]
    example: str
    zero_allowed: bool

    def parse(self, text: object) -> float:
        """Return the value of `text` in the inner unit; raise InputError with the remedy."""
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise InputError(f"{self.name} cannot be {text!r}", f"write for example '{self.example}'")
        match = _NUMBER.fullmatch(str(text))
        if not match:
            raise InputError(f"{text!r} is not a {self.name}", f"write for example '{self.example}'")
        value, unit = float(match[1]), match[2]
        factors = dict(self.units)
        if not unit and value == 0 and self.zero_allowed:
            return 0.0
        if not unit:
            raise InputError(f"{self.name} {text!r} needs a unit", f"write for example '{self.example}'")
        if unit not in factors:
            raise InputError(f"{unit!r} is not a unit of {self.name}", self._remedy(unit))
        if math.isfinite(value) and value:
            # In decimal, so that 100 us is 1e-4 s and not its neighbour.
            value = float(Decimal(match[1]) * Decimal(str(factors[unit])))
        if not math.isfinite(value) or value < 0 or (value == 0 and not self.zero_allowed):
            least = "zero or more" if self.zero_allowed else "more than zero"
            raise InputError(f"{self.name} {text!r} must be finite and {least}", f"write for example '{self.example}'")
        return value

    def _remedy(self, unit: str) -> str:
        if unit.endswith(("b", "b/s")):
            return "a lone 'b' is ambiguous: write 'bit' for bits or 'B' for bytes"
        if self.name == "size" and "bit" in unit:
            return f"sizes are in bytes: write for example '{self.example}'"
        if self.name == "bandwidth" and (unit + "/s") in dict(self.units):
            return f"write '{unit}/s' (per second)"
        return f"write for example '{self.example}'"


_BIT_RATES = tuple((f"{p}{u}", f / 8) for p, f in _PREFIXES.items() for u in ("bit/s", "bps"))
_BYTE_RATES = tuple((f"{p}B/s", f) for p, f in _PREFIXES.items())

BANDWIDTH = Quantity("bandwidth", _BIT_RATES + _BYTE_RATES, "10 Gbit/s", zero_allowed=False)
DURATION = Quantity(
    "duration",
    (("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0)),
    "25 us",
    zero_allowed=True,
)
SIZE = Quantity("size", tuple((f"{p}B", f) for p, f in _PREFIXES.items()), "25 MiB", zero_allowed=True)

Bandwidth = Annotated[float, BANDWIDTH]
"""Bytes per second inside, text with a unit outside."""
Seconds = Annotated[float, DURATION]
"""Seconds inside, text with a unit outside."""
Bytes = Annotated[float, SIZE]
"""Bytes inside, text with a unit outside."""


def _scaled(value: float, steps: tuple[tuple[float, str], ...]) -> str:
    for factor, unit in steps:
        if abs(value) >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value / steps[-1][0]:.4g} {steps[-1][1]}"


def format_bandwidth(bytes_per_s: float) -> str:
    """Return bytes/s as network people write it, in bit/s."""
    return _scaled(
        bytes_per_s * 8, ((1e12, "Tbit/s"), (1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1.0, "bit/s"))
    )


def format_duration(seconds: float) -> str:
    """Return seconds with the prefix that reads best."""
    return _scaled(seconds, ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")))


def format_size(nbytes: float) -> str:
    """Return bytes with a decimal prefix."""
    return _scaled(nbytes, ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")))
