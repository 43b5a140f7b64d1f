"""Live problems: where their samples come from, and what is wrong with a file."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pytest

from netsim.errors import InputError, ScenarioErrors
from netsim.scenario.load import build
from netsim.workload import Bundled, Logistic, Ridge, Table
from netsim.workload.base import workloads
from netsim.workload.tasks import GptStdlib, LstmStdlib, Task, tasks

if TYPE_CHECKING:
    from pathlib import Path


def test_a_worker_has_the_same_samples_however_many_there_are() -> None:
    few, many = (Ridge(samples=10, features=3).problem(workers, 4) for workers in (2, 5))
    assert np.array_equal(few.features, many.features[:2])
    assert np.array_equal(few.targets, many.targets[:2])


def test_conditioning_is_that_of_the_covariance() -> None:
    features = Ridge(samples=20_000, features=4, conditioning=50).problem(1, 0).features[0]
    eigenvalues = np.linalg.eigvalsh(features.T @ features / len(features))
    assert eigenvalues[-1] / eigenvalues[0] == pytest.approx(50, rel=0.1)
    assert eigenvalues.sum() == pytest.approx(1, rel=0.05)


def test_logistic_targets_are_signs() -> None:
    assert set(np.unique(Logistic(samples=50, features=3).problem(2, 0).targets)) == {-1.0, 1.0}


@pytest.mark.parametrize("data", ["breast_cancer", "digits", "diabetes"])
def test_bundled_data_is_shared_evenly(data: str) -> None:
    problem = Bundled(data=data).problem(4, 0)
    assert problem.workers == 4
    assert (problem.features**2).sum(axis=2).mean() == pytest.approx(1, rel=0.05)
    assert np.isfinite(problem.gradient(np.zeros(problem.size))).all()


def test_libsvm_and_csv_give_the_same_problem(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    features, labels = draw.normal(size=(20, 3)).round(3), draw.integers(0, 2, 20)
    rows = [[label, *row] for label, row in zip(labels, features, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    lines = [" ".join([str(row[0]), *(f"{i}:{value}" for i, value in enumerate(row[1:], 1))]) for row in rows]
    (tmp_path / "a.libsvm").write_text("\n".join(lines))
    one, other = (Table(path=str(tmp_path / name)).problem(2, 0) for name in ("a.csv", "a.libsvm"))
    assert one.features == pytest.approx(other.features)
    assert np.array_equal(one.targets, other.targets)
    assert set(np.unique(one.targets)) == {-1.0, 1.0}


@pytest.mark.parametrize("text", ["", "a,b\n", "1,2,3\n1,2\n", "1,nan\n0,2\n", "1,2\n2,3\n3,4\n", "1,2,3\n0,2,3\n"])
def test_a_bad_table_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(InputError, match=r"bad\.csv"):
        Table(path=str(tmp_path / "bad.csv")).check()


def test_too_few_samples_are_an_error() -> None:
    with pytest.raises(InputError, match="too few"):
        Bundled(data="diabetes").problem(1000, 0)


@pytest.mark.parametrize("name", list(tasks))
def test_sizes_of_a_task_that_no_model_can_have_are_refused(name: str) -> None:
    for size in fields(tasks.get(name)):  # type: ignore[arg-type]
        for wrong in (0, -4):
            with pytest.raises(ScenarioErrors, match=rf"task\.{size.name}.*{wrong}"):
                build(workloads, {"kind": "live", "task": {"kind": name, size.name: wrong}})


def test_heads_share_the_width_evenly() -> None:
    build(workloads, {"kind": "live", "task": {"kind": "gpt-stdlib", "width": 32, "heads": 8}})
    with pytest.raises(ScenarioErrors, match=r"task\.heads: 3 heads do not share a width of 32"):
        build(workloads, {"kind": "live", "task": {"kind": "gpt-stdlib", "width": 32, "heads": 3}})


@pytest.mark.parametrize("task", [GptStdlib(context=10**9), LstmStdlib(length=10**9)])
def test_a_task_says_where_its_source_is_too_short(task: Task) -> None:
    with pytest.raises(InputError, match=r"the source has only .*; lower"):
        task.samples()
