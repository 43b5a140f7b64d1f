"""Logs as CSV: sizes beside times or bandwidths, one row each; `netsim probe` writes them too."""

from __future__ import annotations

import csv
import math
import re
from typing import TYPE_CHECKING

from netsim.calibration.sample import POINT_TO_POINT, Hints, Sample, known_operation, known_workers
from netsim.errors import InputError
from netsim.sync.named import busbw_factor
from netsim.units import SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

COLUMNS = ("operation", "workers", "size_bytes", "time_s")
"""The columns that `written` writes."""
_SIZE = ("size_bytes", "size", "bytes", "nbytes")
_TIME = {"time_s": 1.0, "seconds": 1.0, "time_ms": 1e-3, "time_us": 1e-6, "time_ns": 1e-9}
_NAMES = {*_SIZE, *_TIME, "operation", "workers", "flows"}
_RATE = re.compile(r"(?:.*_)?(algbw|busbw)(?:_GBps)?", re.IGNORECASE)
_SHORT = re.compile(r"(\d+(?:\.\d+)?)([KMG])(?:i?B)?")
_POWERS = {"K": 2**10, "M": 2**20, "G": 2**30}
_REMEDY = (
    f"name columns {_SIZE[0]} (bytes, or with a unit, as 64 kB) and {', '.join(_TIME)}, algbw_GBps or busbw_GBps, "
    "and operation and workers if known"
)


def written(samples: Iterable[Sample], about: Iterable[str]) -> str:
    """Return samples as CSV under comments."""
    lines = [f"# {line}" for line in about] + [",".join(COLUMNS)]
    return "\n".join([*lines, *(",".join(str(getattr(one, name)) for name in COLUMNS) for one in samples)]) + "\n"


def parse(text: str, hints: Hints) -> list[Sample]:
    """Return a sample for each row; empty lines and lines that begin with # are passed over.

    Values stand between commas, semicolons or tabs. Sizes are bytes, or have a unit (`64 kB`), or the suffix of
    nccl-tests (`64K` is 65,536). Bandwidths are GB/s.

    Raises:
        InputError: a column is missing or there are several to choose from, or a row's value is none.
    """
    lines = [
        (number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip() and line[0] != "#"
    ]
    between = next((one for one in ",;\t" if lines and one in lines[0][1]), ",")
    rows = csv.reader((line for _, line in lines), delimiter=between)
    header = [name.lower() if name.lower() in _NAMES else name for name in map(str.strip, next(rows, []))]
    size, value = _column(header, [name for name in header if name in _SIZE], "of sizes", None), _value(header, hints)
    samples = []
    for (number, _), row in zip(lines[1:], rows, strict=True):
        if len(row) != len(header):
            raise InputError(f"{len(row)} values under {len(header)} columns", "complete the row", line=number)
        cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
        try:
            samples.append(_sample(cells, size, value, hints))
        except InputError as error:
            raise InputError(error.problem, error.remedy, error.path, line=number) from error
    if not samples:
        raise InputError("a table without rows", _REMEDY)
    return samples


def _value(header: list[str], hints: Hints) -> str:
    found = [name for name in header if name in _TIME or _RATE.fullmatch(name)]
    return _column(header, found, "of times or bandwidths", hints.column)


def _column(header: list[str], found: list[str], what: str, asked: str | None) -> str:
    if asked is not None and asked not in found:
        raise InputError(f"there is no column {asked!r} {what}", f"it has {', '.join(header) or 'none'}", "--column")
    if not found:
        raise InputError(f"no column {what} among {', '.join(header) or 'none'}", _REMEDY)
    if asked is None and len(found) > 1:
        raise InputError(f"several columns {what}: {', '.join(found)}", f"choose one: --column {found[0]}")
    return asked or found[0]


def _sample(cells: dict[str, str], size: str, value: str, hints: Hints) -> Sample:
    rate = _RATE.fullmatch(value)
    default = hints.operation or ("all_reduce" if rate and rate[1].lower() == "busbw" else POINT_TO_POINT)
    operation = known_operation(cells.get("operation") or default)
    workers = known_workers(operation, int(_number(cells["workers"])) if cells.get("workers") else hints.workers)
    size_bytes, number = _size(cells[size]), _number(cells[value])
    time_s = number * _TIME[value] if rate is None else size_bytes / number / 1e9
    if rate and rate[1].lower() == "busbw":
        time_s *= busbw_factor(operation, workers)
    flows = int(_number(cells["flows"])) if cells.get("flows") else None
    return Sample(operation, workers, size_bytes, time_s, flows)


def _size(text: str) -> float:
    if short := _SHORT.fullmatch(text):
        return float(short[1]) * _POWERS[short[2]]
    return SIZE.parse(text) if re.search("[A-Za-z]B?$", text) else _number(text)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise InputError(f"{text!r} is not a number above 0", "repair or remove the row")
    return number
