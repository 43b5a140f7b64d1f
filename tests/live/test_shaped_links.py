"""Real torch.distributed exchanges between network namespaces whose links tc shapes, against netsim's predictions."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.live import measure
from tests.live.namespaces import why_not
from tests.validation.compare import Compared, show


def compared(rows, transport):
    return [
        Compared(
            f"{workers} workers, {rate} Mbit/s, {exchange}, {size / 1e6:.0f} MB",
            1e3 * measure.predicted_s(transport, workers, rate, exchange, size),
            1e3 * least_s,
        )
        for workers, rate, exchange, size, _, least_s, _ in rows
    ]


def check(rows, transport):
    found = compared(rows, transport)
    show(f"Gloo over shaped links, ms, {transport} calibrated on {measure.CALIBRATED}", found)
    errors = pd.Series([abs(one.error) for one in found])
    assert errors.median() <= 0.05
    assert errors.max() <= 0.15


def test_the_committed_measurements_are_predicted():
    table = pd.read_csv(measure.TABLE, comment="#")
    assert len(table) == 24
    check(table.itertuples(index=False), measure.calibrated())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_is_measured_now_is_predicted(monkeypatch, tmp_path):
    """Calibrates anew; about five minutes."""
    if reason := why_not():
        pytest.skip(reason)
    monkeypatch.setattr(measure, "SECTION", tmp_path / "network.yaml")
    measure.calibrate()
    rows = [
        row
        for workers in measure.WORKERS
        for rate in measure.RATES_MBIT
        for row in measure.measured_rows(workers, rate)
    ]
    check(rows, measure.calibrated())
