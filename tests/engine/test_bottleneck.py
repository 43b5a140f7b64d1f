"""The named bottleneck: what truly holds a step up, by closed forms, and by taking one thing after another away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netsim.engine.bottleneck import bottleneck, sent_by
from netsim.engine.job import run_job
from netsim.engine.measure import dense
from netsim.engine.simulate import open_workload, simulate
from netsim.record.result import PARTS
from netsim.scenario.schema import Straggler
from netsim.sync.base import syncs
from netsim.workload.cost import Affine
from tests.engine.live import point as live_point

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.scenario.schema import Scenario

STAR = "{kind: star, workers: 4, bandwidth: %s, latency: %s}"
TCP = "{kind: flow, transport: {kind: tcp, overhead: %s, window: %s, efficiency: 1}}"
CAPPED = "{kind: flow, transport: {kind: tcp, overhead: %s, cap: %s, window: 1 GB, efficiency: 1}}"
COMPUTE_S, OPTIMIZER_S, NBYTES = 0.14, 0.01, 20_008
LOSS = "[{kind: packet_loss, links: ['*'], probability: 0.1}]"
LOSSY = {"conditions": LOSS}

CASES = {
    # sections, seconds of one of the six rounds of a ring, and what most of them goes to.
    "a link that is full": (
        {"topology": STAR % ("1 Mbit/s", "1 ms")},
        1e-3 + NBYTES / 4 / 125e3,
        "link worker0->switch",
    ),
    "small messages over a long way": (
        {"topology": STAR % ("1 Gbit/s", "60 ms")},
        60e-3 + NBYTES / 4 / 125e6,
        "latency",
    ),
    "a window of 100 bytes a round trip of 2 ms": (
        {"topology": STAR % ("1 Gbit/s", "1 ms"), "network": TCP % ("0 s", "100 B")},
        1e-3 + NBYTES / 4 / (100 / 2e-3),
        "window worker0->worker1",
    ),
    "work of 80 ms a message": (
        {"topology": STAR % ("1 Gbit/s", "1 ms"), "network": TCP % ("80 ms", "1 GB")},
        81e-3 + NBYTES / 4 / 125e6,
        "overhead",
    ),
    "a cap on each pair": (
        {"topology": STAR % ("1 Gbit/s", "1 ms"), "network": CAPPED % ("0 s", "400 kbit/s")},
        1e-3 + NBYTES / 4 / 50e3,
        "cap worker0->worker1",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sections", "round_s", "named"), CASES.values(), ids=CASES)
def test_the_time_of_a_ring_is_its_closed_form_and_most_of_it_is_named(
    scenario: Callable[..., Scenario], sections: dict[str, str], round_s: float, named: str
) -> None:
    result = simulate(scenario(**sections))
    (row,) = result.runs.to_dict("records")
    assert row["step_time_s"] == pytest.approx(COMPUTE_S + 6 * round_s + OPTIMIZER_S, rel=1e-9)
    assert row["bottleneck"] == named
    if not named.startswith("link"):
        assert result.links["utilisation"].max() < 0.03


def test_where_packets_are_lost_the_loss_of_a_pair_is_named(scenario: Callable[..., Scenario]) -> None:
    """Padhye's or CUBIC's rate at a tenth lost over two links is far below a window and the line rate."""
    star, network = STAR % ("1 Gbit/s", "20 ms"), TCP % ("0 s", "1 GB")
    reno = network.replace("efficiency", "congestion: reno, efficiency")
    point = scenario(topology=star, network=reno, conditions=LOSS)
    (row,) = simulate(point).runs.to_dict("records")
    rate = point.transport.lossy_rate(np.array([40e-3]), np.array([1 - 0.9**2]))[0]
    assert row["exposed_comm_s"] == pytest.approx(6 * (20e-3 + NBYTES / 4 / rate), rel=1e-9)
    assert row["bottleneck"] == "loss worker0->worker1"
    assert simulate(scenario(topology=star, network=network)).runs["bottleneck"][0] == "compute"


def test_a_loss_that_was_soon_over_is_not_named(scenario: Callable[..., Scenario]) -> None:
    """In the mean there is hardly any."""
    sections = {"topology": STAR % ("1 Gbit/s", "60 ms"), "network": TCP % ("0 s", "1 GB")}
    lasting = LOSS.replace("}]", ", duration: %s}]")
    always, seldom = (simulate(scenario(**sections, conditions=lasting % one)) for one in ("1 h", "1 ms"))
    assert (always.runs["bottleneck"][0], seldom.runs["bottleneck"][0]) == ("loss worker0->worker1", "latency")


WAN = "{kind: wan, bandwidth: 1 Gbit/s, latency: 0 s, round_trips: [10 ms, 20 ms, 80 ms], windows: [%s]}"


@pytest.mark.parametrize(
    ("windows", "named", "window_bytes", "round_trip_s"),
    [
        ("1 kB, 1 kB, 1 kB", "window worker1->worker2", 1e3, 80e-3),
        ("50 B, 1 kB, 2 kB", "window worker2->worker0", 50, 20e-3),
    ],
    ids=["the longest way", "the smallest window"],
)
def test_of_many_capped_pairs_the_slowest_is_named(
    scenario: Callable[..., Scenario], windows: str, named: str, window_bytes: float, round_trip_s: float
) -> None:
    """A ring over three sites takes two thirds of the bytes there and back at its slowest pair's rate, at least."""
    star = {"topology": WAN % windows, "network": TCP % ("0 s", "1 GB")}
    (row,) = simulate(scenario(**star)).runs.to_dict("records")
    slowest_s = 4 / 3 * NBYTES * round_trip_s / window_bytes
    assert slowest_s < row["exposed_comm_s"] < 1.2 * slowest_s
    assert row["bottleneck"] == named


def test_who_waits_for_a_slow_worker_waits_for_no_link(scenario: Callable[..., Scenario]) -> None:
    """Three of four wait for 4 x 0.14 s, 0.42 s in the mean; the ring takes 30 ms, nearly all of them on its links."""
    slow = "{overlap: none, straggler: {factors: [1, 1, 1, 5]}}"
    for sync in ("ring", "parameter_server"):
        (row,) = simulate(scenario(job=slow, sync=sync)).runs.to_dict("records")
        assert row["exposed_comm_s"] > row["compute_s"]
        assert row["bottleneck"] == "stragglers"


def test_a_server_that_adds_slowly_is_named(scenario: Callable[..., Scenario], monkeypatch: pytest.MonkeyPatch) -> None:
    point = scenario(sync="parameter_server")
    monkeypatch.setattr(type(point.cost), "aggregate", lambda self: Affine(10e-3, 0.0, 0.0))
    (row,) = simulate(scenario(sync="parameter_server")).runs.to_dict("records")
    assert row["exposed_comm_s"] == pytest.approx(4 * 5 * 10e-3 + 2 * (1e-3 + NBYTES / 312_500), rel=1e-9)
    assert row["bottleneck"] == "aggregation"


TRAFFIC = "[{kind: background, src: [worker0], dst: [worker1], rate: 9.5 Mbit/s, size: 100 kB}]"
FAILURE = "[{kind: link_failure, links: [worker0], at: 0.15 s, duration: 1 s}]"
INCAST = "{kind: packet, congestion: reno, buffer: 3 kB, transport: ideal}"


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"conditions": FAILURE}, "failures"),
        ({"conditions": TRAFFIC, "job": "{steps: 6}"}, "other traffic"),
        (
            {"network": INCAST, "sync": "parameter_server", "topology": STAR % ("100 Mbit/s", "10 us")},
            "congestion control",
        ),
    ],
)
def test_what_befalls_exchanges_is_named(
    scenario: Callable[..., Scenario], sections: dict[str, str], named: str
) -> None:
    assert simulate(scenario(**sections)).runs["bottleneck"][0] == named


TRAIN = "{optimizer: {kind: momentum, lr: 0.1, batch: 2}, max_epochs: 1, every: 1, gradient_time: 1 ms}"


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"topology": STAR % ("1 Mbit/s", "1 ms")}, "link worker0->switch"),
        ({"topology": STAR % ("1 Gbit/s", "1 ms"), "network": TCP % ("0 s", "100 B")}, "window worker0->worker1"),
        ({"topology": STAR % ("100 Gbit/s", "1 us"), "job": "{straggler: {factors: [1, 1, 1, 99]}}"}, "stragglers"),
        ({"topology": STAR % ("1 Gbit/s", "1 ms"), "network": TCP % ("0 s", "1 GB"), **LOSSY}, "loss worker0->worker1"),
    ],
)  # fmt: skip
def test_a_training_names_what_its_turns_are_held_up_by(sections: dict[str, str], named: str) -> None:
    assert simulate(live_point(train=TRAIN, **sections)).runs["bottleneck"][0] == named


def told(point: Scenario) -> tuple[str, float]:
    """Return a point's bottleneck and its seconds of exposed communication, without what it is compared with."""
    gradients = open_workload(point.workload)
    measured = dense(point, gradients)
    record = run_job(point, measured, gradients.timing)
    sent = sent_by(point, measured)
    mean = {key: float(np.mean([row[key] for row in record.steps])) for key in (*PARTS, "comm_s", "comm_wait_s")}
    factors = np.array(point.job.straggler.factors)
    waits_s = (factors.max() - factors.mean()) * COMPUTE_S
    return bottleneck(point, sent, record.link_state, mean, waits_s).split()[0], mean["exposed_comm_s"]


CURES = {
    "stragglers": {"slow": 1.0},
    "latency": {"latency": 0.0},
    "overhead": {"overhead": 0.0},
    "link": {"bandwidth": 1e15, "cap": 1e15},
    "cap": {"bandwidth": 1e15, "cap": 1e15},
}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    inputs=st.fixed_dictionaries({
        "slow": st.floats(1, 30),
        "latency": st.floats(1e-4, 0.3),
        "overhead": st.floats(1e-4, 0.3),
        "bandwidth": st.floats(1e4, 1e7),
        "cap": st.floats(1e4, 1e7),
    }),
    sync=st.sampled_from(["ring", "tree", "halving_doubling", "all_to_all", "parameter_server"]),
)  # fmt: skip
def test_taking_away_what_is_named_shortens_exchanges_most(
    scenario: Callable[..., Scenario], inputs: dict[str, float], sync: str
) -> None:
    point = scenario(job="{overlap: none, steps: 1}", network=CAPPED % ("0 s", "1 Mbit/s"))

    def given(slow: float, latency: float, overhead: float, bandwidth: float, cap: float) -> tuple[str, float]:
        job = replace(point.job, straggler=Straggler(factors=(1.0, 1.0, 1.0, slow)))
        star = replace(point.topology, bandwidth=bandwidth, latency=latency)
        transport = replace(point.transport, overhead=overhead, cap=cap)
        return told(replace(point, topology=star, transport=transport, job=job, sync=syncs.get(sync)()))

    named, now_s = given(**inputs)
    if named not in CURES:
        assert named == "compute"
        return
    left_s = {name: given(**inputs | cure)[1] for name, cure in CURES.items()}
    assert now_s - left_s[named] >= 0.9 * (now_s - min(left_s.values()))
