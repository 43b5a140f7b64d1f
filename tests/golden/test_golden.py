"""Predictions of the shipped scenarios as they were last accepted, so that every change of one is a visible diff.

`python -m pytest tests/golden --regenerate-golden` writes the tables anew; look at the diff before you commit it.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from netsim.scenario.load import load
from netsim.sweep import sweep

HERE = Path(__file__).parent
SCENARIOS = HERE.parents[1] / "scenarios"
COLUMNS = [
    "point", "scheme", "sync", "step_time_s", "speedup_x", "compute_s", "encode_s", "decode_s", "exposed_comm_s",
    "optimizer_s", "wire_bytes_per_worker", "compression_x", "rel_error", "headroom_x", "vs_best_dense_x",
    "bottleneck", "collective", "extrapolated",
]  # fmt: skip
CASES = {
    "quickstart": {"sweep": "{topology.bandwidth: [10 Mbit/s, 1 Gbit/s]}", "cost": "documented"},
    "gpu-cluster": {"schemes": "[none]"},
}
"""Scenario and what is left out of it here to save time; costs that are measured anew change no prediction here."""


@pytest.mark.parametrize("name", CASES)
def test_predictions_are_what_they_were(name: str, request: pytest.FixtureRequest) -> None:
    runs = sweep(load(SCENARIOS / f"{name}.yaml", overrides=CASES[name]), progress=False)[COLUMNS]
    golden = HERE / f"{name}.csv"
    if request.config.getoption("--regenerate-golden"):
        runs.to_csv(golden, index=False, float_format="%.9g")
    accepted = pd.read_csv(golden, keep_default_na=False)
    pd.testing.assert_frame_equal(runs, accepted, check_dtype=False, rtol=1e-6, atol=1e-9)
