"""The commands that run models and schemes themselves: capture, inspect, rd, calibrate-schemes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from netsim.cli.output import check_folder, check_writable, print_json, records, say
from netsim.cli.prediction import load
from netsim.ticker import ticking

if TYPE_CHECKING:
    import argparse

    from netsim.compress import Scheme


def capture(arguments: argparse.Namespace) -> None:
    """Train a built-in task and record every worker's gradients."""
    # OpenMP threads that spin while they wait starve one another on a busy machine; read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from netsim.workload.capture import capture

    with ticking("training steps", alike=True) as tell:
        capture(
            arguments.task, arguments.out, workers=arguments.workers, steps=arguments.steps, device=arguments.device,
            batch=arguments.batch, seed=arguments.seed, progress=tell,
        )  # fmt: skip
    say(arguments, f"{arguments.out} ({arguments.out.stat().st_size:,} bytes); netsim inspect shows what it holds")
    if arguments.json:
        print_json({"trace": str(arguments.out)})


def inspect(arguments: argparse.Namespace) -> None:
    """Show what a trace holds."""
    from netsim.cli.catalogue import trace_file
    from netsim.engine.sparsity import sparsity_table
    from netsim.report.inspection import inspected
    from netsim.workload.describe import describe
    from netsim.workload.trace import open_trace

    trace = trace_file(arguments.trace)
    held = describe(trace) | {"sparsity": sparsity_table(open_trace(trace))}
    if arguments.json:
        print_json(held)
    else:
        say(arguments, inspected(held))


def rd(arguments: argparse.Namespace) -> None:
    """Measure rate and distortion of schemes."""
    from netsim.cli.catalogue import trace_file
    from netsim.engine.rate_distortion import measure, measured_schemes, write
    from netsim.report.plot import save
    from netsim.report.rate_distortion import gaps, rate_distortion

    schemes = measured_schemes(arguments.schemes)
    out = arguments.out or Path("results") / f"rd-{arguments.traces[0].stem}"
    check_folder(out)
    traces = [trace_file(one) for one in arguments.traces]
    with ticking("measuring") as tell:
        points, sources = measure(traces, schemes, tell)
    files = write(points, sources, out)
    files.append(out / "rate-distortion.png")
    save(rate_distortion(points, sources), files[-1])
    say(arguments, gaps(points))
    say(arguments, "\n".join(["", *map(str, files)]))
    if arguments.json:
        print_json({"out": str(out), "points": records(points), "sources": records(sources)})


def calibrate_schemes(arguments: argparse.Namespace) -> None:
    """Measure what coding costs on this machine."""
    from netsim.engine.calibrate import calibrate, measured_on
    from netsim.engine.cost_table import joined, of_device, write_table
    from netsim.scenario.named import named_schemes

    check_writable(out=arguments.out)
    older = None
    if arguments.add and arguments.out.exists():
        older = of_device(arguments.out, measured_on(arguments.device))
    chosen = [*_coding_of(arguments), *named_schemes(arguments.schemes)]
    with ticking("measuring") as tell:
        costs = calibrate(arguments.device, progress=tell, chosen=chosen, statistic=arguments.statistic)
    measured = sum(map(len, costs["schemes"].values()))
    if older is not None:
        costs = joined(costs, older)
    write_table(costs, arguments.out)
    say(arguments, f"{arguments.out}: {measured} schemes measured on {costs['device']}")
    say(arguments, f"Use it in a scenario with cost: {{kind: measured, table: {arguments.out}}}")
    if arguments.json:
        print_json(costs)


def _coding_of(arguments: argparse.Namespace) -> list[Scheme]:
    """Return all schemes by which scenarios code, those of their optimizers too, whatever they say of costs."""
    if not arguments.scenarios:
        return []
    arguments.settings.append(("cost", "free"))
    scenarios = load(arguments, arguments.scenarios)
    optimizers = [one.train.optimizer for one in scenarios if one.train is not None]
    own = [scheme for one in optimizers for scheme in getattr(one, "schemes", ())]
    return [*(one.scheme for one in scenarios), *own]
