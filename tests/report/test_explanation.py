from __future__ import annotations

import pytest

from netsim.report.explanation import explained

RUN = {
    "scheme": "none", "sync": "ring", "workers": 4, "bandwidth_bytes_per_s": 1e9, "speedup_x": 1.0, "headroom_x": 2.0,
    "step_time_s": 1.0, "compute_s": 0.4, "encode_s": 0.0, "decode_s": 0.0, "optimizer_s": 0.0, "exposed_comm_s": 0.6,
}  # fmt: skip


@pytest.mark.parametrize(
    ("bottleneck", "utilisation", "held_up"),
    [("link a->b", 0.02, True), ("link a->b", 0.58, False), ("latency", 0.02, False), ("compute", 0.02, False)],
)
def test_a_busiest_link_that_is_hardly_busy_is_said_to_hold_nothing_up(bottleneck, utilisation, held_up):
    link = {"link": "a->b", "utilisation": utilisation, "bytes_per_step": 1e6, "transfers": 0.1}
    text = explained(1, RUN | {"bottleneck": bottleneck}, [link], [])
    assert ("no link is busy for half of that: windows, losses" in text) == held_up
