"""Many points over processes: what can be shared is measured once, every finished point is durable at once."""

from __future__ import annotations

import gc
import hashlib
import json
import platform
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import netsim
from netsim.calls import make_callable
from netsim.errors import InputError, NetsimError
from netsim.record.folder import ResultFolder
from netsim.scenario.dump import dump_yaml, scenario_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    import pandas as pd

    from netsim.record.result import Result
    from netsim.scenario.schema import Scenario


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
    progress: bool | None = None,
    engine: Engine | None = None,
) -> pd.DataFrame:
    """Simulate points and return their table of runs, in their order; the same table whatever the number of jobs.

    Args:
        scenarios: the points, as `netsim.load` gives them.
        jobs: processes; -1 for one a core.
        out: the result folder, kept nowhere unless given. Every finished point is in it at once.
        resume: keep the finished points of an earlier run in `out`; points that changed since are run again.
        progress: show it on stderr; by default where that is a terminal.
        engine: what runs the points, netsim's own unless given.

    Raises:
        InputError: no points, no jobs, or a folder that holds something and is not to be resumed.
        NetsimError: the first point that failed, named; finished ones are kept.
    """
    if not scenarios:
        raise InputError("there is no point to simulate", "give at least one scenario")
    if jobs < 1 and jobs != -1:
        raise InputError(f"jobs is {jobs}", "give 1 or more, or -1 for one a core")
    engine = engine or simulation()
    show = sys.stderr.isatty() if progress is None else progress
    if out is None:
        done = _run(engine, scenarios, range(len(scenarios)), jobs, show, [""] * len(scenarios), None)
        return _table([done[index] for index in range(len(scenarios))])
    folder = ResultFolder(Path(out))
    with folder.opened(resume):
        keys = [point_key(scenario) for scenario in scenarios]
        first = {key: index for index, key in reversed(list(enumerate(keys)))}
        waiting = [index for index, key in enumerate(keys) if first[key] == index and not folder.has(key)]
        text = dump_yaml(scenarios)
        folder.write_text("scenario.yaml", text)
        _run(engine, scenarios, waiting, jobs, show, keys, folder)
        provenance = _versions() | {
            "points": len(scenarios),
            "scenario_hash": [scenario_hash(one) for one in scenarios],
        }
        return folder.assemble(keys, text, provenance)


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
    needed = {index: engine.needs(scenarios[index]) for index in waiting}
    shared = {index: [engine.measurement_key(one) for one in needed[index]] for index in waiting}
    compared = {index: engine.baselines(scenarios[index]) for index in waiting}
    distinct: dict[tuple[str, Hashable], tuple[Any, ...]] = {}
    files: list[Path] = []
    # Measurements come first: they take longest, and what takes longest must not begin last.
    for index in waiting:
        for key, one in zip(shared[index], needed[index], strict=True):
            if ("measure", key) not in distinct:
                files += [] if folder is None else [folder.half_done(point_key(one))]
                distinct["measure", key] = engine.measure, (one, files[-1] if files else None), one
    for index in waiting:
        for baseline in compared[index]:
            distinct.setdefault(("compare", baseline), (engine.baseline, (baseline,), scenarios[index]))
    places = {key: place for place, key in enumerate(distinct)}
    measuring = [(_measure, *call, place) for place, call in enumerate(distinct.values())]
    known = dict(_parallel(measuring, jobs, "measuring", show))
    simulating = [
        (
            _simulate,
            engine,
            scenarios[index],
            [known[places["measure", key]] for key in shared[index]],
            [known[places["compare", one]] for one in compared[index]],
            index,
            keys[index],
            folder,
        )
        for index in waiting
    ]
    done = dict(_parallel(simulating, jobs, "simulating", show))
    for file in files:
        file.unlink(missing_ok=True)
    return done


def _measure(function: Callable[..., Any], args: tuple[Any, ...], of: Scenario, place: int) -> tuple[int, Any]:
    return place, _named(of, lambda: function(*args))


def _simulate(
    engine: Engine,
    scenario: Scenario,
    measured: Sequence[Any],
    baselines: Sequence[Any],
    index: int,
    key: str,
    folder: ResultFolder | None,
) -> tuple[int, Result | None]:
    known = {"baselines": baselines} if baselines else {}
    result = _named(scenario, lambda: engine.simulate(scenario, *measured, **known))
    if folder is None:
        return index, result
    folder.save(key, result)
    return index, None


def _named(scenario: Scenario, run: Callable[[], Any]) -> Any:
    """Run a part of a point; a user's error then says which point it was."""
    try:
        return run()
    except NetsimError as error:
        swept = ", ".join(f"{key}={value}" for key, value in scenario.swept)
        point = f"{scenario.name}, {swept}" if swept else scenario.name
        raise NetsimError(f"{point}, {scenario.scheme.kind} over {scenario.sync.kind}: {error}") from error


def _parallel(calls: Sequence[tuple[Any, ...]], jobs: int, label: str, show: bool) -> Iterator[Any]:
    """Yield what the calls return as they finish, in any order."""
    from tqdm import tqdm

    with tqdm(total=len(calls), desc=label, unit="point", disable=not show, file=sys.stderr) as bar:
        for done in _results(calls, jobs):
            bar.update()
            yield done


def _results(calls: Sequence[tuple[Any, ...]], jobs: int) -> Iterator[Any]:
    if jobs == 1 or len(calls) < 2:
        for function, *args in calls:
            yield function(*args)
        return
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=jobs, backend="loky", batch_size=1, return_as="generator_unordered")
    with _interrupts_ignored():
        results = pool(delayed(_in_process)(function, *args) for function, *args in calls)
    yield from results


def _in_process(function: Callable[..., Any], *args: Any) -> Any:
    _settle_in()
    return function(*args)


@cache
def _settle_in() -> None:
    """Take what has been imported out of garbage collection, which a process of the pool runs in full each second."""
    from netsim.engine import simulate as _imported  # noqa: F401

    gc.collect()
    gc.freeze()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let the processes that start meanwhile ignore Ctrl-C: this one answers it, and ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _table(results: Sequence[Result]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([result.runs for result in results], ignore_index=True)


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
