"""The engine in a sweep: the same bytes whatever the processes, and a folder that can be run again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from netsim.scenario.load import load
from netsim.sweep import sweep
from tests.scenario.tiny import make_folder

ROOT = Path(__file__).parents[2]
TEXT = """\
topology: {kind: star, workers: 3, bandwidth: 10 Mbit/s}
workload: {kind: recorded, trace: tiny}
cost: {kind: documented}
job: {steps: 2, straggler: {distribution: lognormal, spread: 0.1}}
schemes: [none, [error_feedback, {kind: topk, ratio: 0.1}], {kind: powersgd, rank: 1}, randomk]
sync: [ring, {kind: parameter_server, servers: 2, placement: colocated}]
sweep: {topology.bandwidth: [1 Mbit/s, 1 Gbit/s]}
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_folder(tmp_path_factory.mktemp("scenarios")) / "small.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def expected(scenario: Path) -> bytes:
    runs = sweep(load(scenario), out=scenario.parent / "expected")
    assert len(runs) == 16
    return (scenario.parent / "expected" / "runs.csv").read_bytes()


def test_two_processes_give_the_same_table(scenario, expected, tmp_path):
    sweep(load(scenario), 2, tmp_path / "out")
    assert (tmp_path / "out" / "runs.csv").read_bytes() == expected


def test_another_process_with_another_hash_seed_gives_the_same_table(scenario, expected, tmp_path):
    code = "import sys; from netsim.scenario.load import load; from netsim.sweep import sweep; "
    code += "sweep(load(sys.argv[1]), out=sys.argv[2])"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code, str(scenario), str(tmp_path / "out")], check=True, env=environment)
    assert (tmp_path / "out" / "runs.csv").read_bytes() == expected


def test_the_scenario_in_the_folder_gives_the_same_numbers(scenario, expected):
    again = sweep(load(scenario.parent / "expected" / "scenario.yaml"))
    before = sweep(load(scenario))
    names = ["scenario", "point", "swept"]
    assert again.drop(columns=names).equals(before.drop(columns=names))
