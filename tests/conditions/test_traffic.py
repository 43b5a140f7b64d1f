"""Traffic of others: its rates, what queueing theory says of it, and what it does to a job."""

from __future__ import annotations

import json
from functools import cache

import networkx as nx
import numpy as np
import pytest
import simpy

from netsim.conditions import Background, Cluster, Neighbour
from netsim.engine.simulate import simulate
from netsim.errors import ScenarioErrors
from netsim.network import Flow, transports
from netsim.scenario.load import parse_text
from netsim.topology import Part, Star, Topology
from tests.engine.test_job import BACKWARD_S, BANDWIDTH, DENSE_BYTES, FORWARD_S, LATENCY_S, OPTIMIZER_S, ring_s

STEP_S = FORWARD_S + BACKWARD_S + ring_s(DENSE_BYTES) + OPTIMIZER_S


class Watched(Cluster):
    """Notes when messages are sent and have arrived."""

    def __init__(self, seed=0, bandwidth=1e6):
        graph = nx.Graph()
        graph.add_edge("a", "b", bandwidth=bandwidth)
        topology = Topology.from_networkx(graph)
        env = simpy.Environment()
        super().__init__(env, Flow().build(env, topology, transports.get("ideal")()), topology.workers, seed)
        self.sent_s, self.took_s = [], []

    def all_of(self, rounds, nodes):
        begin_s, event = self.env.now, super().all_of(rounds, nodes)
        self.sent_s.append(begin_s)
        event.callbacks.append(lambda _: self.took_s.append(self.env.now - begin_s))
        return event


def watch(until_s, **fields):
    cluster = Watched()
    cluster.begin([Background(src=("a",), dst=("b",), **fields)])
    cluster.env.run(until=until_s)
    return cluster


@cache
def poisson(load):
    """Return a minute of Poisson traffic at a load, which several tests look at."""
    return watch(60.0, rate=load * 1e6, size=1e4)


def test_constant_messages_come_evenly_and_share_the_link():
    """Half the link: each passes alone, in the time of its bytes."""
    cluster = watch(10.0, rate=5e5, size=1e4, arrivals="constant")
    np.testing.assert_allclose(np.diff(cluster.sent_s), 0.02, rtol=1e-9)
    np.testing.assert_allclose(cluster.took_s, 0.01, rtol=1e-9)
    assert cluster.network.links.nbytes.tolist() == [len(cluster.sent_s) * 1e4, 0.0]


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_poisson_messages_take_as_long_as_processor_sharing_says(load):
    """M/G/1 with processor sharing: size / capacity / (1 - load) in the mean (Kleinrock 1976, 4.4)."""
    cluster = poisson(load)
    assert len(cluster.sent_s) == pytest.approx(60 * load * 100, rel=4 / (60 * load * 100) ** 0.5)
    assert np.mean(cluster.took_s) == pytest.approx(0.01 / (1 - load), rel=0.12)


def test_traffic_that_is_off_half_the_time_is_half_the_traffic():
    cluster = watch(60.0, rate=1e5, size=1e3, arrivals="constant", on=0.05, off=0.15)
    assert len(cluster.sent_s) == pytest.approx(60 * 100 / 4, rel=0.2)
    gaps_s = np.diff(cluster.sent_s)
    assert np.median(gaps_s) == pytest.approx(0.01)
    assert gaps_s.max() > 0.3


def test_a_node_that_could_send_to_itself_alone_sends_nothing():
    cluster = Watched()
    cluster.begin([Background(src=("*",), dst=("b",), rate=1e5, size=1e3, arrivals="constant")])
    cluster.env.run(until=1.0)
    assert cluster.network.links.nbytes.tolist() == [len(cluster.sent_s) * 1e3, 0.0]


def test_a_neighbour_computes_and_reduces_in_turn():
    cluster = Watched()
    cluster.begin([Neighbour(workers=("a", "b"), size=1e6, compute=0.5, at=2.0)])
    cluster.env.run(until=10.0)
    np.testing.assert_allclose(cluster.sent_s, 2.5 + 1.5 * np.arange(5), rtol=1e-9)
    np.testing.assert_allclose(cluster.took_s, 1.0, rtol=1e-9)  # two rounds of half of it


def test_a_neighbour_on_the_same_hosts_takes_its_share(scenario):
    """The neighbour exchanges when the job does, as long messages: the job has half of every link meanwhile."""
    neighbour = f"kind: neighbour, workers: ['worker*'], size: 10 MB, compute: {FORWARD_S} s"
    result = simulate(scenario(conditions=f"[{{{neighbour}}}]", job="{steps: 1}"))
    chunk_s = DENSE_BYTES / 4 / BANDWIDTH
    expected_s = FORWARD_S + BACKWARD_S + 6 * (LATENCY_S + 2 * chunk_s) + OPTIMIZER_S
    assert result.steps["step_time_s"][0] == pytest.approx(expected_s, rel=1e-9)


def test_a_neighbour_on_other_hosts_of_a_switch_is_not_felt(scenario):
    star = "{kind: star, workers: 8, bandwidth: 10 Mbit/s, latency: 1 ms}"
    part = f"{{kind: part, workers: 4, placement: %s, cluster: {star}}}"
    neighbour = "[{kind: neighbour, workers: ['worker[%s]'], size: 10 MB}]"
    for placement, others in (("packed", "4567"), ("spread", "1357")):
        result = simulate(scenario(topology=part % placement, conditions=neighbour % others))
        np.testing.assert_allclose(result.steps["step_time_s"], STEP_S, rtol=1e-9)
        assert result.links.set_index("link").loc[f"worker{others[-1]}->switch", "bytes_per_step"] > 0


@pytest.mark.parametrize("network", ["flow", "packet"])
def test_traffic_above_a_links_rate_uses_it_in_full_and_no_more(scenario, network):
    """Three times the rate goes into worker 3's link, beside the job: what piles up has not been carried."""
    background = "[{kind: background, src: [worker2], dst: [worker3], rate: 30 Mbit/s, size: 10 kB}]"
    star = "{kind: star, workers: 4, bandwidth: 10 Mbit/s}"
    given = {"network": f"{{kind: {network}, transport: ideal}}", "job": "{steps: 1}"}
    given["topology"] = f"{{kind: part, workers: 2, cluster: {star}}}"
    links = simulate(scenario(conditions=background, **given)).links.set_index("link")["utilisation"]
    assert links.max() <= 1 + 1e-9
    assert links["switch->worker3"] > 0.9


def test_a_part_is_the_whole_with_fewer_workers():
    star = Star(workers=8, bandwidth=1e9)
    whole = star.build(servers=1)
    for placement, places in (("packed", [0, 1, 2]), ("spread", [0, 2, 5])):
        one = Part(cluster=star, workers=3, placement=placement).build(servers=1)
        assert one.names == whole.names
        assert one.workers.tolist() == places
        assert one.servers.tolist() == whole.servers.tolist()
        assert (one.capacity_bytes_per_s == whole.capacity_bytes_per_s).all()


def test_a_part_has_workers_that_the_cluster_has():
    with pytest.raises(ScenarioErrors, match="9 workers of 8"):
        parse_text(
            "topology: {kind: part, workers: 9, cluster: {kind: star, workers: 8, bandwidth: 1 Gbit/s}}\n"
            "workload: {kind: ridge}\ntrain: {optimizer: central_vr_sync}"
        )


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("kind: background, src: [worker0], dst: [worker0], rate: 1 Mbit/s", "send to itself"),
        ("kind: background, src: [worker0], dst: [worker1], rate: 1 Mbit/s, on: 1 s", "belong together"),
        ("kind: neighbour, workers: [worker0], size: 1 MB", "one node alone"),
        ("kind: neighbour, workers: ['worker*'], size: 1 MB, sync: parameter_server", "no servers of its own"),
    ],
)
def test_traffic_that_cannot_be_is_an_error(scenario, condition, said):
    with pytest.raises(ScenarioErrors, match=said):
        scenario(conditions=f"[{{{condition}}}]")


@pytest.mark.parametrize(
    ("condition", "apart"),
    [
        ("kind: background, src: [w0], dst: [far], rate: 1 Mbit/s", "'w0' and 'far'"),
        ("kind: background, src: ['w*'], dst: [oneway], rate: 1 Mbit/s", "'w0' and 'oneway'"),
        ("kind: neighbour, workers: [far, w1], size: 1 MB", "'w1' and 'far'"),
        ("kind: background, src: [far], dst: [near], rate: 1 Mbit/s", None),
    ],
)
def test_traffic_between_nodes_that_do_not_reach_each_other_is_told_with_its_line(scenario, tmp_path, condition, apart):
    graph = nx.DiGraph()
    graph.add_nodes_from(("w0", "w1", "hub", "oneway", "far", "near"), kind="switch")
    graph.add_nodes_from(("w0", "w1"), kind="worker")
    both = [("w0", "hub"), ("w1", "hub"), ("far", "near")]
    graph.add_edges_from([*both, *((v, u) for u, v in both), ("hub", "oneway")], bandwidth="10 Mbit/s")
    (tmp_path / "graph.json").write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    given = {"topology": f"{{kind: file, path: {tmp_path}/graph.json}}", "conditions": f"[{{{condition}}}]"}
    if apart is None:
        assert simulate(scenario(**given, job="{steps: 1}")).runs["step_time_s"][0] > 0
        return
    with pytest.raises(ScenarioErrors, match=rf":4: conditions\.0: no routes between {apart}.*; join them by links"):
        scenario(**given)
