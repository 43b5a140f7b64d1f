"""Jobs to which something happens, against closed forms worked out by hand."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import simpy

from netsim.conditions import Cluster, LinkProfile, NodeFailure
from netsim.conditions.base import nodes_named
from netsim.engine.job import run_job, slowness
from netsim.engine.measure import dense
from netsim.engine.simulate import Baseline, dense_step_s, open_workload, simulate
from netsim.errors import NetsimError, ScenarioErrors
from netsim.network import Flow, transports
from netsim.record.result import PARTS
from netsim.report.verdict import verdicts
from netsim.scenario.schema import Straggler
from netsim.sync.base import syncs
from netsim.topology import Star, Topology
from tests.engine.test_job import BACKWARD_S, BANDWIDTH, DENSE_BYTES, FORWARD_S, LATENCY_S, OPTIMIZER_S, ring_s

COMPUTE_S = FORWARD_S + BACKWARD_S
STEP_S = COMPUTE_S + ring_s(DENSE_BYTES) + OPTIMIZER_S
CHUNK_S = DENSE_BYTES / 4 / BANDWIDTH
NODE = "[{kind: node_failure, nodes: [worker1], at: %s, duration: 2 s}]"


def steps(result):
    table = result.steps
    np.testing.assert_allclose(table[list(PARTS)].sum(axis=1), table["step_time_s"], rtol=1e-12)
    return table


@pytest.mark.parametrize("at", ["0 s", "50 ms", "142.5 ms", "200 ms"], ids=["begin", "compute", "ring", "second step"])
def test_a_synchronous_job_waits_for_a_worker_and_goes_on(scenario, at):
    table = steps(simulate(scenario(conditions=NODE % at)))
    hit = 1 if at == "200 ms" else 0
    assert table["step_time_s"][hit] == pytest.approx(STEP_S + 2, rel=1e-9)
    assert table["lost_s"][hit] == pytest.approx(2 / 4)
    assert table["exposed_comm_s"][hit] == pytest.approx(ring_s(DENSE_BYTES) + 2 * 3 / 4)  # the others wait
    np.testing.assert_allclose(np.delete(table["step_time_s"], hit), STEP_S, rtol=1e-9)


def test_who_is_down_can_be_seen(scenario):
    spans = simulate(scenario(conditions=NODE % "50 ms")).spans
    down = spans[spans["what"] == "down"]
    assert down[["worker", "start_s", "end_s"]].to_numpy().tolist() == [[1, 0.05, 2.05]]


def test_a_link_that_fails_while_it_is_used_delays_the_step_by_as_long(scenario):
    """It fails half-way through a chunk; one that fails while all compute delays nothing."""
    at_ms = 1e3 * (COMPUTE_S + LATENCY_S + CHUNK_S / 2)
    failure = f"kind: link_failure, links: [worker2->switch], duration: 500 ms, at: {at_ms} ms"
    table = steps(simulate(scenario(conditions=f"[{{{failure}}}]")))
    assert table["step_time_s"][0] == pytest.approx(STEP_S + 0.5, rel=1e-9)
    assert (table["lost_s"] == 0).all()
    quiet = failure.replace("500 ms", "80 ms").replace(f"{at_ms} ms", "50 ms")
    assert steps(simulate(scenario(conditions=f"[{{{quiet}}}]")))["step_time_s"][0] == pytest.approx(STEP_S, rel=1e-9)


def test_a_profile_slows_every_round_of_a_ring(scenario):
    """One worker's link at half speed: every chunk takes twice as long, on a ring that all wait for."""
    profile = "[{kind: link_profile, links: [worker2], at: [0 s], bandwidth: [5 Mbit/s], latency: [1.5 ms]}]"
    table = steps(simulate(scenario(conditions=profile)))
    ring = 6 * (1.5e-3 + 0.5e-3 + 2 * CHUNK_S)
    assert table["step_time_s"][0] == pytest.approx(COMPUTE_S + ring + OPTIMIZER_S, rel=1e-2)
    assert table["step_time_s"][0] <= COMPUTE_S + ring + OPTIMIZER_S
    links = simulate(scenario(conditions=profile)).links.set_index("link")
    used, other = links.loc["worker2->switch"], links.loc["worker1->switch"]
    assert used["utilisation"] == pytest.approx(2 * other["utilisation"])


def test_every_period_of_a_profile_begins_as_the_first():
    """Before the first time links are as the topology says, in each period, by rate and by latency."""
    topology = Star(workers=2, bandwidth=1e6, latency=1e-3).build()
    env = simpy.Environment()
    cluster = Cluster(env, Flow().build(env, topology, transports.get("ideal")()), topology.workers, 0)
    cluster.begin(
        [LinkProfile(links=("worker0",), at=(0.5, 1.0), bandwidth=(1e5, 2e5), latency=(0.1, 0.2), period=2.0)]
    )
    seen = []
    for until_s in np.arange(0.25, 6.0, 0.5).tolist():
        env.run(until=until_s)
        seen.append((cluster.network.links.share[0], cluster.network.links.propagation_s[0]))
    own_s = topology.latency_s[0]
    assert seen == [(1.0, own_s), (0.1, 0.1), (0.2, 0.2), (0.2, 0.2)] * 3


def test_a_link_that_a_profile_makes_faster_is_not_the_bottleneck(scenario):
    """Each link has carried as much; ten times as fast it was used a tenth of what the others were."""
    profile = "[{kind: link_profile, links: [%s], at: [0 s], bandwidth: [100 Mbit/s]}]"
    point = simulate(scenario(conditions=profile % "worker0", job="{overlap: none}"))
    links = point.links.set_index("link")["utilisation"]
    used = 1.5 * DENSE_BYTES / BANDWIDTH / point.runs["step_time_s"][0]
    np.testing.assert_allclose(links.drop(["worker0->switch", "switch->worker0"]), used, rtol=1e-9)
    np.testing.assert_allclose(links[["worker0->switch", "switch->worker0"]], used / 10, rtol=1e-9)
    found = simulate(scenario(conditions=profile % "'*'", job="{overlap: none}"))
    fast_s = COMPUTE_S + OPTIMIZER_S + 6 * LATENCY_S + 1.5 * DENSE_BYTES / (10 * BANDWIDTH)
    np.testing.assert_allclose(found.links["utilisation"], used / 10 * point.runs["step_time_s"][0] / fast_s, rtol=1e-9)
    slow = scenario(
        topology="{kind: star, workers: 4, bandwidth: 1 Mbit/s, latency: 0 s}", conditions=profile % "worker0"
    )
    assert simulate(slow).runs["bottleneck"][0] == "link worker1->switch"


def test_the_last_checkpoint_is_where_a_job_goes_on(scenario):
    """Every second step is saved for 30 ms. The third step is done and the fourth begun when a worker fails."""
    crash_s = 2 * STEP_S + 0.03 + STEP_S + 0.1
    failure = f"[{{kind: node_failure, nodes: [worker1], at: {crash_s} s, duration: 2 s}}]"
    job = "{steps: 4, checkpoint: {every: 2, write: 30 ms, restart: 500 ms}}"
    table = steps(simulate(scenario(conditions=failure, job=job)))
    lost_s = STEP_S + 0.1 + 2 + 0.5
    np.testing.assert_allclose(table["step_time_s"], [STEP_S, STEP_S + 0.03, STEP_S + lost_s, STEP_S + 0.03], rtol=1e-9)
    np.testing.assert_allclose(table["lost_s"], [0, 0.03, lost_s, 0.03], rtol=1e-9, atol=1e-12)
    assert table["step"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("at_s", [STEP_S + 0.01, STEP_S + 0.145], ids=["saving", "exchanging"])
def test_a_failure_while_a_checkpoint_is_saved_or_messages_fly(scenario, at_s):
    failure = f"[{{kind: node_failure, nodes: ['worker[13]'], at: {at_s} s, duration: 1 s}}]"
    job = "{steps: 2, checkpoint: {every: 1, write: 20 ms}}"
    table = steps(simulate(scenario(conditions=failure, job=job)))
    saved = at_s > STEP_S + 0.02
    lost_s = 1 + (at_s - STEP_S - 0.02 if saved else at_s)
    expected = [STEP_S + 0.02 + lost_s * (not saved), STEP_S + 0.02 + lost_s * saved]
    np.testing.assert_allclose(table["step_time_s"], expected, rtol=1e-9)


def test_a_second_failure_while_the_first_is_repaired(scenario):
    failures = "[{kind: node_failure, nodes: [worker1], at: 100 ms, duration: 1 s}, "
    failures += "{kind: node_failure, nodes: [worker2], at: 900 ms, duration: 1 s}]"
    job = "{steps: 1, checkpoint: {every: 1, restart: 300 ms}}"
    (time_s,) = steps(simulate(scenario(conditions=failures, job=job)))["step_time_s"]
    assert time_s == pytest.approx(1.9 + 0.3 + STEP_S, rel=1e-9)


def test_a_job_that_gets_nowhere_says_so(scenario):
    failures = "[{kind: node_failure, nodes: [worker1], at: 50 ms, every: 100 ms, duration: 1 ms}]"
    with pytest.raises(NetsimError, match="gets nowhere"):
        simulate(scenario(conditions=failures, job="{steps: 1, checkpoint: {every: 1}}"))


def test_a_baseline_that_gets_nowhere_is_left_out(scenario, monkeypatch):
    """Failures come more often than some architectures need for a step, or than all without compression."""
    monkeypatch.setattr("netsim.engine.restart._MOST_IN_VAIN", 3)

    def failing(every_s, **sections):
        failure = f"{{kind: node_failure, nodes: [worker1], at: {every_s} s, duration: 1 ms, every: {every_s} s}}"
        return simulate(scenario(conditions=f"[{failure}]", job="{steps: 2, checkpoint: {every: 1}}", **sections))

    alone_s = {one: dense_step_s(Baseline(scenario(sync=one))) for one in syncs}
    found = failing(0.2)
    assert set(found.provenance["not_compared"]) == {one for one, step_s in alone_s.items() if step_s > 0.199}
    (row,) = found.runs.itertuples()
    assert (row.speedup_x, row.best_dense_sync) == (1.0, min(alone_s, key=alone_s.get))
    # Of two steps the second begins anew at 0.201 s.
    assert row.vs_best_dense_x == pytest.approx((0.201 + min(alone_s.values())) / (0.201 + alone_s["ring"]), rel=1e-9)
    found = failing(0.17, schemes="[[error_feedback, {kind: topk, ratio: 0.01}]]", cost="{kind: free}")
    assert set(found.provenance["not_compared"]) == set(syncs)
    assert found.runs[["speedup_x", "headroom_x", "vs_best_dense_x"]].isna().all(axis=None)
    assert verdicts(found.runs)[0].endswith("no uncompressed training could be simulated to hold it against")


@pytest.mark.slow
def test_random_failures_cost_what_daly_says(scenario):
    """A saved stretch of S seconds takes (1/rate + D)(exp(rate S) - 1) in the mean (Daly 2006, FGCS 22, eq. 13)."""
    rate, down_s, every = 1.0, 0.5, 2
    failures = f"[{{kind: node_failure, nodes: [worker1], mean_time_between: {1 / rate} s, duration: {down_s} s}}]"
    job = f"{{steps: {every * 1500}, checkpoint: {{every: {every}, write: 100 ms}}}}"
    point = scenario(conditions=failures, job=job)
    gradients = open_workload(point.workload)
    total_s = run_job(point, dense(point, gradients), gradients.timing).total_s
    stretch_s = every * STEP_S + 0.1
    expected_s = 1500 * (1 / rate + down_s) * (np.exp(rate * stretch_s) - 1)
    assert total_s == pytest.approx(expected_s, rel=0.05)


def test_the_same_scenario_gives_the_same_failures(scenario):
    random = "[{kind: node_failure, nodes: ['worker*'], mean_time_between: 200 ms, duration: 20 ms}]"
    one, same, other = (
        simulate(scenario(conditions=random, seed=seed)).steps["step_time_s"] for seed in ("1", "1", "2")
    )
    assert (one == same).all()
    assert (one != other).any()


def test_a_synchronous_training_waits_and_an_asynchronous_one_goes_on(training):
    given = {
        "sync": "{kind: parameter_server, sharding: even}",
        "conditions": "[{kind: node_failure, nodes: [worker1], at: 5 ms, duration: 50 ms}]",
    }
    settings = "max_epochs: 60, target: 1.0e-12, gradient_time: 1 us"
    begun = {}
    for kind in ("central_vr_sync", "central_vr_async"):
        updates = simulate(training(**given, train=f"{{optimizer: {kind}, {settings}}}")).steps
        # What was under way as it failed may still end, for whoever needs nothing of it.
        begun[kind] = updates[(updates["end_s"] > 8e-3) & (updates["end_s"] < 55e-3)]["worker"].tolist()
    assert begun["central_vr_sync"] == []
    assert set(begun["central_vr_async"]) == {0, 2, 3}


def test_workers_of_a_synchronous_server_wait_and_those_of_an_asynchronous_one_go_on(scenario):
    """A worker is down for 2 s of the steady state: its own steps wait, the others' only with a bound of 0."""
    server = "{kind: parameter_server, sharding: even, staleness: %s}"
    times = {}
    for staleness, at in (("0", "500 ms"), ("unbounded", "2 s")):
        given = {"sync": server % staleness, "job": "{steps: 6}"}
        quiet, hit = (simulate(scenario(**given, conditions=one)).steps for one in ("[]", NODE % at))
        np.testing.assert_allclose(hit[list(PARTS)].sum(axis=1), hit["step_time_s"], rtol=1e-12)
        times[staleness] = quiet, hit
    quiet, hit = times["0"]
    # Messages of the others pass meanwhile, which the last one would have shared the server's link with.
    delay_s = hit["step_time_s"].sum() - quiet["step_time_s"].sum()
    assert 2.0 - quiet["comm_s"].max() < delay_s <= 2.0 + 1e-9
    quiet, hit = times["unbounded"]
    late = hit[hit["lost_s"] > 0]
    assert late["worker"].tolist() == [1]
    assert late["lost_s"].item() == pytest.approx(2.0)
    assert late["step_time_s"].item() > 2
    others = hit[hit["worker"] != 1]
    assert others["step_time_s"].max() < 1.2 * quiet["step_time_s"].max()
    assert len(others) > len(quiet[quiet["worker"] != 1])  # they went on meanwhile


def test_a_node_goes_by_its_own_name_even_where_that_reads_as_a_pattern():
    graph = nx.star_graph(["hub", "gpu[0]", "gpu0", "gpu*"])
    nx.set_edge_attributes(graph, 1e6, "bandwidth")
    topology, env = Topology.from_networkx(graph), simpy.Environment()
    assert nodes_named(topology, ["gpu[0]"]).tolist() == [1]
    cluster = Cluster(env, Flow().build(env, topology, transports.get("ideal")()), topology.workers, 0)
    cluster.begin([NodeFailure(nodes=("gpu[0]", "gpu*"), at=0.0, duration=1.0)])
    env.run(until=0.5)
    down = np.flatnonzero(cluster.network.links.share == 0)
    assert {topology.link_names[one] for one in down} == {"hub->gpu[0]", "gpu[0]->hub", "hub->gpu*", "gpu*->hub"}


def test_links_that_nobody_has_are_an_error(scenario):
    for kind, named in (("link_failure", "links: [worker9]"), ("node_failure", "nodes: [worker9]")):
        with pytest.raises(ScenarioErrors, match=r"conditions\.0.*worker9.*did you mean"):
            scenario(conditions=f"[{{kind: {kind}, {named}, at: 1 s, duration: 1 s}}]")


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("{kind: link_failure, links: [worker0], duration: 1 s}", "when it fails"),
        ("{kind: link_failure, links: [worker0], duration: 1 s, at: 1 s, every: 1 s}", "over before the next"),
        ("{kind: link_profile, links: [worker0]}", "nothing varies"),
        ("{kind: link_profile, links: [worker0], at: [1 s, 1 s], latency: [1 s, 1 s]}", "times do not grow"),
        ("{kind: link_profile, links: [worker0], at: [1 s], latency: [1 s, 1 s]}", "2 values for 1 times"),
        ("{kind: link_profile, links: [worker0], at: [1 s], latency: [1 s], period: 1 s}", "after the period"),
        ("{kind: link_profile, links: [worker0], file: broken}", "line 3 is not a row of numbers"),
        ("{kind: link_failure, links: [], at: 1 s, duration: 1 s}", "names no link"),
        ("{kind: neighbour, workers: [], size: 1 MB}", "names no node"),
        ("{kind: packet_loss, links: ['*'], probability: 0.1}", "does not heed loss"),
        ("{kind: packet_loss, links: ['*'], probability: 1.5}", "probability"),
    ],
)
def test_what_cannot_be_is_an_error(scenario, small_trace, condition, said):
    (small_trace.parent / "broken.csv").write_text("time_s,latency_s\n0,0.1\n1,x\n")
    with pytest.raises(ScenarioErrors, match=said):
        scenario(conditions=f"[{condition}]")


@pytest.mark.parametrize(
    ("distribution", "mean", "deviation"),
    [("normal", 1.0, 0.3), ("exponential", 1.3, 0.3), ("uniform", 1.15, 0.3 / 12**0.5), ("none", 1.0, 0.0)],
)
def test_compute_times_have_the_moments_of_their_distribution(distribution, mean, deviation):
    straggler = Straggler(distribution=distribution, spread=0.3, factors=(1.0, 2.0))
    drawn = slowness(straggler, 200_000, np.random.default_rng(0))
    for some, factor in ((drawn[::2], 1.0), (drawn[1::2], 2.0)):
        assert some.mean() == pytest.approx(factor * mean, abs=6 * factor * max(deviation, 1e-9) / 1e5**0.5)
        assert some.std() == pytest.approx(factor * deviation, rel=0.02)
        assert (some >= 0).all()
