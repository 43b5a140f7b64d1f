"""Work that is interrupted: seconds of work, and the clock."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from netsim.conditions import Devices

ONE = np.array([0])


def devices(*schedules):
    found = Devices(1)
    for schedule in schedules:
        found.add(0, iter(schedule))
    return found


def through(found, start_s, work_s):
    return float(found.after(ONE, np.array([start_s]), work_s)[0])


def test_a_device_that_is_never_down_works_on():
    start_s, work_s = np.array([0.1, 0.7]), np.array([[0.2], [0.3]])
    assert (Devices(2).after(np.arange(2), start_s, work_s) == start_s + work_s).all()


def test_work_stops_while_the_device_is_down():
    found = devices([(1.0, 3.0), (4.0, 5.0)])
    assert through(found, 0.0, 1.0) == 1.0  # done as it goes down
    assert through(found, 0.0, 1.5) == 3.5
    assert through(found, 0.0, 2.5) == 5.5
    assert through(found, 2.0, 0.5) == 3.5  # taken up while it is down
    assert through(found, 2.0, 0.0) == 3.0  # even nothing waits
    assert through(found, 3.0, 1.0) == 4.0
    np.testing.assert_allclose(found.down_s(2.0, 4.5), [1.5])
    assert found.up_s(0.5) == 0.5
    assert found.up_s(1.0) == 3.0


def test_failures_that_overlap_are_one():
    found = devices([(1.0, 3.0), (6.0, 7.0)], [(2.0, 4.0), (3.5, 5.0)])
    assert found.between(0, 0.0, 10.0) == [(1.0, 5.0), (6.0, 7.0)]
    assert through(found, 0.0, 2.5) == 7.5


def test_schedules_without_end_are_read_as_far_as_they_are_needed():
    found = devices((turn + 0.5, turn + 1.0) for turn in count())
    assert through(found, 0.0, 10.25) == pytest.approx(20.25)


@pytest.mark.parametrize("seed", range(10))
def test_work_is_the_time_that_it_is_up(seed):
    """From begin to end, a device is up for exactly as long as it has worked; later work ends later."""
    rng = np.random.default_rng(seed)
    begin_s = np.cumsum(rng.exponential(1.0, 40))
    found = devices(zip(begin_s.tolist(), (begin_s + rng.exponential(0.7, 40)).tolist(), strict=True))
    for start_s, work_s in rng.uniform(0.0, 10.0, (20, 2)):
        end_s = through(found, start_s, work_s)
        assert end_s - start_s - found.down_s(start_s, end_s)[0] == pytest.approx(work_s, rel=1e-12)
        assert through(found, start_s, work_s + 0.1) > end_s
