"""One step of one point, watched: what workers did, and what links carried at every instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netsim.engine.job import run_job
from netsim.engine.measure import measure
from netsim.engine.simulate import open_workload
from netsim.errors import InputError
from netsim.registry import label
from netsim.report.trace_events import trace_events

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from netsim.scenario.schema import Scenario


def traced(scenario: Scenario) -> dict[str, Any]:
    """Return the Chrome trace of a point's first step that is told.

    Raises:
        InputError: a point that trains, or whose network does not know what its links carry at an instant.
    """
    import pandas as pd

    if scenario.train is not None:
        raise InputError("a training has no steps to look at", "trace a scenario with a recorded workload", "train")
    seen: list[tuple[float, NDArray[np.float64], NDArray[np.int64]]] = []
    record = run_job(
        scenario, measure(scenario), open_workload(scenario.workload).timing, lambda *one: seen.append(one)
    )
    spans = pd.DataFrame([span._asdict() for span in record.spans])
    begin_s = record.spans_begin_s
    spans = spans.assign(start_s=spans["start_s"] + begin_s, end_s=spans["end_s"] + begin_s)
    title = f"{scenario.name}, {scenario.scheme.label} over {label(scenario.sync)}"
    return trace_events(spans, record.link_names, seen, title)
