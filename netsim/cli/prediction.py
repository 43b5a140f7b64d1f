"""The commands on scenarios and results: run, check, plot, explain, trace."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsim.cli.output import check_writable, print_json, records, say
from netsim.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    import pandas as pd

    from netsim.scenario.schema import Scenario


def run(arguments: argparse.Namespace) -> None:
    """Simulate every point, print the table, write tables and figures."""
    names = [path.stem for path in arguments.scenarios]
    if twice := [name for name in names if names.count(name) > 1]:
        problem = f"two scenarios are called {twice[0]!r}, and results go by these names"
        raise InputError(problem, "rename one of the files, or run them one by one", path="SCENARIO")
    scenarios = load(arguments, arguments.scenarios)
    out = arguments.out or Path("results") / "+".join(dict.fromkeys(one.name for one in scenarios))
    from netsim.report.tables import assumed_costs, details, summary
    from netsim.report.training import training_summary, trains
    from netsim.sweep import sweep
    from netsim.writing import write_text

    runs = sweep(scenarios, jobs=arguments.jobs, out=out, resume=arguments.resume)
    replayed, trained = runs[~trains(runs)], runs[trains(runs)]
    full = [summary(replayed, blocks=0), details(replayed)] if len(replayed) else []
    shown = [summary(replayed)] if len(replayed) else []
    if len(trained):
        full.append(training_summary(trained))
        shown.append(full[-1])
    if note := assumed_costs(runs):
        full.append(note)
        shown.append(note)
    write_text(out / "table.txt", "\n\n".join(full) + "\n")
    pictures = _draw_standard(out, replayed, trained) if arguments.plots else []
    say(arguments, "\n\n".join(shown))
    say(arguments, f"\nTables: {out}{os.sep} (runs.csv; every point in detail: table.txt)")
    if pictures:
        say(arguments, f"Figures: {', '.join(map(str, pictures))}")
    if arguments.json:
        print_json({"out": str(out), "figures": list(map(str, pictures)), "runs": records(runs)})


def _draw_standard(out: Path, replayed: pd.DataFrame, trained: pd.DataFrame) -> list[Path]:
    from netsim.report.plot import ASYNCHRONOUS, STANDARD, TRAINING, UNCOMPRESSED, draw, save
    from netsim.report.staleness import waits_for_nobody
    from netsim.report.uncompressed import compresses

    pictures = []
    steps = STANDARD if compresses(replayed) else UNCOMPRESSED
    kinds = [*(steps if len(replayed) else ()), *(TRAINING if len(trained) else ())]
    for kind in [*kinds, *(ASYNCHRONOUS if waits_for_nobody(replayed) else ())]:
        pictures.append(out / "plots" / f"{kind}.png")
        save(draw(out, kind), pictures[-1])
    return pictures


def check(arguments: argparse.Namespace) -> None:
    """Validate every point of scenarios."""
    scenarios = load(arguments, arguments.scenarios)
    counts: dict[str, int] = {}
    for one in scenarios:
        counts[one.name] = counts.get(one.name, 0) + 1
    for name, count in counts.items():
        say(arguments, f"{name}: {count} {'point' if count == 1 else 'points'}, no problem found")
    if arguments.json:
        print_json({"errors": [], "points": counts})


def plot(arguments: argparse.Namespace) -> None:
    """Draw a figure from a result's tables."""
    from netsim.report.plot import draw, save

    out = arguments.out or arguments.result / "plots" / f"{arguments.kind}.png"
    rows = [number - 1 for number in arguments.point]
    save(draw(arguments.result, arguments.kind, arguments.x, rows, arguments.step), out)
    say(arguments, str(out))
    if arguments.json:
        print_json({"figure": str(out)})


def explain(arguments: argparse.Namespace) -> None:
    """Say where a step's time goes."""
    from netsim.cli.explain import explain
    from netsim.report.explanation import explained

    scenarios = load(arguments, [arguments.scenario])
    for number in arguments.point:
        if number > len(scenarios):
            raise InputError(f"there is no point {number}", f"the scenario has {len(scenarios)}", path="--point")
    found: list[dict[str, Any]] = []
    for number, scenario in enumerate(scenarios, start=1):
        if arguments.point and number not in arguments.point:
            continue
        explanation = explain(scenario)
        changes = [change._asdict() for change in explanation.changes]
        links = list(explanation.links)
        found.append({"point": number, "run": explanation.run, "links": links, "changes": changes})
        say(arguments, f"{explained(number, explanation.run, links, explanation.changes)}\n")
    if arguments.json:
        print_json(found)


def trace(arguments: argparse.Namespace) -> None:
    """Write one step for Perfetto."""
    from netsim.cli.trace import traced
    from netsim.writing import write_text

    check_writable(out=arguments.out)
    scenarios = load(arguments, [arguments.scenario])
    if arguments.point > len(scenarios):
        raise InputError(f"there is no point {arguments.point}", f"the scenario has {len(scenarios)}", path="--point")
    trace = traced(scenarios[arguments.point - 1])
    write_text(arguments.out, json.dumps(trace, allow_nan=False))
    say(arguments, f"{arguments.out}: {len(trace['traceEvents']):,} events; open it at https://ui.perfetto.dev")
    if arguments.json:
        print_json({"trace": str(arguments.out), "events": len(trace["traceEvents"])})


def load(arguments: argparse.Namespace, paths: Sequence[Path]) -> list[Scenario]:
    """Return the points of scenarios, with what the command line sets instead."""
    from netsim.scenario.load import load_all

    return load_all(paths, dict(arguments.settings))
