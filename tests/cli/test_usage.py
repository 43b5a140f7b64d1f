"""The command line as a promise: commands, options, help texts, and how fast it starts."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from netsim.cli import main
from netsim.cli.arguments import COMMANDS, PLOTS, REGISTRIES, parser
from netsim.cli.commands import _COMMANDS
from netsim.report.plot import KINDS

PROMISED = {
    "run": {"SCENARIO", "--out", "--set", "--jobs", "--resume", "--network"},
    "check": {"SCENARIO"},
    "list": {"what"},
    "plot": {"RESULT_DIR", "--kind", "--x", "--out"},
    "capture": {"TASK", "--out", "--workers", "--steps", "--device", "--batch"},
    "inspect": {"TRACE"},
    "collective": {"NAME", "--algorithm", "--topology", "--sizes", "--network", "--transport"},
    "rd": {"TRACE", "--schemes", "--out"},
    "explain": {"SCENARIO"},
    "schema": set(),
}
FITTING = {"--transport", "--bandwidth", "--latency", "--algorithm", "--out", "--plot"}
ADDED = {
    "run": {"--no-plots"},
    "check": {"--set", "--network"},
    "plot": {"--point", "--step"},
    "capture": {"--seed"},
    "explain": {"--set", "--network", "--point"},
    "list": {"NAME"},
    "collective": {"--workers"},
    "calibrate-schemes": {"SCENARIO", "--schemes", "--set", "--statistic", "--add", "--out", "--device"},
    "trace": {"SCENARIO", "--set", "--network", "--point", "--out"},
    "export": {"TOPOLOGY", "--out", "--servers"},
    "calibrate": {"LOG", "--operation", "--workers", "--column"} | FITTING,
    "probe": {"--backend", "--sizes", "--repeats", "--statistic", "--log"} | FITTING,
}
EVERYWHERE = {"-h", "--help", "--json", "--debug"}


def commands():
    subparsers = next(one for one in parser("0")._actions if isinstance(one, argparse._SubParsersAction))
    return subparsers.choices


def options(command):
    found = set()
    for action in command._actions:
        found |= set(action.option_strings) or {action.metavar or action.dest}
    return found


def test_the_options_are_those_promised():
    expected = {name: PROMISED.get(name, set()) | ADDED.get(name, set()) | EVERYWHERE for name in PROMISED | ADDED}
    assert {name: options(command) for name, command in commands().items()} == expected


def test_registries_and_plots_that_can_be_named_exist():
    assert REGISTRIES == (
        "schemes", "sync", "topologies", "networks", "transports", "tasks", "traces", "optimizers",
        "policies", "conditions", "workloads", "costs", "models",
    )  # fmt: skip
    assert tuple(PLOTS) == KINDS
    assert list(_COMMANDS) == [command.name for command in COMMANDS]


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_explains_itself_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert f"example: netsim {command} " in text
    for action in commands()[command]._actions:
        assert action.help, f"{action.dest} has no help"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.name)
def test_every_example_parses(command):
    words = [word.strip("'") for word in command.example.split(">")[0].replace(" Gbit/s", "Gbit/s").split()]
    assert parser("0").parse_args(words[1:]).command == command.name


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["rnu"],
        ["run"],
        ["run", "x.yaml", "--set", "workers"],
        ["run", "x.yaml", "--jobs", "0"],
        ["list", "scheme"],
        ["plot", "x", "--kind", "pie"],
        ["capture", "resnet20-digits"],
        ["capture", "resnet20-digits", "--out", "x", "--steps", "1,a"],
        ["check", "x.yaml", "--unknown"],
    ],
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage: netsim" in capsys.readouterr().err


LOADED = "import sys; from netsim.cli import main\ntry: main({})\nexcept SystemExit: pass\nprint(*sys.modules)"
# The module "torch" itself may be there as a placeholder that has loaded nothing yet.
HEAVY = {"torch._C", "matplotlib", "pandas", "scipy", "sklearn", "pyarrow"}


def loaded(arguments, folder):
    command = [sys.executable, "-c", LOADED.format(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, timeout=60)
    assert not done.stderr
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["check", "small.yaml"], ["list"]])
def test_light_commands_import_nothing_heavy(arguments, home, request, monkeypatch):
    root = str(request.config.rootpath)
    monkeypatch.setenv("PYTHONPATH", root)
    modules = loaded(arguments, home)
    assert "netsim.cli" in modules
    assert not modules & HEAVY


def test_help_imports_not_even_numpy(home, request, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))
    assert not loaded(["--help"], home) & {"numpy", "networkx", "pydantic", "yaml", "simpy"}
