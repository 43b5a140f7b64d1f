"""The command line's grammar: commands, options, defaults and help texts. Nothing here imports more than argparse."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Fill = Callable[[argparse.ArgumentParser], None]

REGISTRIES = (
    "schemes",
    "sync",
    "topologies",
    "networks",
    "transports",
    "tasks",
    "traces",
    "optimizers",
    "policies",
    "conditions",
    "workloads",
    "costs",
    "models",
)
PLOTS = {
    "speedup": "of schemes against bandwidth, or --x",
    "breakdown": "where a step's time goes",
    "heatmap": "which scheme wins where",
    "timeline": "one step of each worker",
    "error": "speedup against what is lost",
    "curves": "training against time, evaluations and bytes",
    "time_to_target": "of trainings",
    "staleness": "of asynchronous servers",
}
"""What `netsim plot` draws."""
DEFAULT_SIZES = "1kB,10kB,100kB,1MB,10MB,100MB,1GB"
PROBE_SIZES = "64kB,256kB,1MB,4MB,16MB"
DEFAULT_TOPOLOGY = "{kind: star, workers: 8, bandwidth: 10 Gbit/s, latency: 25 us}"
_EXIT_CODES = """exit codes: 0 done, 1 the input is wrong, 2 wrong usage, 70 a defect of netsim, 130 interrupted"""


@dataclass(frozen=True)
class Command:
    """A command: its name, what it does, how it is used, and what adds its options."""

    name: str
    does: str
    example: str
    fill: Fill


def parser(version: str) -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    root = argparse.ArgumentParser(
        prog="netsim",
        description="Predicts how much faster training gets if gradients are compressed: which scheme, over ring\n"
        "all-reduce or a parameter server, on which cluster.",
        epilog=f"example: netsim run scenarios/quickstart.yaml\n\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"netsim {version}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        one = commands.add_parser(
            command.name,
            help=command.does,
            description=f"{command.does[0].upper()}{command.does[1:]}.",
            epilog=f"example: {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.fill(one)
        one.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
        one.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return root


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE; write for example --set topology.workers=16")
    return key.strip(), value.strip()


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _steps(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of steps; write for example 0,10,100")
    return tuple(int(part) for part in parts)


def _processors() -> int:
    """Return the processors that this process may use, which a batch system may make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _scenarios(one: argparse.ArgumentParser) -> None:
    one.add_argument("scenarios", nargs="+", metavar="SCENARIO", type=Path, help="a scenario file (YAML)")
    _overrides(one)


def _overrides(one: argparse.ArgumentParser) -> None:
    _settings(one)
    one.add_argument(
        "--network", dest="settings", action="append", metavar="KIND", type=lambda kind: ("network.kind", kind),
        help="replace the network fidelity; see netsim list networks",
    )  # fmt: skip


def _settings(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", type=_setting,
        help="replace a key of the scenario, such as topology.workers=16; may be repeated",
    )  # fmt: skip


def _run(one: argparse.ArgumentParser) -> None:
    _scenarios(one)
    one.add_argument(
        "--out", metavar="DIR", type=Path, help="folder for the result (default: results/ and the scenario's name)"
    )
    one.add_argument(
        "--jobs", metavar="N", type=_positive, default=_processors(),
        help="processes that simulate (default: one a processor, here %(default)s)",
    )  # fmt: skip
    one.add_argument("--resume", action="store_true", help="keep the points that --out already holds")
    one.add_argument("--no-plots", dest="plots", action="store_false", help="draw no figures")


def _list(one: argparse.ArgumentParser) -> None:
    one.add_argument("what", nargs="?", choices=REGISTRIES, help="one of these (default: all)")
    one.add_argument("name", nargs="?", metavar="NAME", help="one of its members: all of it, and its keys")


def _plot(one: argparse.ArgumentParser) -> None:
    one.add_argument("result", metavar="RESULT_DIR", type=Path, help="the folder that `netsim run` wrote")
    kinds = "; ".join(f"{kind}: {shows}" for kind, shows in PLOTS.items())
    one.add_argument("--kind", choices=PLOTS, metavar="KIND", default="speedup", help=f"{kinds} (default: %(default)s)")
    one.add_argument("--x", metavar="COLUMN", default="", help="x axis of speedup, any column of runs.csv")
    one.add_argument(
        "--point", metavar="N", type=_positive, action="append", default=[],
        help="show the Nth row of runs.csv in the timeline; may be repeated (default: none and the fastest scheme)",
    )  # fmt: skip
    one.add_argument("--step", type=int, default=0, metavar="N", help="the step of the timeline (default: %(default)s)")
    one.add_argument("--out", metavar="FILE", type=Path, help="the picture (default: RESULT_DIR/plots/KIND.png)")


def _capture(one: argparse.ArgumentParser) -> None:
    one.add_argument("task", metavar="TASK", help="a built-in task; see netsim list tasks")
    one.add_argument("--out", metavar="TRACE", type=Path, required=True, help="the trace file to write")
    one.add_argument("--workers", metavar="W", type=_positive, default=4, help="virtual workers (default: %(default)s)")
    one.add_argument("--steps", metavar="LIST", type=_steps, help="steps to capture (default: early, middle and late)")
    one.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto", help="default: %(default)s")
    one.add_argument("--batch", metavar="B", type=_positive, help="samples a worker (default: the task's)")
    one.add_argument("--seed", metavar="N", type=int, default=0, help="of weights and samples (default: %(default)s)")


def _inspect(one: argparse.ArgumentParser) -> None:
    one.add_argument("trace", metavar="TRACE", type=Path, help="a trace file")


def _collective(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "name", metavar="NAME", help="all_reduce, all_gather, reduce_scatter, all_to_all, broadcast or reduce"
    )
    one.add_argument("--algorithm", metavar="A", default="ring", help="see netsim list sync (default: %(default)s)")
    one.add_argument(
        "--topology", metavar="YAML", default=DEFAULT_TOPOLOGY,
        help="a scenario, a graph (.graphml, .json), or a map as in a scenario (default: %(default)s)",
    )  # fmt: skip
    one.add_argument("--sizes", metavar="LIST", default=DEFAULT_SIZES, help="bytes (default: %(default)s)")
    one.add_argument(
        "--workers", metavar="LIST", default="",
        help="a process group: names, indices or ranges of them, as in 0-3,8 (default: all workers)",
    )  # fmt: skip
    one.add_argument(
        "--network", metavar="KIND", default="flow", help="see netsim list networks (default: %(default)s)"
    )
    one.add_argument(
        "--transport", metavar="KIND", default="ideal",
        help="a name (see netsim list transports), a map as in a scenario, or a file that calibrate or probe wrote "
        "(default: %(default)s)",
    )  # fmt: skip


def _explain(one: argparse.ArgumentParser) -> None:
    one.add_argument("scenario", metavar="SCENARIO", type=Path, help="a scenario file (YAML)")
    _overrides(one)
    one.add_argument(
        "--point", metavar="N", type=_positive, action="append", default=[],
        help="explain the Nth point only, in the order of runs.csv; may be repeated (default: all points)",
    )  # fmt: skip


def _trace(one: argparse.ArgumentParser) -> None:
    one.add_argument("scenario", metavar="SCENARIO", type=Path, help="a scenario file (YAML)")
    _overrides(one)
    one.add_argument(
        "--point", metavar="N", type=_positive, default=1,
        help="the Nth point, in the order of runs.csv (default: %(default)s)",
    )  # fmt: skip
    one.add_argument("--out", metavar="FILE", type=Path, default=Path("step.json"), help="default: %(default)s")


def _export(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "topology", metavar="TOPOLOGY", help="a scenario, a graph (.graphml, .json), or a map as in a scenario"
    )
    one.add_argument(
        "--out", metavar="FILE", type=Path, required=True,
        help=".graphml, .json (node-link) or .xml (SimGrid platform)",
    )  # fmt: skip
    one.add_argument("--servers", metavar="N", type=_whole, default=0, help="hosts for dedicated servers (default: 0)")


def _rd(one: argparse.ArgumentParser) -> None:
    one.add_argument("traces", nargs="+", metavar="TRACE", type=Path, help="a trace file")
    one.add_argument(
        "--schemes", nargs="+", default=[], metavar="SCHEME",
        help="names, or maps and lists as in a scenario (default: every scheme, some with several settings)",
    )  # fmt: skip
    one.add_argument("--out", metavar="DIR", type=Path, help="folder for the result (default: results/ and rd-TRACE)")


def _nothing(_: argparse.ArgumentParser) -> None:
    """Add no option."""


def _calibrate(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "logs", nargs="+", metavar="LOG", type=Path,
        help="what nccl-tests print, JSON of iperf3 -J, or a CSV with columns such as size_bytes and time_s",
    )  # fmt: skip
    one.add_argument("--operation", metavar="NAME", help="what was timed, where the log does not say it: all_reduce")
    one.add_argument("--workers", metavar="N", type=_positive, help="ranks, where the log does not say it")
    one.add_argument("--column", metavar="NAME", help="the CSV's column of times or bandwidths, where it has several")
    _fitting(one, "tcp", "tcp")


def _fitting(one: argparse.ArgumentParser, transport: str | None, meaning: str) -> None:
    one.add_argument(
        "--transport", metavar="KIND", default=transport,
        help=f"the transport that is fitted, a name, a map as in a scenario, or a file of one (default: {meaning})",
    )  # fmt: skip
    one.add_argument(
        "--bandwidth", metavar="B", help="line rate of a host's link, such as '10 Gbit/s' (default: unknown)"
    )
    one.add_argument(
        "--latency", metavar="T", default="0", help="of the network, host to host (default: in the overhead)"
    )
    one.add_argument("--algorithm", metavar="A", default="ring", help="of the collectives (default: %(default)s)")
    one.add_argument("--out", metavar="FILE", type=Path, help="write the network section for a scenario (YAML)")
    one.add_argument("--plot", metavar="FILE", type=Path, help="draw measured and predicted times")


def _probe(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--backend", choices=("auto", "gloo", "nccl"), default="auto", help="default: nccl where there is a GPU"
    )
    one.add_argument("--sizes", metavar="LIST", default=PROBE_SIZES, help="bytes (default: %(default)s)")
    one.add_argument(
        "--repeats", metavar="N", type=_positive, default=5, help="calls in each of three passes (default: %(default)s)"
    )
    one.add_argument(
        "--statistic", choices=("median", "least"), default="median",
        help="what is taken of the calls; the least, where machines do other work meanwhile (default: %(default)s)",
    )  # fmt: skip
    one.add_argument("--log", metavar="FILE", type=Path, help="write the measured times (CSV), for netsim calibrate")
    _fitting(one, None, "the backend's")


def _calibrate_schemes(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", type=Path,
        help="measure the schemes of these scenarios, with their parameters (default: every scheme, with its defaults)",
    )  # fmt: skip
    one.add_argument(
        "--schemes", nargs="+", default=(), metavar="SCHEME",
        help="measure these, such as '{kind: topk, ratio: 0.1}'",
    )  # fmt: skip
    _settings(one)
    one.add_argument(
        "--statistic", choices=("median", "least"), default="median",
        help="what is taken of the calls; the least, where the machine is shared (default: %(default)s)",
    )  # fmt: skip
    one.add_argument("--add", action="store_true", help="keep what --out holds of this device besides")
    one.add_argument("--out", metavar="FILE", type=Path, required=True, help="the cost table to write")
    one.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto", help="default: %(default)s")


COMMANDS = (
    Command(
        "run",
        "simulate every point of scenarios, print the speedup table, write tables and figures",
        "netsim run scenarios/quickstart.yaml --set topology.workers=32 --jobs 2",
        _run,
    ),
    Command(
        "check",
        "validate every point of scenarios without simulating",
        "netsim check scenarios/quickstart.yaml",
        _scenarios,
    ),
    Command(
        "list",
        "list schemes, architectures, topologies and all else by name, or say one's keys",
        "netsim list topologies gpu_cluster",
        _list,
    ),
    Command(
        "plot",
        "draw a figure from a result's tables",
        "netsim plot results/quickstart --kind speedup --x workers --out speedup.pdf",
        _plot,
    ),
    Command(
        "capture",
        "train a built-in task and record every worker's gradients",
        "netsim capture resnet20-digits --out resnet20.trace --workers 8",
        _capture,
    ),
    Command("inspect", "show what a trace holds", "netsim inspect resnet20.trace", _inspect),
    Command(
        "collective",
        "time one collective alone, in the columns of nccl-tests",
        "netsim collective all_reduce --sizes 1MB,16MB --transport tcp",
        _collective,
    ),
    Command(
        "rd",
        "measure rate and distortion of schemes on traces and a Gaussian source, against the bounds",
        "netsim rd resnet20.trace --schemes scaled_sign '{kind: topk, ratio: 0.1}' --out rd",
        _rd,
    ),
    Command(
        "explain",
        "say where one step's time goes, what bounds it, and how much each input matters",
        "netsim explain scenarios/quickstart.yaml --set topology.bandwidth='1 Gbit/s' --point 2",
        _explain,
    ),
    Command(
        "trace",
        "write one step as a trace for Perfetto or chrome://tracing: who does what, and what every link carries",
        "netsim trace scenarios/failing-link.yaml --point 2 --out step.json",
        _trace,
    ),
    Command(
        "export",
        "write a topology for other tools: GraphML, node-link JSON, or a SimGrid platform",
        "netsim export scenarios/gpu-cluster.yaml --out cluster.graphml",
        _export,
    ),
    Command(
        "schema", "print the JSON Schema of a scenario, for editors", "netsim schema > scenario.schema.json", _nothing
    ),
    Command(
        "calibrate-schemes",
        "measure what encoding and decoding cost on this machine",
        "netsim calibrate-schemes scenarios/quickstart.yaml --schemes '{kind: topk, ratio: 0.1}' --out costs.json",
        _calibrate_schemes,
    ),
    Command(
        "calibrate",
        "fit a transport's efficiency, overhead and cap to a log of measured times",
        "netsim calibrate all_reduce.log --bandwidth '10 Gbit/s' --transport nccl --out network.yaml",
        _calibrate,
    ),
    Command(
        "probe",
        "measure messages and all-reduces on your machines and fit a transport to them; started by torchrun",
        "netsim probe --bandwidth '10 Gbit/s' --out network.yaml",
        _probe,
    ),
)
