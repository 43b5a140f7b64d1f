"""`netsim probe`: two ranks on this machine, and what it says where nobody started several."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import yaml

from netsim.calibration import read_log
from netsim.calibration.probe import rank_and_size
from netsim.cli import main
from netsim.errors import InputError

LAUNCHED = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def test_two_ranks_write_a_log_and_a_section_that_calibrate_gives_back(tmp_path, request, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    log, section = tmp_path / "probe.csv", tmp_path / "network.yaml"
    command = [sys.executable, "-m", "netsim", "probe", "--sizes", "40kB,1MB,4MB", "--repeats", "1", "--out", section]
    command += ["--backend", "gloo", "--statistic", "least", "--log", log]
    shared = (
        os.environ
        | LAUNCHED
        | {"MASTER_PORT": port, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(request.config.rootpath)}
    )
    ranks = [
        subprocess.Popen(
            command, env=shared | {"RANK": rank}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in ("0", "1")
    ]
    (said, error), (other, _) = [one.communicate(timeout=120) for one in ranks]
    assert [one.returncode for one in ranks] == [0, 0], error
    assert "gloo, fitted to 6 samples" in said
    assert not other
    samples = read_log(log)
    assert [(one.operation, one.workers, one.size_bytes) for one in samples] == [
        (operation, 2, size) for operation in ("point_to_point", "all_reduce") for size in (40e3, 1e6, 4e6)
    ]
    assert all(0 < one.time_s < 10 for one in samples)
    written = section.read_text()
    assert main(["calibrate", str(log), "--transport", "gloo", "--out", str(section)]) == 0
    capsys.readouterr()
    assert yaml.safe_load(section.read_text()) == yaml.safe_load(written)


@pytest.mark.parametrize("missing", [*LAUNCHED, None])
def test_without_torchrun_the_command_line_to_use_is_said(missing, monkeypatch, capsys):
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
        if missing not in {name, None}:
            monkeypatch.setenv(name, LAUNCHED[name])
    assert main(["probe"]) == 1
    said = capsys.readouterr().err
    assert "not started by torchrun" in said
    assert "torchrun --nnodes 2" in said
    assert "--no-python netsim probe" in said
    assert (missing or "RANK") in said


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"WORLD_SIZE": "1"}, "nobody to talk to"), ({"RANK": "2"}, "rank 2 of 2"), ({"RANK": "x"}, "is not a number")],
)
def test_ranks_that_cannot_be_are_refused(changed, said):
    with pytest.raises(InputError, match=said):
        rank_and_size(LAUNCHED | changed)
