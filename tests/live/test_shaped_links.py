"""Real torch.distributed exchanges between network namespaces whose links tc shapes, against netsim's predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.live import measure
from tests.live.namespaces import why_not
from tests.validation.compare import Compared, show


def check(table, section):
    transport = measure.calibrated(section)
    rows = pd.read_csv(table, comment="#")
    assert len(rows) == 24
    found = [
        Compared(
            f"{row.workers} workers, {row.rate_mbit} Mbit/s, {row.exchange}, {row.size_bytes / 1e6:.0f} MB",
            1e3 * measure.predicted_s(transport, row.workers, row.rate_mbit, row.exchange, row.size_bytes),
            1e3 * row.least_s,
        )
        for row in rows.itertuples(index=False)
    ]
    show(f"Gloo over shaped links, ms, {transport} calibrated on {measure.CALIBRATED}", found)
    errors = np.abs([one.error for one in found])
    assert np.median(errors) <= 0.05
    assert errors.max() <= 0.15


def test_the_committed_measurements_are_predicted():
    check(measure.TABLE, measure.SECTION)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_is_measured_now_is_predicted(tmp_path):
    """Calibrates anew; about five minutes."""
    if reason := why_not():
        pytest.skip(reason)
    measure.main(tmp_path / "shaped_links.csv", tmp_path / "shaped_links.yaml")
    check(tmp_path / "shaped_links.csv", tmp_path / "shaped_links.yaml")
