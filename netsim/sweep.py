"""Many points over processes: what can be shared is measured once, every finished point is durable at once."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import netsim
from netsim.calls import make_callable
from netsim.errors import InputError, NetsimError
from netsim.given import file_path, plain, shown
from netsim.pool import Call, results
from netsim.record.folder import ResultFolder
from netsim.scenario.dump import dump_yaml, scenario_hash
from netsim.scenario.schema import Scenario
from netsim.ticker import ticking

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import pandas as pd

    from netsim.record.result import Result


@dataclass(frozen=True)
class Engine:
    """What a sweep runs. All functions must be importable by name in another process.

    Attributes:
        measurement_key: what a measurement depends on; points with equal keys share one.
        measure: the measurement of a point; picklable. The file, where there is one, may keep what is half done.
        simulate: the result of a point, given the measurements it needs.
        needs: the points whose measurements a point needs, itself unless said otherwise.
        baselines: what a point is compared with; points can share them.
        baseline: the value of one of these; `simulate` takes them as `baselines`.
    """

    measurement_key: Callable[[Scenario], Hashable]
    measure: Callable[[Scenario, Path | None], Any]
    simulate: Callable[..., Result]
    needs: Callable[[Scenario], Sequence[Scenario]] = lambda scenario: (scenario,)
    baselines: Callable[[Scenario], Sequence[Hashable]] = lambda _: ()
    baseline: Callable[[Any], Any] = lambda _: None


def simulation() -> Engine:
    """Return netsim's own engine; imported late, because a check or a plot needs none."""
    from netsim.engine.simulate import baselines_of, dense_step_s, measure_point, measurement_key, needs, simulate

    return Engine(measurement_key, measure_point, simulate, needs, baselines_of, dense_step_s)


def sweep(
    scenarios: Sequence[Scenario],
    jobs: int = 1,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    progress: bool = True,
    engine: Engine | None = None,
) -> pd.DataFrame:
    """Simulate points and return their table of runs, in their order; the same table whatever the number of jobs.

    Args:
        scenarios: the points, as `netsim.load` gives them.
        jobs: processes; -1 for one a core.
        out: the result folder, kept nowhere unless given. Every finished point is in it at once.
        resume: keep the finished points of an earlier run in `out`; points that changed since are run again.
        progress: show it on stderr, as a bar on a terminal and elsewhere as a line now and then after 10 s.
        engine: what runs the points, netsim's own unless given.

    Raises:
        InputError: no points, no jobs, no engine, nothing to resume, or a folder that holds something and is not to be
            resumed.
        NetsimError: the first point that failed, named; finished ones are kept.
    """
    scenarios = list(scenarios) if isinstance(scenarios, Iterator) else scenarios
    jobs = _check(scenarios, jobs)
    if resume and out is None:
        raise InputError("there is nothing to resume without a folder", "give `out`, the folder of the earlier run")
    engine = simulation() if engine is None else engine
    if not isinstance(engine, Engine):
        raise InputError(f"{shown(engine)} is no engine", "leave it out, or give a netsim.sweep.Engine")
    if out is None:
        done = _run(engine, scenarios, range(len(scenarios)), jobs, progress, [""] * len(scenarios), None)
        return _table([done[index] for index in range(len(scenarios))])
    folder = ResultFolder(file_path(out, "out"))
    with folder.opened(resume):
        keys = [point_key(scenario) for scenario in scenarios]
        first = {key: index for index, key in reversed(list(enumerate(keys)))}
        waiting = [index for index, key in enumerate(keys) if first[key] == index and not folder.has(key)]
        text = dump_yaml(scenarios)
        folder.write_text("scenario.yaml", text)
        _run(engine, scenarios, waiting, jobs, progress, keys, folder)
        provenance = _versions() | {
            "points": len(scenarios),
            "scenario_hash": [scenario_hash(one) for one in scenarios],
        }
        return folder.assemble(keys, text, provenance)


def _check(scenarios: object, jobs: object) -> int:
    """Return the number of processes; raise InputError where there are none, or no scenarios."""
    if not isinstance(scenarios, Sequence) or not all(isinstance(one, Scenario) for one in scenarios):
        raise InputError(f"{shown(scenarios)} is no list of scenarios", "give what netsim.load returns")
    if not scenarios:
        raise InputError("there is no point to simulate", "give at least one scenario")
    number = plain(jobs)
    if not isinstance(number, int) or isinstance(number, bool) or (number < 1 and number != -1):
        raise InputError(f"jobs is {jobs!r}", "give 1 or more, or -1 for one a core")
    return number


def point_key(scenario: Scenario) -> str:
    """Return the name under which a point is kept: the hash of the point, what it is called, and of netsim's code."""
    parts = [scenario_hash(scenario), scenario.name, scenario.swept, _versions()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _run(
    engine: Engine,
    scenarios: Sequence[Scenario],
    waiting: Sequence[int],
    jobs: int,
    show: bool,
    keys: Sequence[str],
    folder: ResultFolder | None,
) -> dict[int, Result]:
    """Measure what points share, then simulate those in `waiting`; results stay in the folder where there is one."""
    calls: dict[Hashable, Call] = {}
    files: list[Path] = []
    after: dict[int, list[Hashable]] = {index: [] for index in waiting}
    # Measurements come first: they take longest, and what takes longest must not begin last.
    for index in waiting:
        for one in engine.needs(scenarios[index]):
            key = "measure", engine.measurement_key(one)
            after[index].append(key)
            if key not in calls:
                files += [] if folder is None else [folder.half_done(point_key(one))]
                calls[key] = Call(_in_name_of, (one, engine.measure, one, files[-1] if files else None))
    shared, measurements = len(calls), {index: len(after[index]) for index in waiting}
    for index in waiting:
        for baseline in engine.baselines(scenarios[index]):
            after[index].append(("compare", baseline))
            calls.setdefault(("compare", baseline), Call(_in_name_of, (scenarios[index], engine.baseline, baseline)))
    for index in waiting:
        args = engine, scenarios[index], measurements[index], keys[index], folder
        calls["simulate", index] = Call(_simulate, args, tuple(after[index]))
    done = {
        index: value
        for (what, index), value in _shown(results(calls, jobs), len(calls), shared, show)
        if what == "simulate"
    }
    for file in files:
        file.unlink(missing_ok=True)
    return done


def _simulate(
    engine: Engine, scenario: Scenario, measurements: int, key: str, folder: ResultFolder | None, *known: Any
) -> Result | None:
    """Simulate a point, given its measurements and what it is compared with; in a folder, its result stays there."""
    baselines = {"baselines": known[measurements:]} if known[measurements:] else {}
    result: Result = _in_name_of(scenario, engine.simulate, scenario, *known[:measurements], **baselines)
    if folder is None:
        return result
    folder.save(key, result)
    return None


def _in_name_of(scenario: Scenario, run: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Run a part of a point; a user's error then says which point it was."""
    try:
        return run(*args, **options)
    except NetsimError as error:
        swept = ", ".join(f"{key}={value}" for key, value in scenario.swept)
        point = f"{scenario.name}, {swept}" if swept else scenario.name
        raise NetsimError(f"{point}, {scenario.scheme.kind} over {scenario.sync.kind}: {error}") from error


def _shown(found: Iterator[Any], total: int, measurements: int, show: bool) -> Iterator[Any]:
    """Show on stderr how many of the calls are done, and of the measurements, which take longest."""
    measured = 0
    with ticking("measuring and simulating", show) as tell:
        tell(0, total)
        for done, one in enumerate(found, start=1):
            measured += one[0][0] == "measure"
            tell(done, total, f"({measured} of {measurements} measured)" if measurements else "")
            yield one


def _table(found: Sequence[Result]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([result.runs for result in found], ignore_index=True)


@cache
def _versions() -> dict[str, Any]:
    """Return the versions of what a result depends on, and a hash of netsim's own code, which may be under work."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for name, package in (("netsim", "gradnetsim"), ("numpy", "numpy"), ("torch", "torch"), ("simpy", "simpy")):
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            found[name] = "not installed"
    code = hashlib.sha256()
    for path in sorted(Path(netsim.__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    return found | {"netsim_code": code.hexdigest()[:16]}


make_callable(__name__, __name__)
