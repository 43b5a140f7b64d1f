"""A simulation that cannot go on says who waits for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from netsim.engine.job import JobRecord, run_job
from netsim.engine.measure import dense, measure
from netsim.engine.simulate import open_workload, simulate
from netsim.errors import Deadlock
from netsim.network import Flow
from netsim.network.base import Execution, Network
from netsim.network.links import Links
from netsim.scenario.load import parse_text
from netsim.scenario.schema import Scenario


class _Lost(Network, Execution):
    """Takes plans and never ends one."""

    def __init__(self, links: Links) -> None:
        self.links = links

    def begin(self, *_: Any, **__: Any) -> Execution:
        return self

    def join(self, nodes: Any) -> None:
        pass

    def abandon(self) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Losing(Flow):
    """A network that loses all."""

    def build(self, env: Any, topology: Any, transport: Any) -> Network:
        return _Lost(Links(topology, transport))


@pytest.mark.parametrize("scheduling", ["order", "priority"])
def test_a_job_that_cannot_go_on_lists_who_waits_for_what(scenario: Callable[..., Scenario], scheduling: str) -> None:
    stuck = replace(scenario(job=f"{{scheduling: {scheduling}}}"), network=Losing())
    with pytest.raises(Deadlock) as error:
        run_job(stuck, measure(stuck), open_workload(stuck.workload).timing)
    assert all(f"worker {worker} waits for bucket 0" in str(error.value) for worker in range(4))


def job_of(point: Scenario) -> JobRecord:
    gradients = open_workload(point.workload)
    return run_job(point, dense(point, gradients), gradients.timing)


@pytest.mark.parametrize("sync", ["ring", "parameter_server", "{kind: parameter_server, staleness: 1}"])
def test_a_job_that_others_starve_is_noticed(
    scenario: Callable[..., Scenario], monkeypatch: pytest.MonkeyPatch, sync: str
) -> None:
    """Ten times of what a link carries comes to it, so that the messages on it become ever more, for ever."""
    monkeypatch.setattr("netsim.engine.watch.EVENTS", 100)
    monkeypatch.setattr("netsim.engine.watch.PATIENCE", 0.5)
    overload = "{kind: background, src: [worker0], dst: [worker1], rate: 100 Mbit/s, size: 40 kB, arrivals: constant}"
    starved = scenario(sync=sync, conditions=f"[{overload}]")
    with pytest.raises(Deadlock, match=r"no worker has got on for .* s, .*worker 1 waits for bucket 0"):
        job_of(starved)
    busy = scenario(sync=sync, conditions=f"[{overload.replace('100 Mbit/s', '8 Mbit/s')}]")
    assert len(job_of(busy).steps) >= busy.job.steps


FAILURE = "{kind: node_failure, nodes: [worker1], at: 100 ms, duration: 10 ms}"


@pytest.mark.parametrize("sync", ["ring", "parameter_server", "{kind: parameter_server, staleness: 1}"])
@pytest.mark.parametrize(("kept", "failures"), [("write: 20 s", ""), ("restart: 20 s", f"{FAILURE}, ")])
def test_a_job_that_saves_or_loads_a_checkpoint_is_not_starved(
    scenario: Callable[..., Scenario], monkeypatch: pytest.MonkeyPatch, sync: str, kept: str, failures: str
) -> None:
    """It waits on purpose for ten times as long as the watch has patience, while messages of others go on."""
    monkeypatch.setattr("netsim.engine.watch.EVENTS", 10)
    monkeypatch.setattr("netsim.engine.watch.PATIENCE", 1.5)
    others = "{kind: background, src: [worker0], dst: [worker2], rate: 1 Mbit/s, size: 20 kB}"
    point = scenario(
        sync=sync, job=f"{{steps: 2, checkpoint: {{every: 1, {kept}}}}}", conditions=f"[{failures}{others}]"
    )
    assert job_of(point).total_s > 20


def test_a_job_on_links_that_a_profile_slows_is_not_starved(
    scenario: Callable[..., Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes 2.4 s over links a hundred times slower, of which a watch on those of the topology knows nothing."""
    monkeypatch.setattr("netsim.engine.watch.EVENTS", 10)
    monkeypatch.setattr("netsim.engine.watch.PATIENCE", 0.5)
    slow = "{kind: link_profile, links: ['*'], at: [0 s], bandwidth: [100 kbit/s]}"
    others = "{kind: background, src: [worker0], dst: [worker2], rate: 10 kbit/s, size: 100 B}"
    alone, beside = (job_of(scenario(conditions=f"[{one}]")) for one in (slow, f"{slow}, {others}"))
    assert alone.total_s < beside.total_s < 1.2 * alone.total_s


@pytest.mark.parametrize("optimizer", ["central_vr_sync", "central_vr_async"])
def test_a_training_that_cannot_go_on_lists_who_waits_for_what(optimizer: str) -> None:
    text = f"""
topology: {{kind: star, workers: 4, bandwidth: 100 Mbit/s, latency: 100 us}}
network: {{kind: flow, transport: ideal}}
workload: {{kind: ridge, samples: 200, features: 20}}
sync: parameter_server
train: {{optimizer: {optimizer}}}
"""
    stuck = replace(parse_text(text)[-1], network=Losing())
    what = {
        "central_vr_sync": "an exchange of turn 1",
        "central_vr_async": "the server to get what it pushes on turn 0",
    }
    with pytest.raises(Deadlock) as error:
        simulate(stuck)
    assert all(f"worker {worker} waits for {what[optimizer]}" in str(error.value) for worker in range(4))
