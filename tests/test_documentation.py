"""What the README shows works, and every shipped scenario loads."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

import netsim
from netsim.cli.arguments import parser
from netsim.scenario.load import load, parse_text

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_first_block_runs_the_quickstart_and_the_marked_one_the_tests() -> None:
    first, *_ = blocks("sh")
    assert "netsim run scenarios/quickstart.yaml" in first
    marked = README.split("<!-- test command -->")[1]
    assert marked.strip().startswith("```sh")
    assert "-m pytest" in marked.split("```")[1]


def test_every_command_shown_is_one() -> None:
    shown = re.findall(r"netsim (?:run|check|explain|plot|capture|inspect|list|schema|collective)[^`#\n]*", README)
    assert len(shown) >= 8
    for line in shown:
        arguments = shlex.split(line.replace("COMMAND", "run x"))[1:]
        if arguments != ["capture", "resnet20-digits", "--out"]:
            parser("test").parse_args(arguments)


def test_the_scenario_shown_loads() -> None:
    (text,) = blocks("yaml")
    scenarios = parse_text(text.replace("my.trace", "resnet20-digits"), ROOT / "scenarios")
    assert len(scenarios) == 4 * 2 * 3


def test_the_calls_shown_work(monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(block for block in blocks("python") if "netsim.load" in block)
    one = load(ROOT / "scenarios/quickstart.yaml")[:1]
    # The package keeps what it looked up: were the module's own `load` patched, too, the package's would stay patched.
    monkeypatch.setattr(netsim, "load", lambda path: one)
    names: dict[str, object] = {"gradients": torch.randn(4, 1000)}
    exec(compile(code.replace("jobs=2", "jobs=1"), "README.md", "exec"), names)
    assert len(names["table"]) == 1


def test_the_columns_explained_are_columns() -> None:
    from netsim.record import RUN_COLUMNS

    table = README.split("## What the numbers mean")[1].split("\n\n")[1]
    named = re.findall(r"^\| (.*?) \|", table, flags=re.MULTILINE)[2:]
    for cell in named:
        assert set(re.findall(r"`(\w+)`", cell)) <= set(RUN_COLUMNS)


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_scenario_loads_and_says_what_it_asks(path: Path) -> None:
    scenarios = load(path)
    assert scenarios
    assert "?" in scenarios[0].about


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios" / "traces").glob("*")), ids=lambda path: path.stem)
def test_shipped_traces_are_small(path: Path) -> None:
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 16e6
