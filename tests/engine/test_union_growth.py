"""Traces of eight workers of every built-in task: the curve fitted to unions of up to four, against all eight."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import norm

from netsim.cli import main
from netsim.engine.sparsity import count_holders, fit_growth, measure_sparsity, supports, union_densities
from netsim.workload.tasks import tasks
from netsim.workload.trace import open_trace

if TYPE_CHECKING:
    from pathlib import Path

    from netsim.workload.base import Gradients

pytestmark = pytest.mark.slow

RATIOS = 0.001, 0.01, 0.1
WORKERS, FITTED = 8, 4
CHANCE = 1e-3
"""Of random hashing to be less even than the bound, over all of a trace's workers and partitions."""


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("eight")

    @cache
    def of_task(task: str) -> Gradients:
        path: Path = folder / f"{task}.trace"
        assert main(["capture", task, "--out", str(path), "--workers", "8", "--steps", "0,10", "--device", "cpu"]) == 0
        return open_trace(path)

    return of_task


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("task", list(tasks))
def test_eight_workers_from_four(captured, task: str, ratio: float) -> None:
    trace = captured(task)
    for step in range(trace.num_steps):
        measured = union_densities(count_holders(supports(trace, step, ratio)))
        curve = fit_growth(measured[:FITTED])
        errors = [curve(workers) / measured[workers - 1] - 1 for workers in range(2, WORKERS + 1)]
        print(f"\n  {task}, top {ratio:g}, step {step}: {np.round(errors, 4)}")  # noqa: T201
        assert np.abs(errors).max() < 0.05


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("task", list(tasks))
def test_hashing_balances_owners(captured, task: str, ratio: float) -> None:
    """n elements in m partitions at random: sqrt((m - 1) / n) is the deviation of a partition, over its mean."""
    trace = captured(task)
    worst = norm.isf(CHANCE / WORKERS**2)  # of 64 partitions, 4.2 deviations
    for step in range(trace.num_steps):
        each = supports(trace, step, ratio)
        found = measure_sparsity(each)
        scatter = worst * np.sqrt((WORKERS - 1) / min(int(one.sum()) for one in each))
        print(  # noqa: T201
            f"\n  {task}, top {ratio:g}, step {step}: {found.hash_imbalance:.3f} hashed, "
            f"{1 + scatter:.3f} at most by chance, {found.shard_skew:.2f} in shards"
        )
        assert found.hash_imbalance < 1 + scatter
        if scatter < 0.1:
            assert found.hash_imbalance < 1.1


@pytest.mark.parametrize("task", list(tasks))
def test_the_mean_union_is_that_of_all_choices(captured, task: str) -> None:
    each = supports(captured(task), 0, 0.01)
    unions = [
        np.any([each[one].numpy() for one in chosen], axis=0).mean() for chosen in combinations(range(WORKERS), 3)
    ]
    assert union_densities(count_holders(each))[2] == pytest.approx(np.mean(unions))
