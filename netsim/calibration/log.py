"""Reads a log of measured transfers, whichever of the known formats it has."""

from __future__ import annotations

from pathlib import Path

from netsim.calibration import iperf3, nccl_tests, table
from netsim.calibration.sample import Hints, Sample
from netsim.errors import InputError

_MOST_BYTES = 64_000_000


def read_log(path: Path, hints: Hints | None = None) -> list[Sample]:
    """Return the samples of a log: JSON of `iperf3 -J`, what nccl-tests print, or a CSV with a header.

    Raises:
        InputError: the file cannot be read, or what is wrong in which line.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise InputError(
                "larger than any log of this kind", "give a log of iperf3 -J, nccl-tests or a CSV", file=str(path)
            )
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", "give a log that exists", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError("not a text file", "give a log of iperf3 -J, nccl-tests or a CSV", file=str(path)) from error
    parse = (
        iperf3.parse
        if text.lstrip()[:1] in {"{", "["}
        else nccl_tests.parse
        if nccl_tests.is_one(text)
        else table.parse
    )
    try:
        return parse(text, hints or Hints())
    except InputError as error:
        raise InputError(error.problem, error.remedy, error.path, str(path), error.line) from error
