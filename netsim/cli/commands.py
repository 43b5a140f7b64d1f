"""The command line: prints and exit codes only; what a command needs is imported when it runs."""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsim.cli.arguments import parser
from netsim.errors import InputError, NetsimError, ScenarioErrors

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from netsim.calibration import Cluster, Sample
    from netsim.compress import Scheme
    from netsim.network.transport import Transport
    from netsim.scenario.schema import Scenario

DONE, WRONG_INPUT, DEFECT, INTERRUPTED, BROKEN_PIPE = 0, 1, 70, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; wrong usage exits with 2."""
    arguments = parser(_version()).parse_args(argv)
    try:
        _load_plugins()
        code = _COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
    except NetsimError as error:
        _report(error, arguments)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; Python must not fail once more when it flushes what is left at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        if _interrupted(error):
            print("interrupted", file=sys.stderr)
            return INTERRUPTED
        if arguments.debug:
            traceback.print_exc()
        said = " ".join(str(error).split())
        print(f"netsim: defect: {type(error).__name__}: {said}; run again with --debug for details", file=sys.stderr)
        return DEFECT
    return code


def _interrupted(error: BaseException | None) -> bool:
    """Say whether an error comes of Ctrl-C: a library that is being imported may raise its own in its place."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _version() -> str:
    try:
        return version("gradnetsim")
    except PackageNotFoundError:
        return "source tree"


def _load_plugins() -> None:
    """Let installed packages register their members; `import netsim` alone never does."""
    for entry in entry_points(group="netsim.plugins"):
        try:
            entry.load()
        except Exception as error:
            remedy = "repair or uninstall the package that brings it"
            raise InputError(f"plug-in {entry.name!r} ({entry.value}) fails: {error}", remedy) from error


def _report(error: NetsimError, arguments: argparse.Namespace) -> None:
    if arguments.debug:
        traceback.print_exc()
    problems = error.problems if isinstance(error, ScenarioErrors) else (error,)
    for problem in problems:
        print(problem, file=sys.stderr)
    if arguments.json:
        _print_json({"errors": [_fields(problem) for problem in problems]})


def _fields(problem: NetsimError) -> dict[str, Any]:
    return dict(vars(problem)) if isinstance(problem, InputError) else {"problem": str(problem)}


def _print_json(value: object) -> None:
    json.dump(value, sys.stdout, indent=2, default=_plain, allow_nan=False)
    print()


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _records(table: Any) -> list[dict[str, Any]]:
    """Return the rows of a table for JSON, which knows no NaN."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def _say(arguments: argparse.Namespace, text: str) -> None:
    """Print what is for people: on standard output, or beside it where that is for machines."""
    print(text, file=sys.stderr if arguments.json else sys.stdout, flush=True)


def _load(arguments: argparse.Namespace, paths: Sequence[Path]) -> list[Scenario]:
    from netsim.scenario.load import load_all

    overrides = dict(arguments.settings)
    if arguments.network:
        overrides["network.kind"] = arguments.network
    return load_all(paths, overrides)


def _run(arguments: argparse.Namespace) -> int:
    scenarios = _load(arguments, arguments.scenarios)
    out = arguments.out or Path("results") / "+".join(dict.fromkeys(one.name for one in scenarios))
    from netsim.report.tables import assumed_costs, details, summary
    from netsim.sweep import sweep

    runs = sweep(
        scenarios, jobs=arguments.jobs, out=out, resume=arguments.resume, progress=sys.stderr.isatty()
    )  # fmt: skip
    from netsim.report.training import training_summary, trains

    replayed, trained = runs[~trains(runs)], runs[trains(runs)]
    full = [summary(replayed, blocks=0), details(replayed)] if len(replayed) else []
    shown = [summary(replayed)] if len(replayed) else []
    if len(trained):
        full.append(training_summary(trained))
        shown.append(full[-1])
    if note := assumed_costs(runs):
        full.append(note)
        shown.append(note)
    (out / "table.txt").write_text("\n\n".join(full) + "\n", encoding="utf-8")
    pictures = _draw_standard(out, replayed, trained) if arguments.plots else []
    _say(arguments, "\n\n".join(shown))
    _say(arguments, f"\nTables: {out}{os.sep} (runs.csv; every point in detail: table.txt)")
    if pictures:
        _say(arguments, f"Figures: {', '.join(map(str, pictures))}")
    if arguments.json:
        _print_json({"out": str(out), "figures": list(map(str, pictures)), "runs": _records(runs)})
    return DONE


def _draw_standard(out: Path, replayed: pd.DataFrame, trained: pd.DataFrame) -> list[Path]:
    from netsim.report.plot import ASYNCHRONOUS, STANDARD, TRAINING, draw, save
    from netsim.report.staleness import waits_for_nobody

    pictures = []
    kinds = (STANDARD if len(replayed) else ()) + (TRAINING if len(trained) else ())
    for kind in kinds + (ASYNCHRONOUS if waits_for_nobody(replayed) else ()):
        pictures.append(out / "plots" / f"{kind}.png")
        save(draw(out, kind), pictures[-1])
    return pictures


def _check(arguments: argparse.Namespace) -> int:
    scenarios = _load(arguments, arguments.scenarios)
    counts: dict[str, int] = {}
    for one in scenarios:
        counts[one.name] = counts.get(one.name, 0) + 1
    for name, count in counts.items():
        _say(arguments, f"{name}: {count} {'point' if count == 1 else 'points'}, no problem found")
    if arguments.json:
        _print_json({"errors": [], "points": counts})
    return DONE


def _list(arguments: argparse.Namespace) -> int:
    from netsim.cli.catalogue import catalogue
    from netsim.report.text import entries

    found = catalogue(arguments.what)
    if arguments.json:
        _print_json({what: [one._asdict() for one in members] for what, members in found.items()})
        return DONE
    blocks = []
    for what, members in found.items():
        rows = [(one.name, f"{one.summary} [{one.source}]" if one.source else one.summary) for one in members]
        blocks.append("\n".join([what, *(entries(rows) or ["  none"])]))
    print("\n\n".join(blocks))
    return DONE


def _plot(arguments: argparse.Namespace) -> int:
    from netsim.report.plot import draw, save

    out = arguments.out or arguments.result / "plots" / f"{arguments.kind}.png"
    rows = [number - 1 for number in arguments.point]
    save(draw(arguments.result, arguments.kind, arguments.x, rows, arguments.step), out)
    _say(arguments, str(out))
    if arguments.json:
        _print_json({"figure": str(out)})
    return DONE


def _capture(arguments: argparse.Namespace) -> int:
    # OpenMP threads that spin while they wait starve one another on a busy machine; read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from netsim.workload.capture import capture

    progress = _progress if sys.stderr.isatty() else None
    capture(
        arguments.task, arguments.out, workers=arguments.workers, steps=arguments.steps, device=arguments.device,
        batch=arguments.batch, seed=arguments.seed, progress=progress,
    )  # fmt: skip
    _say(arguments, f"{arguments.out} ({arguments.out.stat().st_size:,} bytes); netsim inspect shows what it holds")
    if arguments.json:
        _print_json({"trace": str(arguments.out)})
    return DONE


def _progress(done: int, total: int) -> None:
    print(f"\rstep {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _collective(arguments: argparse.Namespace) -> int:
    from netsim.cli.collective import parse_sizes, parse_topology, parse_workers, time_collective
    from netsim.report.text import Column, table
    from netsim.sync.named import busbw_factor

    topology = parse_topology(arguments.topology, arguments.algorithm)
    group = parse_workers(arguments.workers, topology)
    rows = time_collective(
        topology, arguments.name, parse_sizes(arguments.sizes), arguments.algorithm, arguments.network,
        arguments.transport, group,
    )  # fmt: skip
    if arguments.json:
        _print_json([row._asdict() for row in rows])
        return DONE
    workers = len(group)
    print(f"# {arguments.name} between {workers} workers over {arguments.algorithm}, {arguments.network} network")
    print(f"# busbw = algbw x {busbw_factor(arguments.name, workers):.4g}")
    headings = ("size|(B)", "count|(elements)", "type|", "time|(us)", "algbw|(GB/s)", "busbw|(GB/s)")
    cells = [
        (f"{row.size_bytes:.0f}", f"{row.elements:.0f}", "float", f"{row.time_s * 1e6:.2f}", *map(_rate, row[3:]))
        for row in rows
    ]
    print("\n".join(table([Column(heading) for heading in headings], cells)))
    return DONE


def _rate(bytes_per_s: float) -> str:
    return f"{bytes_per_s / 1e9:.3f}"


def _explain(arguments: argparse.Namespace) -> int:
    from netsim.cli.explain import explain
    from netsim.report.explanation import explained

    scenarios = _load(arguments, [arguments.scenario])
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
        _say(arguments, f"{explained(number, explanation.run, links, explanation.changes)}\n")
    if arguments.json:
        _print_json(found)
    return DONE


def _inspect(arguments: argparse.Namespace) -> int:
    from netsim.engine.sparsity import sparsity_table
    from netsim.report.inspection import inspected
    from netsim.workload.describe import describe
    from netsim.workload.trace import open_trace

    held = describe(arguments.trace) | {"sparsity": sparsity_table(open_trace(arguments.trace))}
    if arguments.json:
        _print_json(held)
    else:
        print(inspected(held))
    return DONE


def _rd(arguments: argparse.Namespace) -> int:
    from netsim.engine.rate_distortion import measure, measured_schemes, write
    from netsim.report.plot import save
    from netsim.report.rate_distortion import gaps, rate_distortion

    schemes = measured_schemes(arguments.schemes)
    points, sources = measure(
        arguments.traces, schemes, lambda place: print(f"measuring {place}", file=sys.stderr, flush=True)
    )
    out = arguments.out or Path("results") / f"rd-{arguments.traces[0].stem}"
    files = write(points, sources, out)
    files.append(out / "rate-distortion.png")
    save(rate_distortion(points, sources), files[-1])
    _say(arguments, gaps(points))
    _say(arguments, "\n".join(["", *map(str, files)]))
    if arguments.json:
        _print_json({"out": str(out), "points": _records(points), "sources": _records(sources)})
    return DONE


def _trace(arguments: argparse.Namespace) -> int:
    from netsim.cli.trace import traced
    from netsim.record.folder import write_atomically

    scenarios = _load(arguments, [arguments.scenario])
    if arguments.point > len(scenarios):
        raise InputError(f"there is no point {arguments.point}", f"the scenario has {len(scenarios)}", path="--point")
    trace = traced(scenarios[arguments.point - 1])
    text = json.dumps(trace, allow_nan=False).encode()
    try:
        write_atomically(arguments.out, lambda stream: stream.write(text))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", "check the path", file=str(arguments.out)) from error
    _say(arguments, f"{arguments.out}: {len(trace['traceEvents']):,} events; open it at https://ui.perfetto.dev")
    if arguments.json:
        _print_json({"trace": str(arguments.out), "events": len(trace["traceEvents"])})
    return DONE


def _export(arguments: argparse.Namespace) -> int:
    from netsim.cli.collective import read_topology
    from netsim.topology.export import export

    topology = read_topology(arguments.topology).build(arguments.servers)
    export(topology, arguments.out)
    counts = {"workers": len(topology.workers), "nodes": len(topology.names), "links": len(topology.link_src)}
    _say(arguments, f"{arguments.out}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items()))
    if arguments.json:
        _print_json({"file": str(arguments.out), **counts})
    return DONE


def _schema(_: argparse.Namespace) -> int:
    from netsim.scenario.load import json_schema

    _print_json(json_schema())
    return DONE


def _calibrate_schemes(arguments: argparse.Namespace) -> int:
    from netsim.engine.calibrate import calibrate
    from netsim.engine.cost_table import joined, write_table
    from netsim.scenario.named import named_schemes

    costs = calibrate(
        arguments.device,
        progress=lambda label: print(f"measuring {label}", file=sys.stderr, flush=True),
        chosen=[*_coding_of(arguments), *named_schemes(arguments.schemes)],
    )
    measured = sum(map(len, costs["schemes"].values()))
    if arguments.add and arguments.out.exists():
        costs = joined(costs, arguments.out)
    write_table(costs, arguments.out)
    _say(arguments, f"{arguments.out}: {measured} schemes measured on {costs['device']}")
    _say(arguments, f"Use it in a scenario with cost: {{kind: measured, table: {arguments.out}}}")
    if arguments.json:
        _print_json(costs)
    return DONE


def _coding_of(arguments: argparse.Namespace) -> list[Scheme]:
    """Return all schemes by which scenarios code, those of their optimizers too, whatever they say of costs."""
    arguments.settings.append(("cost", "free"))
    scenarios = _load(arguments, arguments.scenarios) if arguments.scenarios else []
    own = [one.train.optimizer for one in scenarios if one.train is not None]
    return [
        *(one.scheme for one in scenarios),
        *(scheme for one in own for scheme in getattr(one, "schemes", ())),
    ]


def _calibrate(arguments: argparse.Namespace) -> int:
    from netsim.calibration import Hints, read_log
    from netsim.cli.calibration import cluster_as_asked, transport_as_asked

    cluster = cluster_as_asked(arguments.bandwidth, arguments.latency, arguments.algorithm)
    transport = transport_as_asked(arguments.transport)
    hints = Hints(arguments.operation, arguments.workers, arguments.column)
    samples = [sample for log in arguments.logs for sample in read_log(log, hints)]
    return _fit(arguments, samples, transport, cluster, [log.name for log in arguments.logs])


def _probe(arguments: argparse.Namespace) -> int:
    from netsim.calibration import probe, table
    from netsim.cli.calibration import cluster_as_asked, transport_as_asked, write_text
    from netsim.cli.collective import parse_sizes

    rank, _ = probe.rank_and_size(os.environ)
    cluster = cluster_as_asked(arguments.bandwidth, arguments.latency, arguments.algorithm)
    transport = transport_as_asked(arguments.transport or "gloo")
    sizes = [max(4, int(size) // 4 * 4) for size in parse_sizes(arguments.sizes)]
    samples, backend = probe.probe(sizes, arguments.repeats, arguments.backend, arguments.statistic)
    if rank:
        return DONE
    if arguments.log:
        write_text(arguments.log, table.written(samples, probe.about(backend, arguments.statistic)))
    if not arguments.transport:
        transport = transport_as_asked(backend)
    return _fit(arguments, samples, transport, cluster, ["netsim probe"])


def _fit(
    arguments: argparse.Namespace,
    samples: Sequence[Sample],
    transport: Transport,
    cluster: Cluster,
    sources: Sequence[str],
) -> int:
    from netsim.calibration import fit
    from netsim.cli.calibration import as_json, network_section, write_text
    from netsim.report.calibration import fitted

    found = fit(samples, transport, cluster)
    section = network_section(found, sources)
    if arguments.out:
        write_text(arguments.out, section)
    if arguments.plot:
        from netsim.report.calibration import figure
        from netsim.report.plot import save

        save(figure(found), arguments.plot)
    _say(arguments, f"{fitted(found)}\n\n{section}")
    if arguments.json:
        _print_json(as_json(found))
    return DONE


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "check": _check,
    "list": _list,
    "plot": _plot,
    "capture": _capture,
    "inspect": _inspect,
    "collective": _collective,
    "rd": _rd,
    "explain": _explain,
    "trace": _trace,
    "export": _export,
    "schema": _schema,
    "calibrate-schemes": _calibrate_schemes,
    "calibrate": _calibrate,
    "probe": _probe,
}
