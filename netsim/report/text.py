"""Plain text tables: aligned columns, numbers with SI units, nothing wider than a terminal."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNKNOWN = "-"
_SHORT = 16
EXACT = 1e-6
"""Relative errors below this are the rounding of float32 sums."""
_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def _scaled(value: float, steps: tuple[tuple[float, str], ...], digits: int) -> str:
    if not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return f"0 {steps[-1][1]}" if steps is _BYTES else "0 s"
    # Rounding first keeps 999.96 us from being printed as 1000. us.
    rounded = float(f"{value:.{digits}g}")
    size, unit = next(((size, unit) for size, unit in steps if abs(rounded) >= size), steps[-1])
    return f"{rounded / size:#.{digits}g}".rstrip(".") + f" {unit}"


def seconds(value: float) -> str:
    """Return a duration with four digits and the prefix that reads best; `-` where it is unknown."""
    return _scaled(value, _TIME, 4)


def nbytes(value: float) -> str:
    """Return a size with three digits and a decimal prefix; `-` where it is unknown."""
    return _scaled(value, _BYTES, 3) if value >= 1 or not value > 0 else f"{value:.3g} B"


def ratio(value: float) -> str:
    """Return a factor such as `3.12x` with three digits, two decimals at most."""
    if not math.isfinite(value):
        return UNKNOWN if math.isnan(value) else "inf"
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{decimals}f}x"


def fraction(value: float) -> str:
    """Return a relative error: `0` where it is exact up to rounding, two digits otherwise; `-` where it is unknown."""
    if not math.isfinite(value):
        return UNKNOWN
    if value < EXACT:
        return "0"
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.2g}"


def shorten(text: str, width: int) -> str:
    """Return the text, its middle left out where it is wider than `width`."""
    if len(text) <= width:
        return text
    tail = max(0, (width - 3) // 2)
    return f"{text[: width - 3 - tail]}...{text[len(text) - tail :]}"


@dataclass(frozen=True)
class Column:
    """A column of a text table: its heading (`|` breaks the line), and whether it holds words (left) or numbers."""

    heading: str
    words: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int = 120, indent: int = 2) -> list[str]:
    """Return the lines of a table; columns of words are shortened until it fits `width`.

    The widest is first, but the first column, which tells rows apart, only when the others are short.
    """
    cells = [*_headings(columns), *(list(row) for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    words = [index for index, column in enumerate(columns) if column.words]
    while words and indent + sum(widths) + 2 * (len(widths) - 1) > width:
        others = [index for index in words[1:] if widths[index] > _SHORT]
        widest = max(others or words, key=lambda index: widths[index])
        if widths[widest] <= 8:
            break
        widths[widest] -= 1
    return [_line(columns, row, widths, indent) for row in cells]


def _headings(columns: Sequence[Column]) -> list[list[str]]:
    split = [column.heading.split("|") for column in columns]
    height = max(len(lines) for lines in split)
    return [list(row) for row in zip(*([""] * (height - len(lines)) + lines for lines in split), strict=True)]


def _line(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int], indent: int) -> str:
    parts = [
        shorten(cell, width).ljust(width) if column.words else cell.rjust(width)
        for column, cell, width in zip(columns, row, widths, strict=True)
    ]
    return (" " * indent + "  ".join(parts)).rstrip()


def entries(rows: Sequence[tuple[str, str]], width: int = 120, indent: int = 2) -> list[str]:
    """Return the lines of a glossary: names to the left, their text to the right in as many lines as it needs."""
    left = max((len(name) for name, _ in rows), default=0) + 2
    lines = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, max(width - indent - left, 20), break_on_hyphens=False) or [""]
        starts = [name, *[""] * (len(wrapped) - 1)]
        lines += [f"{' ' * indent}{start:{left}}{part}".rstrip() for start, part in zip(starts, wrapped, strict=True)]
    return lines
