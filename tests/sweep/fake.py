"""An engine without physics: fast, deterministic, and it writes down what it was asked. Run as a script, it sweeps."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from netsim.compress.base import schemes
from netsim.errors import NetsimError
from netsim.network.base import fidelities
from netsim.network.transport import transports
from netsim.record.result import Result
from netsim.scenario.schema import Job, Scenario
from netsim.sweep import Engine, sweep
from netsim.sync.base import syncs
from netsim.topology.base import topologies
from netsim.workload.base import workloads
from netsim.workload.cost import costs


def points(trace: str, count: int = 12) -> list[Scenario]:
    """Return scenarios that differ in their number of workers and their scheme."""
    ratios = [0.5 ** (index % 4) for index in range(count)]
    return [
        Scenario(
            name="fake",
            topology=topologies.get("star")(workers=1 + index // 4, bandwidth=1e9 / 3),
            network=fidelities.get("flow")(),
            transport=transports.get("tcp")(),
            workload=workloads.get("recorded")(trace=trace),
            scheme=schemes.get("topk")(ratio=ratio),
            sync=syncs.get("ring")(),
            job=Job(),
            cost=costs.get("free")(),
            swept=(("topology.workers", str(1 + index // 4)),),
        )
        for index, ratio in enumerate(ratios)
    ]


@dataclass(frozen=True)
class Log:
    """Writes a file a call, so that calls are counted over processes."""

    folder: Path
    pause_s: float = 0.0
    fails_at: int = 0

    def measurement_key(self, scenario: Scenario) -> Any:
        return scenario.scheme

    def measure(self, scenario: Scenario, _file: Path | None = None) -> float:
        self._write("measure", scenario)
        return float(scenario.scheme.ratio) / 3  # type: ignore[attr-defined]

    def simulate(self, scenario: Scenario, measurement: float) -> Result:
        if scenario.topology.num_workers == self.fails_at:
            raise NetsimError("the clock ran backwards")
        time.sleep(self.pause_s)
        self._write("simulate", scenario)
        value = measurement / (1 + scenario.topology.num_workers)
        rows = pd.DataFrame({"step": [0, 1], "step_time_s": [value, value * 1e-9 / 7]})
        none = None if scenario.topology.num_workers == 1 else "text"
        runs = pd.DataFrame({"scenario": [scenario.name], "step_time_s": [value], "bottleneck": [none], "steps": [2]})
        return Result(runs, rows, rows, rows, rows, {"trace": "fake", "seed": scenario.seed})

    def _write(self, what: str, scenario: Scenario) -> None:
        self.folder.mkdir(exist_ok=True)
        text = f"{what} {scenario.topology.num_workers} {scenario.scheme}"
        name = f"{what}-{hashlib.sha256(text.encode()).hexdigest()[:8]}-{os.getpid()}-{time.monotonic_ns()}"
        (self.folder / name).write_text(text)

    def calls(self, what: str) -> int:
        return len(list(self.folder.glob(f"{what}-*")))

    @property
    def engine(self) -> Engine:
        return Engine(self.measurement_key, self.measure, self.simulate)


if __name__ == "__main__":
    out, trace, jobs = sys.argv[1:4]
    log = Log(Path(out).with_name("log"), pause_s=0.02)
    try:
        sweep(points(trace), int(jobs), out, resume=True, engine=log.engine)
    except KeyboardInterrupt:
        sys.exit(130)
