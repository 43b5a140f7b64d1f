"""Logs of `iperf3 -J`: the rate of one or several TCP connections, interval by interval."""

from __future__ import annotations

import json
from typing import Any

from netsim.calibration.sample import POINT_TO_POINT, Hints, Sample
from netsim.errors import InputError


def parse(text: str, _: Hints) -> list[Sample]:
    """Return a sample for each interval that counts: what all connections together moved, and how many they were.

    Raises:
        InputError: it is no JSON, holds an error of iperf3, or no interval of a TCP test.
    """
    try:
        log = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"not a readable JSON file ({error.msg})", "save what iperf3 -J prints", line=error.lineno
        ) from error
    if not isinstance(log, dict):
        raise InputError("not a log of iperf3: no object at its top", "save what iperf3 -J prints")
    if log.get("error"):
        raise InputError(f"iperf3 failed: {log['error']}", "measure again")
    try:
        test = log["start"]["test_start"]
        if test["protocol"] != "TCP":
            raise InputError(f"a test of {test['protocol']}", "measure TCP, which is what gradients travel by")
        samples = [_sample(one["sum"], int(test["num_streams"])) for one in log["intervals"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"not a whole log of iperf3: {error} is missing or wrong", "save what iperf3 -J prints"
        ) from error
    counted = [one for one in samples if one]
    if not counted:
        raise InputError("no interval that counts", "measure for several seconds: iperf3 -J -t 10")
    return counted


def _sample(interval: dict[str, Any], flows: int) -> Sample | None:
    """Return what an interval moved, or None where it was left out (--omit) or cut short by the end of the test."""
    seconds, nbytes = float(interval["seconds"]), float(interval["bytes"])
    if interval.get("omitted") or seconds < 0.1 or nbytes <= 0:
        return None
    return Sample(POINT_TO_POINT, 2, nbytes, seconds, flows)
