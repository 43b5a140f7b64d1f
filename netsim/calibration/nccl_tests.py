"""Logs of nccl-tests: the table that all_reduce_perf and its sisters print."""

from __future__ import annotations

import re

from netsim.calibration.sample import POINT_TO_POINT, Hints, Sample, known_operation, known_workers
from netsim.errors import InputError

PROGRAMS = {
    "all_reduce_perf": "all_reduce",
    "all_gather_perf": "all_gather",
    "reduce_scatter_perf": "reduce_scatter",
    "alltoall_perf": "all_to_all",
    "broadcast_perf": "broadcast",
    "reduce_perf": "reduce",
    "sendrecv_perf": POINT_TO_POINT,
}
_RANK = re.compile(r"#\s+Rank\s+(\d+)\s")
_HEADER = re.compile(r"#\s+size\s+count\s+type\s")
_ROW = re.compile(r"\s*\d+\s+\d+\s+[a-z]\w*\s")


def is_one(text: str) -> bool:
    """Say whether a log looks like one of nccl-tests."""
    return any(_HEADER.match(line) for line in text.splitlines())


def parse(text: str, hints: Hints) -> list[Sample]:
    """Return a sample for each time, out of place and in place, of every row.

    The ranks are counted in the log's own list, the operation is in its head where the version writes it.

    Raises:
        InputError: a row is cut short, there is none, or the operation or number of ranks is not known.
    """
    lines = text.splitlines()
    ranks = {int(found[1]) for line in lines if (found := _RANK.match(line))}
    operation = known_operation(hints.operation or _operation(text))
    workers = known_workers(operation, hints.workers or len(ranks) or None)
    header = next(line for line in lines if _HEADER.match(line)).lstrip("# ").split()
    places = [place for place, name in enumerate(header) if name == "time"]
    samples = []
    for number, line in enumerate(lines, start=1):
        if _ROW.match(line):
            words = line.split()
            samples += [_sample(words, place, number, operation, workers) for place in places]
    if not samples:
        raise InputError("the table of nccl-tests has no rows", "save all that the program prints")
    return [one for one in samples if one.size_bytes]


def _operation(text: str) -> str:
    named = [operation for program, operation in PROGRAMS.items() if program in text]
    if len(named) == 1:
        return named[0]
    if not named and re.search(r"\ssum\s", text):
        return "all_reduce"
    raise InputError("the log does not say which collective it timed", "say it: --operation all_gather")


def _sample(words: list[str], place: int, line: int, operation: str, workers: int) -> Sample:
    try:
        size_bytes, time_s = float(words[0]), float(words[place]) * 1e-6
    except (IndexError, ValueError) as error:
        raise InputError(
            "a row of the table is cut short or damaged", "save all that the program prints", line=line
        ) from error
    if not 0 < time_s < float("inf"):
        raise InputError(f"a time of {words[place]} us", "remove the row, or measure again", line=line)
    return Sample(operation, workers, size_bytes, time_s)
