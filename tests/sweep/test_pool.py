"""Calls over processes: each begins once what it needs is there, and not later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netsim.errors import InputError
from netsim.pool import Call, results

ROOT = Path(__file__).parents[2]


def total(*values: int) -> int:
    return sum(values)


def when(pause_s: float, *_: float) -> float:
    """Return when the call ended."""
    time.sleep(pause_s)
    return time.monotonic()


def end(caller: int) -> None:
    """End the process, unless it is the one that asks."""
    if os.getpid() != caller:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.5)


def fail_later(pause_s: float) -> None:
    time.sleep(pause_s)
    raise InputError("too late")


def write_until_ended(file: Path) -> None:
    """Write for a minute, as a training does that keeps its state."""
    try:
        for _ in range(6000):
            file.write_text("under way")
            time.sleep(0.01)
    finally:
        file.write_text("ended")


def process() -> int:
    time.sleep(0.2)
    return os.getpid()


def fail(value: int) -> None:
    raise InputError(f"{value} is wrong")


TREE = {
    "one": Call(total, (1,)),
    "two": Call(total, (2,)),
    "three": Call(total, (), ("one", "two")),
    "nine": Call(total, (1,), ("three", "three", "two")),
}


@pytest.mark.parametrize("jobs", [1, 2, -1])
def test_results_follow_the_arguments_in_the_order_asked(jobs):
    assert dict(results(TREE, jobs)) == {"one": 1, "two": 2, "three": 3, "nine": 9}


def test_one_process_keeps_the_order():
    assert [key for key, _ in results(TREE)] == list(TREE)


def test_a_call_waits_for_what_it_needs_and_for_nothing_else():
    calls = {"short": Call(when, (0.05,)), "long": Call(when, (2.0,)), "behind": Call(when, (0.05,), ("short",))}
    found = list(results(calls, 2))
    assert [key for key, _ in found] == ["short", "behind", "long"]
    ended_s = dict(found)
    assert ended_s["short"] < ended_s["behind"] < ended_s["long"]


def test_many_calls_over_few_processes_are_each_made_once():
    calls = {index: Call(total, (index,)) for index in range(100)}
    found = list(results(calls, 2))
    assert sorted(found) == [(index, index) for index in range(100)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_call_raises_comes_through_and_the_next_calls_find_processes(jobs):
    with pytest.raises(InputError, match="7 is wrong"):
        dict(results({"well": Call(total, (1,)), "wrong": Call(fail, (7,))}, jobs))
    assert dict(results(TREE, jobs))["nine"] == 9


def test_a_process_that_is_ended_from_outside_is_told_with_the_remedy():
    with pytest.raises(InputError, match=r"ended from outside.*memory; run with fewer --jobs.*--resume"):
        dict(results({index: Call(end, (os.getpid(),)) for index in range(4)}, 2))
    assert dict(results(TREE, 2))["nine"] == 9


def test_the_process_that_asks_works_too():
    found = dict(results({index: Call(process, ()) for index in range(8)}, 2))
    assert len(set(found.values())) == 2
    assert os.getpid() in found.values()


def test_what_is_given_up_is_ended_before_the_error_comes(tmp_path):
    """This process makes the last call, the other one the first."""
    file = tmp_path / "state"
    began_s = time.monotonic()
    with pytest.raises(InputError, match="too late"):
        dict(results({"wrong": Call(fail_later, (0.3,)), "long": Call(write_until_ended, (file,))}, 2))
    assert file.read_text() == "ended"
    assert time.monotonic() - began_s < 30


def test_results_that_nobody_waits_for_are_given_up(tmp_path):
    file = tmp_path / "state"
    found = results({"short": Call(total, (1,)), "long": Call(write_until_ended, (file,))}, 2)
    assert next(found) == ("short", 1)
    found.close()
    assert file.read_text() == "ended"


def test_a_script_without_a_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from netsim.pool import Call, results\n"
        "print(sorted(results({1: Call(max, (2, 1)), 2: Call(max, (3, 1))}, jobs=2)))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[(1, 2), (2, 3)]\n"
