"""What goes wrong: one line each, the right exit code, no traceback."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

import netsim.cli.commands
from netsim.cli import main
from netsim.engine.calibrate import measured_on
from netsim.workload.cost import TABLE_FORMAT

HUNDREDS = "{kind: star, workers: 300, bandwidth: 1 Gbit/s}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["check", "x" * 5000], "cannot be read: File name too long; "),
        (["inspect", "x" * 5000], "File name too long; "),
        (["check", "a\0b"], "cannot be read: embedded null byte; "),
        (["calibrate", "/dev/zero"], "/dev/zero: larger than any log of this kind"),
        (["run", "small.yaml", "elsewhere/small.yaml"], "two scenarios are called 'small'"),
        (["run", "broken.yaml"], "broken.yaml:2: topology.bandwidth: "),
        (["check", "small.yaml", "--set", "topology.wrkers=2"], "'workers'"),
        (["check", "small.yaml", "--network", "flwo"], "'flow'"),
        (["plot", "nowhere"], "nowhere: no runs.parquet here"),
        (["plot", "nowhere", "--kind", "heatmap", "--x", "workers"], "--x: plot 'heatmap' has no use for it"),
        (["plot", "nowhere", "--point", "2"], "--point: plot 'speedup' has no use for it"),
        (["plot", "nowhere", "--kind", "error", "--step", "1"], "--step: plot 'error' has no use for it"),
        (["inspect", "nowhere.trace"], "there is no trace"),
        (["inspect", "small.yaml"], "small.yaml"),
        (["capture", "resnet", "--out", "x.trace"], "'resnet20-digits'"),
        (["check", "small.yaml", "--set", "topology=mine.graphml"], "write {kind: file, path: mine.graphml}"),
        (["check", "small.yaml", "--set", "network.transport=network.yaml"], "write here what that file says"),
        (["list", "topologies", "sta"], "did you mean 'star'"),
        (["list", "traces", "resnet20-digits"], "netsim inspect shows what one holds"),
        (["collective", "all_redcue"], "'all_reduce'"),
        (["collective", "all_reduce", "--algorithm", "rign"], "'ring'"),
        (["collective", "all_reduce", "--topology", "nowhere.graphml"], "file 'nowhere.graphml' is not found"),
        (["collective", "all_reduce", "--topology", "{kind: file, path: small}"], "did you mean 'small.yaml'"),
        (["collective", "all_reduce", "--transport", "tpc"], "'tcp'"),
        (["collective", "all_reduce", "--transport", "{kind: tcp, efficency: 1}"], "'efficiency'"),
        (["collective", "all_reduce", "--transport", "[tcp]"], "write a name, or a map"),
        (["collective", "all_reduce", "--transport", "nowhere.yaml"], "--transport: there is no file"),
        (["collective", "all_reduce", "--sizes", "1MB,3"], "--sizes: size '3' needs a unit"),
        (["collective", "all_reduce", "--sizes", "0B"], "--sizes: a collective of 0 bytes"),
        (["collective", "all_reduce", "--topology", "nowhere.yaml"], "--topology: there is no file"),
        (["collective", "all_reduce", "--topology", "{kind: star, workers: 4}"], "bandwidth"),
        (["collective", "all_reduce", "--topology", "{kind: sta}"], "'star'"),
        (["collective", "all_reduce", "--topology", HUNDREDS, "--workers", "worker300"], "worker187 and 201 more"),
        (
            ["export", "{kind: star, workers: 9000000, bandwidth: 1 Gbit/s}", "--out", "x.json"],
            "TOPOLOGY: has 9,000,000",
        ),
        (["trace", "small.yaml", "--out", "nowhere/x.json"], "--out: 'nowhere/x.json' cannot be written"),
        (["calibrate", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["calibrate", "broken.yaml"], "broken.yaml: no column of sizes"),
        (["calibrate", "times.csv", "--bandwidth", "10"], "--bandwidth: bandwidth '10' needs a unit"),
        (["calibrate", "times.csv", "--latency", "fast"], "--latency: 'fast' is not a duration"),
        (["calibrate", "times.csv", "--transport", "tpc"], "'tcp'"),
        (["calibrate", "times.csv", "--transport", "{kind: tcp, efficiency: 2}"], "efficiency"),
        (["calibrate", "times.csv", "--out", "nowhere/x.yaml"], "--out: 'nowhere/x.yaml' cannot be written"),
        (["calibrate", "times.csv", "--operation", "all_reduce", "--workers", "4", "--algorithm", "rign"], "'ring'"),
        (["calibrate-schemes", "--out", "nowhere/costs.json"], "--out: 'nowhere/costs.json' cannot be written"),
        (["calibrate-schemes", "--out", "."], "--out: '.' cannot be written"),
        (["calibrate-schemes", "--add", "--out", "costs.json"], "has threads 99, and here it is"),
        (["probe", "--log", "nowhere/times.csv"], "--log: 'nowhere/times.csv' cannot be written"),
        (["rd", "small.trace", "nowhere.trace"], "there is no trace 'nowhere.trace'"),
        (["rd", "small.trace", "--out", "small.yaml/rd"], "--out: folder 'small.yaml/rd' cannot be written"),
        (["probe"], "not started by torchrun"),
        (["explain", "small.yaml", "--point", "13"], "--point: there is no point 13; the scenario has 12"),
    ],
)
def test_wrong_input_exits_with_1_and_says_what(arguments, said, at_home, monkeypatch, capsys):
    (at_home / "broken.yaml").write_text(
        "topology:\n  {kind: star, bandwidth: 10}\nworkload: {kind: recorded, trace: small}\n"
    )
    (at_home / "times.csv").write_text("size_bytes,time_s\n1000,0.001\n1000000,0.01\n")
    costs = {"format": TABLE_FORMAT, "aggregate": {}, "schemes": {}}
    (at_home / "costs.json").write_text(json.dumps(costs | measured_on("cpu") | {"threads": 99}))
    monkeypatch.setattr("netsim.engine.calibrate.calibrate", fail(AssertionError("measured in vain")))
    assert main(arguments) == 1
    text = capsys.readouterr()
    assert said in text.err
    assert "Traceback" not in text.err
    assert not text.out


def test_problems_are_json_too(at_home, capsys):
    assert main(["check", "small.yaml", "--set", "seed=-1", "--set", "job.steps=0", "--json"]) == 1
    errors = json.loads(capsys.readouterr().out)["errors"]
    assert len(errors) == 2
    assert all(set(error) == {"problem", "remedy", "path", "file", "line"} for error in errors)


def test_debug_shows_the_traceback(capsys):
    assert main(["plot", "nowhere", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def fail(error):
    def command(_):
        raise error

    return command


def test_a_defect_is_one_line_and_exits_with_70(monkeypatch, capsys):
    monkeypatch.setitem(netsim.cli.commands._COMMANDS, "list", fail(RuntimeError("two\nlines")))
    assert main(["list"]) == 70
    assert capsys.readouterr().err == "netsim: defect: RuntimeError: two lines; run again with --debug for details\n"
    assert main(["list", "--debug"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_too_little_memory_is_said_and_exits_with_1(monkeypatch, capsys):
    monkeypatch.setitem(netsim.cli.commands._COMMANDS, "list", fail(MemoryError("Unable to allocate 8.00 TiB")))
    assert main(["list"]) == 1
    assert capsys.readouterr().err.startswith("not enough memory: Unable to allocate 8.00 TiB; ")


def test_what_the_machine_refuses_is_said_and_exits_with_1(monkeypatch, capsys):
    refused = OSError(errno.ENOSPC, "No space left on device", "/tmp/x")
    monkeypatch.setitem(netsim.cli.commands._COMMANDS, "list", fail(refused))
    assert main(["list"]) == 1
    assert capsys.readouterr().err.startswith("/tmp/x: No space left on device; ")


def test_an_interrupt_is_one_line_and_exits_with_130(monkeypatch, capsys):
    monkeypatch.setitem(netsim.cli.commands._COMMANDS, "list", fail(KeyboardInterrupt()))
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_broken_pipe_is_silent(request):
    command = f"{sys.executable} -m netsim list | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, cwd=request.config.rootpath, timeout=60, check=False
    )
    assert done.stdout == b"s"
    assert done.stderr == b""


def test_control_c_stops_a_run_without_a_traceback(at_home, tmp_path, request):
    environment = os.environ | {"PYTHONPATH": str(request.config.rootpath)}
    command = [sys.executable, "-m", "netsim", "run", "small.yaml", "--out", str(tmp_path / "out"), "--jobs", "1"]
    command += ["--set", "job.steps=2000"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
    while not (tmp_path / "out").exists() and running.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    try:
        _, err = running.communicate(timeout=10)
    except subprocess.TimeoutExpired:  # a C extension that is being loaded can swallow one
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    # Python ends itself by SIGINT where Ctrl-C came out of an exec(), as in an import: 130 to a shell, too.
    assert running.returncode in {130, -signal.SIGINT}, err
    assert "Traceback" not in err
    assert err.endswith("interrupted\n")


def test_control_c_that_an_import_turned_into_its_own_error_is_still_control_c(monkeypatch, capsys):
    def load(_):
        try:
            raise KeyboardInterrupt  # noqa: TRY301
        except KeyboardInterrupt:
            raise ImportError("half loaded")  # noqa: B904

    monkeypatch.setitem(netsim.cli.commands._COMMANDS, "list", load)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def plugin(load):
    return lambda group: [SimpleNamespace(name="mine", value="mine:register", load=load)]


def test_a_plug_in_is_loaded_before_the_command(monkeypatch, capsys):
    loaded = []
    monkeypatch.setattr(netsim.cli.commands, "entry_points", plugin(lambda: loaded.append("mine")))
    assert main(["list", "transports"]) == 0
    assert loaded == ["mine"]


def test_a_plug_in_that_fails_is_named(monkeypatch, capsys):
    def load():
        raise ImportError("no module named their")

    monkeypatch.setattr(netsim.cli.commands, "entry_points", plugin(load))
    assert main(["list", "transports"]) == 1
    assert capsys.readouterr().err.startswith("plug-in 'mine' (mine:register) fails: no module named their; ")
