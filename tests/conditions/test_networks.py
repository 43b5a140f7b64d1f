"""What befalls a job on networks other than `flow`: packet by packet, and as a bound."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from netsim.engine.job import run_job
from netsim.engine.measure import dense
from netsim.engine.simulate import open_workload
from netsim.errors import ScenarioErrors
from netsim.record.result import PARTS
from tests.engine.test_job import BANDWIDTH, DENSE_BYTES, FORWARD_S, LATENCY_S, ring_s

PACKET = "{kind: packet, transport: ideal, mtu: 500 B}"
RENO = "{kind: packet, transport: ideal, congestion: reno, timeout: 50 ms}"
BOUND = "{kind: analytic, transport: tcp}"
NODE = "[{kind: node_failure, nodes: [worker1], at: %s, duration: 2 s}]"
CHANGES = {
    "link_profile": "{kind: link_profile, links: [worker2], at: [150 ms], bandwidth: [5 Mbit/s]}",
    "link_failure": "{kind: link_failure, links: [worker2], at: 150 ms, duration: 100 ms}",
    "node_failure": "{kind: node_failure, nodes: ['worker*'], mean_time_between: 300 ms, duration: 20 ms}",
    "packet_loss": "{kind: packet_loss, links: ['*'], probability: 0.1}",
}
TRAFFIC = {
    "background": "{kind: background, src: [worker0], dst: [worker1], rate: 5 Mbit/s, size: 1 kB}",
    "neighbour": "{kind: neighbour, workers: ['worker*'], size: 100 kB, compute: 100 ms}",
}


def steps(point):
    """Return the rows of a job by itself, without those that it would be compared with."""
    gradients = open_workload(point.workload)
    table = pd.DataFrame(run_job(point, dense(point, gradients), gradients.timing).steps)
    np.testing.assert_allclose(table[list(PARTS)].sum(axis=1), table["step_time_s"], rtol=1e-12)
    return table


@pytest.mark.parametrize("at", ["50 ms", "142.5 ms"], ids=["compute", "ring"])
@pytest.mark.parametrize("network", ["{kind: analytic, transport: ideal}", PACKET])
def test_a_synchronous_job_waits_for_a_worker_and_goes_on(scenario, network, at):
    quiet, hit = (steps(scenario(network=network, conditions=one)) for one in ("[]", NODE % at))
    more_s = hit["step_time_s"] - quiet["step_time_s"]
    assert more_s[0] == pytest.approx(2.0, abs=1e-9 if "analytic" in network else 1e-3)
    np.testing.assert_allclose(more_s[1:], 0.0, atol=1e-12)
    assert hit["lost_s"][0] == pytest.approx(2 / 4)


@pytest.mark.parametrize("network", ["{kind: analytic, transport: ideal}", PACKET, RENO])
def test_the_last_checkpoint_is_where_a_job_goes_on(scenario, network):
    """The third step is done and messages of the fourth are under way: it begins anew, on links that are free of it."""
    step_s = steps(scenario(network=network, job="{steps: 1}"))["step_time_s"][0]
    crash_s = 2 * step_s + 0.03 + step_s + 0.15
    failure = f"[{{kind: node_failure, nodes: [worker1], at: {crash_s} s, duration: 2 s}}]"
    job = "{steps: 4, checkpoint: {every: 2, write: 30 ms, restart: 500 ms}}"
    table = steps(scenario(network=network, conditions=failure, job=job))
    lost_s = step_s + 0.15 + 2 + 0.5
    # Packets of one step or the next are numbered on, so that hosts hear of them at other instants: 1 ms.
    np.testing.assert_allclose(
        table["step_time_s"],
        [step_s, step_s + 0.03, step_s + lost_s, step_s + 0.03],
        atol=1e-9 + 1e-3 * (network == RENO),
    )


@pytest.mark.parametrize("kind", CHANGES)
def test_what_links_do_is_felt_in_every_network_and_the_bound_is_a_bound(scenario, kind):
    found = {}
    for name, network in (("analytic", BOUND), ("flow", "{kind: flow, transport: tcp}"), ("packet", RENO)):
        given = {"network": network, "job": "{steps: 2}"}
        quiet, found[name] = (
            steps(scenario(**given, conditions=one))["step_time_s"].sum() for one in ("[]", f"[{CHANGES[kind]}]")
        )
        assert found[name] > quiet
    assert found["analytic"] <= found["flow"] * (1 + 1e-12)


def test_a_neighbour_takes_half_of_every_link_packet_by_packet(scenario):
    """As in the flow network, but for a packet of the other's that each hop of a round may wait for."""
    neighbour = f"{{kind: neighbour, workers: ['worker*'], size: 10 MB, compute: {FORWARD_S} s}}"
    given = {"network": PACKET, "job": "{steps: 1}"}
    quiet, hit = (steps(scenario(**given, conditions=one))["step_time_s"][0] for one in ("[]", f"[{neighbour}]"))
    chunk_s = DENSE_BYTES / 4 / BANDWIDTH
    in_fluid_s = 6 * (LATENCY_S + 2 * chunk_s) - ring_s(DENSE_BYTES)
    assert in_fluid_s < hit - quiet < in_fluid_s + 6 * 2 * 500 / BANDWIDTH


@pytest.mark.parametrize("kind", TRAFFIC)
def test_traffic_of_others_is_felt_packet_by_packet_and_refused_by_a_bound(scenario, kind):
    quiet, hit = (
        steps(scenario(network=RENO, conditions=one))["step_time_s"].sum() for one in ("[]", f"[{TRAFFIC[kind]}]")
    )
    assert hit > quiet
    with pytest.raises(ScenarioErrors, match=r"would not feel this traffic.*choose `network: flow` or `packet`"):
        scenario(network="analytic", conditions=f"[{TRAFFIC[kind]}]")


def test_what_nobody_would_notice_is_refused(scenario):
    with pytest.raises(ScenarioErrors, match=r"sends nothing again.*choose congestion: reno"):
        scenario(network=PACKET, conditions=f"[{CHANGES['packet_loss']}]")
    with pytest.raises(ScenarioErrors, match="choose `network: flow`"):
        scenario(network="ideal", conditions=NODE % "1 s")
