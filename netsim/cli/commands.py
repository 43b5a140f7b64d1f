"""The command line: prints and exit codes only; what a command needs is imported when it runs."""

from __future__ import annotations

import os
import sys
import traceback
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import TYPE_CHECKING, Any

from netsim.cli import measurement, network, prediction, reference
from netsim.cli.arguments import parser
from netsim.cli.output import print_json
from netsim.errors import InputError, NetsimError, ScenarioErrors

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

DONE, WRONG_INPUT, DEFECT, INTERRUPTED, BROKEN_PIPE = 0, 1, 70, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; wrong usage exits with 2."""
    arguments = parser(_version()).parse_args(argv)
    try:
        _load_plugins()
        _COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _stopped()
    except BrokenPipeError:
        # The reader has gone; Python must not fail once more when it flushes what is left at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        return _failed(error, arguments)
    return DONE


def _stopped() -> int:
    print("interrupted", file=sys.stderr)
    return INTERRUPTED


def _failed(error: Exception, arguments: argparse.Namespace) -> int:
    """Say what ended a command: the input, the user, the machine, or a defect; return the exit code."""
    if isinstance(error, NetsimError):
        return _report(error, arguments)
    if _interrupted(error):
        return _stopped()
    if isinstance(error, MemoryError):
        return _report(InputError(f"not enough memory: {error}", "ask for fewer workers or smaller tensors"), arguments)
    if isinstance(error, OSError):
        problem, file = error.strerror or str(error), str(error.filename or "")
        return _report(InputError(problem, "see that there is space, and the right to use it", file=file), arguments)
    if arguments.debug:
        traceback.print_exc()
    said = " ".join(str(error).split())
    print(f"netsim: defect: {type(error).__name__}: {said}; run again with --debug for details", file=sys.stderr)
    return DEFECT


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


def _report(error: NetsimError, arguments: argparse.Namespace) -> int:
    if arguments.debug:
        traceback.print_exc()
    problems = error.problems if isinstance(error, ScenarioErrors) else (error,)
    for problem in problems:
        print(problem, file=sys.stderr)
    if arguments.json:
        print_json({"errors": [_fields(problem) for problem in problems]})
    return WRONG_INPUT


def _fields(problem: NetsimError) -> dict[str, Any]:
    return dict(vars(problem)) if isinstance(problem, InputError) else {"problem": str(problem)}


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "run": prediction.run,
    "check": prediction.check,
    "list": reference.list_members,
    "plot": prediction.plot,
    "capture": measurement.capture,
    "inspect": measurement.inspect,
    "collective": network.collective,
    "rd": measurement.rd,
    "explain": prediction.explain,
    "trace": prediction.trace,
    "export": network.export,
    "schema": reference.schema,
    "calibrate-schemes": measurement.calibrate_schemes,
    "calibrate": network.calibrate,
    "probe": network.probe,
}
