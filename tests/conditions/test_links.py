"""Links one can look at: how many transfers are on them, what they carry at every instant, and the traces of that."""

from __future__ import annotations

import json

import numpy as np
import pytest
import simpy

from netsim.cli import main
from netsim.cli.trace import traced
from netsim.engine.simulate import simulate
from netsim.errors import InputError
from netsim.network import Flow, Round, transports
from netsim.network.run import plan_times
from netsim.sync import Payload, Ring
from netsim.topology import Star
from tests.conditions.test_traffic import poisson
from tests.engine.test_job import DENSE_BYTES, LATENCY_S
from tests.network.platforms import random_rounds, random_topology

IDEAL = transports.get("ideal")()


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_as_many_transfers_are_on_a_link_as_queueing_theory_says(load):
    """M/G/1 with processor sharing: load / (1 - load) in the mean, of which load is one being served."""
    cluster = poisson(load)
    assert cluster.network.held_s()[0] / 60 == pytest.approx(load / (1 - load), rel=0.15)
    # Little's law holds exactly: the mean number is the arrival rate times the time spent.
    over = len(cluster.took_s)
    assert cluster.network.held_s()[0] == pytest.approx(
        sum(cluster.took_s), abs=(len(cluster.sent_s) - over) * 1.0 + 1e-6
    )


@pytest.mark.parametrize("collective", [True, False], ids=["recurrence", "fluid"])
def test_a_ring_holds_each_link_for_as_long_as_its_bytes_take(scenario, collective):
    links = simulate(scenario(job="{steps: 2}")).links.set_index("link")
    np.testing.assert_allclose(links["transfers"], links["utilisation"], rtol=1e-9)
    topology = Star(workers=3, bandwidth=1e6, latency=0.0).build()
    src = np.arange(3)
    one = Round(src, np.roll(src, -1), np.array([1e6, 2e6, 3e6]))
    env = simpy.Environment()
    network = Flow().build(env, topology, IDEAL)
    network.begin([one, one], src, lambda _: None, collective=collective).join(src)
    env.run()
    held_s = dict(zip(topology.link_names, network.held_s().tolist(), strict=True))
    assert [held_s[f"worker{i}->switch"] for i in range(3)] == pytest.approx([2.0, 4.0, 6.0])


def test_a_recurrence_that_leaves_its_lane_counts_nothing_twice():
    """Both directions of a pair, then a third transfer into one of them, half-way."""
    topology = Star(workers=3, bandwidth=1e6, latency=0.0).build()
    env = simpy.Environment()
    network = Flow().build(env, topology, IDEAL)
    pair, both = np.array([0, 1]), np.array([2, 1])
    ring = [Round(pair, pair[::-1].copy(), np.full(2, 2e6))]
    network.begin(ring, pair, lambda _: None).join(pair)
    other = [Round(np.array([2]), np.array([1]), np.array([1e6]))]
    env.timeout(1.0).callbacks.append(lambda _: network.begin(other, both, lambda _: None).join(both))
    env.run()
    held_s = dict(zip(topology.link_names, network.held_s().tolist(), strict=True))
    # From 1 s on they share the way to worker1: 1 MB each, until 3 s; worker1's own is over after 2 s.
    assert held_s["worker0->switch"] == pytest.approx(3.0)
    assert held_s["switch->worker1"] == pytest.approx(3.0 + 2.0)
    assert held_s["worker1->switch"] == pytest.approx(2.0)
    assert held_s["worker2->switch"] == pytest.approx(2.0)


def test_what_is_seen_adds_up_to_the_bytes():
    topology = Star(workers=4, bandwidth=1e6, latency=1e-3).build()
    rng = np.random.default_rng(0)
    src, dst = np.array([0, 1, 2, 0]), np.array([3, 3, 3, 1])
    rounds = [Round(src, dst, 10 ** rng.uniform(4, 6, 4)), Round(dst, src, 10 ** rng.uniform(4, 6, 4))]
    env = simpy.Environment()
    network, seen = Flow().build(env, topology, IDEAL), []
    network.watch(lambda *one: seen.append(one))
    network.begin(rounds, np.arange(4), lambda _: None).join(np.arange(4))
    env.run()
    times_s = np.array([one[0] for one in seen])
    rates = np.array([one[1] for one in seen])[:-1]
    assert (rates <= network.links.capacity * (1 + 1e-12)).all()
    np.testing.assert_allclose(np.diff(times_s) @ rates, network.links.nbytes, rtol=1e-9)
    np.testing.assert_allclose(np.diff(times_s) @ np.array([one[2] for one in seen])[:-1], network.held_s(), rtol=1e-9)
    assert times_s[-1] == pytest.approx(plan_times(Flow(), topology, IDEAL, rounds, np.arange(4)).max(), rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("fate", ["goes on", "abandoned"])
def test_a_link_has_carried_what_has_passed_it_by_now(seed, fate):
    """The integral of the rates that are seen, up to any instant, by recurrence or not; what is abandoned is no more.

    Two plans that may meet, one of them a ring, and nodes that join one after another.
    """
    rng = np.random.default_rng(seed)
    topology = random_topology(rng) if seed % 2 else Star(workers=4, bandwidth=1e9, latency=1e-4).build()
    nodes = topology.workers
    if len(nodes) < 2:
        return
    ring = Ring().rounds(Payload("sum", np.full(len(nodes), 1e7), 1e7, np.ones(1, dtype=np.int64)), nodes, nodes)
    plans = [ring] if seed % 3 else [ring, random_rounds(rng, nodes)]
    until_s, joined_s = rng.uniform(0, 0.05), rng.choice([0.0, 1e-3], len(nodes))

    def run(watched):
        env = simpy.Environment()
        network, seen = Flow().build(env, topology, IDEAL), []
        if watched:
            network.watch(lambda *one: seen.append(one))
        for rounds in plans:
            execution = network.begin(rounds, nodes, lambda _: None)
            for node, at_s in zip(nodes, joined_s, strict=True):
                joins = env.timeout(at_s, value=(execution, np.array([node])))
                joins.callbacks.append(lambda fired: fired.value[0].join(fired.value[1]))
        env.run(until=until_s)
        if fate == "abandoned":
            execution.abandon()
        return network, seen

    (network, _), (watched, seen) = run(watched=False), run(watched=True)
    lasts_s = np.diff([*(one[0] for one in seen), until_s])
    passed = lasts_s @ np.array([one[1] for one in seen])
    held_s = lasts_s @ np.array([one[2] for one in seen])
    for one in (network, watched):
        np.testing.assert_allclose(one.carried_bytes(), passed, rtol=1e-9, atol=1e-3)
        np.testing.assert_allclose(one.held_s(), held_s, rtol=1e-9, atol=1e-12)


def valid(trace):
    """Check the required keys of the Trace Event Format, and that events of a thread do not overlap."""
    assert trace.keys() >= {"traceEvents", "displayTimeUnit"}
    until = {}
    for event in trace["traceEvents"]:
        assert event.keys() >= {"name", "ph", "pid", "tid", "ts"}
        assert event["ts"] >= 0
        assert event["ph"] in "MXC"
        if event["ph"] == "M":
            assert event["name"] in {"process_name", "thread_name"}
            assert isinstance(event["args"]["name"], str)
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())
        if event["ph"] == "X":
            assert event["dur"] >= 0
            thread = event["pid"], event["tid"]
            assert event["ts"] >= until.get(thread, 0.0) - 1e-6
            until[thread] = event["ts"] + event["dur"]
    return trace["traceEvents"]


@pytest.mark.parametrize("sync", ["ring", "parameter_server", "{kind: parameter_server, staleness: unbounded}"])
def test_a_trace_has_a_track_a_resource_and_counters_a_link(scenario, sync):
    events = valid(json.loads(json.dumps(traced(scenario(sync=sync, schemes="[fp16]")))))
    tracks = {one["args"]["name"] for one in events if one["name"] == "thread_name"}
    assert {"worker 0: compute", "worker 0: coding", "worker 3: network"} <= tracks
    counters = {one["name"] for one in events if one["ph"] == "C"}
    assert {"worker0->switch Mbit/s", "switch->worker2 transfers"} <= counters
    end = max(one["ts"] + one["dur"] for one in events if one["ph"] == "X")
    assert max(one["ts"] for one in events if one["ph"] == "C") <= end + 1e-6


def test_the_counters_of_a_ring_are_those_of_its_rounds(scenario):
    """Six rounds: the link carries 10 Mbit/s for a chunk and nothing for a latency, in turn."""
    events = valid(traced(scenario()))
    rates = [(one["ts"], one["args"]["Mbit/s"]) for one in events if one["name"] == "worker1->switch Mbit/s"]
    assert [rate for _, rate in rates] == pytest.approx([10.0, 0.0] * 6)
    on_us, off_us = (np.array([ts for ts, rate in rates if (rate > 0) == on]) for on in (True, False))
    np.testing.assert_allclose(off_us - on_us, DENSE_BYTES / 4 / 1.25e6 * 1e6, rtol=1e-6)
    np.testing.assert_allclose(on_us[1:] - off_us[:-1], LATENCY_S * 1e6, rtol=1e-6)


def test_a_network_without_instants_has_no_trace(scenario):
    with pytest.raises(InputError, match="choose `network: flow`"):
        traced(scenario(network="analytic"))


@pytest.mark.parametrize(("ending", "begins"), [("graphml", "<?xml"), ("json", "{"), ("xml", "<?xml")])
def test_a_topology_is_written_from_the_command_line(tmp_path, capsys, ending, begins):
    out = tmp_path / f"star.{ending}"
    given = ["export", "{kind: star, workers: 4, bandwidth: 1 Gbit/s}", "--out", str(out), "--servers", "1"]
    assert main([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(out), "workers": 4, "nodes": 6, "links": 10}
    assert out.read_text().startswith(begins)
    if ending != "xml":
        read = f"{{kind: file, path: {out}}}"
        assert main(["export", read, "--out", str(tmp_path / "again.json"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["links"] == 10
    assert main(["export", "{kind: star, workers: 4, bandwidth: 1 Gbit/s}", "--out", str(tmp_path / "x.dot")]) == 1
    assert ".graphml" in capsys.readouterr().err
