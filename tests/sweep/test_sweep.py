"""A sweep gives the same table in any number of processes, and loses no finished point however it ends."""

from __future__ import annotations

import csv
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from netsim.errors import InputError, NetsimError
from netsim.record.folder import ResultFolder
from netsim.sweep import sweep
from netsim.writing import write_atomically, write_text
from tests.sweep.fake import Log, points

ROOT = Path(__file__).parents[2]


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "x.trace"
    path.write_bytes(b"anything")
    return str(path)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


def test_points_come_in_order_and_each_measurement_is_made_once(trace, log):
    scenarios = points(trace)
    runs = sweep(scenarios, engine=log.engine)
    expected = [one.scheme.ratio / 3 / (1 + one.topology.workers) for one in scenarios]
    assert list(runs["step_time_s"]) == expected
    assert (log.calls("measure"), log.calls("simulate")) == (4, 12)


def test_the_folder_holds_what_was_promised(trace, log, tmp_path):
    runs = sweep(points(trace), out=tmp_path / "out", engine=log.engine)
    out = tmp_path / "out"
    names = {"runs.parquet", "runs.csv", "steps.parquet", "links.parquet", "spans.parquet", "curves.parquet"}
    names |= {"scenario.yaml"}
    assert {one.name for one in out.iterdir()} == names | {"provenance.json", "points"}
    pd.testing.assert_frame_equal(pd.read_parquet(out / "runs.parquet"), runs)
    with (out / "runs.csv").open() as stream:
        assert [float(row["step_time_s"]) for row in csv.DictReader(stream)] == list(runs["step_time_s"])
    assert len(pd.read_parquet(out / "steps.parquet")) == 24
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["points"] == 12
    assert provenance["trace"] == ["fake"]
    assert len(set(provenance["scenario_hash"])) == 12


def test_two_processes_write_the_same_bytes_as_one(trace, log, tmp_path):
    for jobs in (1, 2):
        sweep(points(trace), jobs, tmp_path / f"out{jobs}", engine=log.engine)
    for name in ("runs.csv", "runs.parquet", "steps.parquet", "spans.parquet", "links.parquet", "provenance.json"):
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes(), name


def test_two_runs_do_not_write_to_one_folder(trace, log, tmp_path):
    out = tmp_path / "out"
    with (
        ResultFolder(out).opened(resume=False),
        pytest.raises(InputError, match=r"another run is writing .*; wait for its end, or choose another --out"),
    ):
        sweep(points(trace, 2), out=out, resume=True, engine=log.engine)
    sweep(points(trace, 2), out=out, resume=True, engine=log.engine)
    assert sorted(one.name for one in out.iterdir() if one.name.startswith(".")) == []


def test_a_folder_that_holds_something_is_left_alone(trace, log, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    sweep(points(trace, 2), out=out, engine=log.engine)
    before = (out / "runs.csv").read_bytes()
    with pytest.raises(InputError, match=r"not empty; use --resume .* to keep .* or another --out"):
        sweep(points(trace, 4), out=out, engine=log.engine)
    assert (out / "runs.csv").read_bytes() == before
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("mine")
    for resume in (True, False):
        with pytest.raises(InputError, match=r"holds something, which is no run's; choose another --out"):
            sweep(points(trace, 2), out=tmp_path / "foreign", resume=resume, engine=log.engine)
    assert [one.name for one in (tmp_path / "foreign").iterdir()] == ["notes.txt"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be made"):
        sweep(points(trace, 2), out=tmp_path / "file", engine=log.engine)


def test_resuming_runs_only_what_is_missing_or_changed(trace, log, tmp_path):
    out = tmp_path / "out"
    sweep(points(trace, 8), out=out, engine=log.engine)
    sweep(points(trace, 12), out=out, resume=True, engine=log.engine)
    assert log.calls("simulate") == 12
    changed = [replace(points(trace)[0], seed=1), *points(trace)[1:]]
    sweep(changed, out=out, resume=True, engine=log.engine)
    assert log.calls("simulate") == 13
    Path(trace).write_bytes(b"another trace")
    sweep(points(trace), out=out, resume=True, engine=log.engine)
    assert log.calls("simulate") == 25


def test_a_damaged_point_is_run_again_and_half_written_files_go(trace, log, tmp_path):
    out = tmp_path / "out"
    sweep(points(trace, 4), out=out, engine=log.engine)
    before = (out / "runs.csv").read_bytes()
    damaged = sorted((out / "points").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    (out / "points" / "half.zip.1.writing").write_bytes(b"half")
    sweep(points(trace, 4), out=out, resume=True, engine=log.engine)
    assert log.calls("simulate") == 5
    assert not list(out.rglob("*.writing"))
    assert (out / "runs.csv").read_bytes() == before


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_point_that_fails_is_named_and_the_others_are_kept(trace, tmp_path, jobs):
    log = Log(tmp_path / "log", fails_at=3)
    with pytest.raises(NetsimError, match=r"fake, topology.workers=3, topk over ring: the clock ran backwards"):
        sweep(points(trace), jobs, tmp_path / "out", engine=log.engine)
    well = Log(tmp_path / "log")
    sweep(points(trace), jobs, tmp_path / "out", resume=True, engine=well.engine)
    assert 12 <= well.calls("simulate") <= 14


def test_nothing_to_run_and_no_process_to_run_it_are_errors(trace):
    with pytest.raises(InputError, match="no point"):
        sweep([])
    for jobs in (0, "2", 1.5):
        with pytest.raises(InputError, match=f"jobs is {jobs!r}"):
            sweep(points(trace), jobs=jobs)
    for what in (points(trace)[0], "scenarios/quickstart.yaml", [1]):
        with pytest.raises(InputError, match=r"is no list of scenarios; give what netsim\.load returns"):
            sweep(what)


def test_equal_points_are_run_once_and_listed_twice(trace, log, tmp_path):
    one = points(trace, 1)
    runs = sweep(one * 2, out=tmp_path / "out", engine=log.engine)
    assert (len(runs), log.calls("simulate")) == (2, 1)


def start(out: Path, trace: str, jobs: int, hash_seed: int = 0) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(hash_seed)}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.sweep.fake", str(out), trace, str(jobs)],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> None:
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said


def first_point(out: Path) -> None:
    deadline = time.monotonic() + 60
    while not list((out / "points").glob("*.zip")) and time.monotonic() < deadline:
        time.sleep(0.002)


def test_the_hash_seed_changes_nothing(trace, tmp_path):
    for seed in (1, 2):
        finish(start(tmp_path / f"out{seed}", trace, 1, seed))
    assert (tmp_path / "out1" / "runs.csv").read_bytes() == (tmp_path / "out2" / "runs.csv").read_bytes()


def test_killed_at_a_random_moment_and_resumed_gives_the_same_table(trace, tmp_path):
    whole = sweep(points(trace), out=tmp_path / "whole", engine=Log(tmp_path / "log0").engine)
    expected = (tmp_path / "whole" / "runs.csv").read_bytes()
    assert len(whole) == 12
    moments = random.Random(2)
    out = tmp_path / "killed"
    for repeat in range(10):
        process = start(out / str(repeat), trace, 1 + repeat % 2)
        first_point(out / str(repeat))
        time.sleep(moments.uniform(0, 0.25))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        sweep(points(trace), out=out / str(repeat), resume=True, engine=Log(out / "log").engine)
        assert (out / str(repeat) / "runs.csv").read_bytes() == expected


@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupted_it_ends_soon_and_keeps_what_is_finished(trace, tmp_path, jobs):
    process = start(tmp_path / "out", trace, jobs)
    first_point(tmp_path / "out")
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert list((tmp_path / "out" / "points").glob("*.zip"))
    assert "Traceback" not in said


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path):
    write_text(tmp_path / "x.csv", "before")

    def full(stream):
        stream.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=r"x.csv: cannot be written: No space left on device; .*free some space"):
        write_atomically(tmp_path / "x.csv", full)
    with pytest.raises(InputError, match=r"nowhere.*No such file or directory"):
        write_text(tmp_path / "nowhere" / "x.csv", "after")
    with pytest.raises(InputError, match="Is a directory"):
        write_text(tmp_path, "after")
    assert [file.name for file in tmp_path.iterdir()] == ["x.csv"]
    assert (tmp_path / "x.csv").read_text() == "before"


def test_a_pipe_is_written_to_and_a_link_is_followed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_text(tmp_path / "link", "followed")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "followed"
