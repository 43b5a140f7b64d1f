"""Jobs over parameter servers against closed forms, against plans, and against their own event logs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from netsim.engine.coding import Coding
from netsim.engine.job import run_job
from netsim.engine.measure import dense
from netsim.engine.server import Shard
from netsim.engine.simulate import open_workload, simulate
from netsim.errors import ScenarioErrors
from netsim.network.run import plan_times
from netsim.record.result import PARTS
from netsim.registry import Variant
from netsim.theory.exchange_time import asynchronous_server_s, pipelined_server_s
from netsim.topology import GpuCluster
from netsim.workload.base import Tensor, Timing
from netsim.workload.cost import Affine, Documented
from netsim.workload.cost import Coding as CodingCost

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.scenario.schema import Scenario

    Make = Callable[..., Scenario]

COMPUTE_S, OPTIMIZER_S = 0.14, 0.01
SIZES = (10, 640, 64, 4096, 192)
DENSE_BYTES = 4.0 * sum(SIZES)
BANDWIDTH, LATENCY_S, WORKERS = 10e6 / 8, 1e-3, 4
SERVER = "{kind: parameter_server%s}"
FREE = {"cost": "{kind: free}"}
EXACT = {"rel": 1e-9}
UNEQUAL = "{overlap: none, steps: %d, straggler: {distribution: lognormal, spread: 0.5}}"


def job_of(point):
    gradients = open_workload(point.workload)
    return run_job(point, dense(point, gradients), gradients.timing)


def steps_s(point):
    return [row["step_time_s"] for row in job_of(point).steps]


def plan_s(point):
    """Return the seconds of the one bucket's exchange as a plan."""
    gradients = open_workload(point.workload)
    (exchange,) = Coding(point, dense(point, gradients)).exchanges(0, 0)
    topology = point.topology.build(point.sync.dedicated_servers)
    rounds = point.sync.rounds(exchange.payload, topology.workers, topology.servers)
    nodes = np.concatenate([topology.workers, topology.servers])
    return plan_times(point.network, topology, point.transport, rounds, nodes)[: len(topology.workers)].max()


PIECES = ["tensor", "even", "even, partition: 1 kB", "partition, partition: 1 kB", "hash, partition: 1 kB"]


@pytest.mark.parametrize("network", ["flow", "analytic"])
@pytest.mark.parametrize("placement", ["dedicated", "colocated"])
@pytest.mark.parametrize("sharding", PIECES)
def test_a_synchronous_exchange_takes_what_its_plan_takes(
    scenario: Make, network: str, placement: str, sharding: str
) -> None:
    """Two ways to the same time: events of processes, and rounds. A host that serves and trains does both at once in
    the one, and keeps to the round in the other."""
    point = scenario(
        sync=SERVER % f", servers: 2, placement: {placement}, sharding: {sharding}",
        network=f"{{kind: {network}, transport: ideal}}",
        job="{overlap: none}",
        **FREE,
    )
    plan = COMPUTE_S + plan_s(point) + OPTIMIZER_S
    if placement == "dedicated" or sharding == "even":
        assert steps_s(point) == pytest.approx([plan] * 3, **EXACT)
    else:
        assert max(steps_s(point)) <= plan * 1.005
        assert min(steps_s(point)) >= COMPUTE_S + 0.6 * plan_s(point) + OPTIMIZER_S


@pytest.mark.parametrize("pieces", [1, 2, 8])
def test_the_pull_of_a_piece_overlaps_the_push_of_the_next(scenario: Make, pieces: int) -> None:
    size = f"{DENSE_BYTES / pieces:.6f} B"
    point = scenario(sync=SERVER % f", partition: {size}", job="{overlap: none}", **FREE)
    expected_s = pipelined_server_s(WORKERS, 1, DENSE_BYTES, BANDWIDTH, LATENCY_S, pieces=pieces)
    assert steps_s(point) == pytest.approx([COMPUTE_S + expected_s + OPTIMIZER_S] * 3, **EXACT)
    assert plan_s(point) == pytest.approx(expected_s, **EXACT)


def test_many_pieces_halve_the_exchange_to_the_longer_of_push_and_pull(scenario: Make) -> None:
    star = "{kind: star, workers: 4, bandwidth: 10 Mbit/s, latency: 0 s}"
    point = scenario(topology=star, sync=SERVER % ", partition: 200 B", job="{overlap: none, steps: 1}", **FREE)
    one_way_s = WORKERS * DENSE_BYTES / BANDWIDTH
    assert steps_s(point)[0] == pytest.approx(COMPUTE_S + 102 / 101 * one_way_s + OPTIMIZER_S, rel=1e-3)


def test_sharding_by_tensor_takes_as_long_as_the_fullest_server(scenario: Make) -> None:
    by_tensor, even = (
        scenario(sync=SERVER % f", servers: 2, sharding: {how}", job="{overlap: none}", **FREE)
        for how in ("tensor", "even")
    )
    largest_bytes = 4.0 * (640 + 4096)
    expected_s = 2 * (LATENCY_S + WORKERS * largest_bytes / BANDWIDTH)
    assert steps_s(by_tensor)[0] == pytest.approx(COMPUTE_S + expected_s + OPTIMIZER_S, **EXACT)
    assert job_of(by_tensor).imbalance == pytest.approx(largest_bytes / (DENSE_BYTES / 2), **EXACT)
    assert job_of(even).imbalance == pytest.approx(1.0, **EXACT)


def test_hashed_pieces_are_as_uneven_as_what_the_servers_hold(scenario: Make) -> None:
    """Many small pieces even out, a few large ones do not; what is told is what the links carry."""
    found = []
    for size in ("4 kB", "100 B"):
        point = scenario(sync=SERVER % f", servers: 4, sharding: hash, partition: {size}", **FREE)
        record = job_of(point)
        into = [one for one, name in enumerate(record.link_names) if name.startswith("switch->server")]
        carried = record.link_bytes[into]
        assert record.imbalance == pytest.approx(carried.max() / carried.mean(), **EXACT)
        found.append(record.imbalance)
    assert found[0] > 1.3 > found[1] > 1.0


class TestAsynchronous:
    """A closed network of queues: computing (a delay), the server's link in and its link out (shared evenly)."""

    @pytest.mark.parametrize("workers", [1, 6, 16])
    def test_throughput_is_that_of_a_closed_network_of_queues(self, scenario: Make, workers: int) -> None:
        """Shared links are processor-sharing stations, so the means do not depend on more than means (BCMP 1975)."""
        steps = 600 // max(workers, 2)
        point = scenario(
            topology=f"{{kind: star, workers: {workers}, bandwidth: 10 Mbit/s, latency: 1 ms}}",
            sync=SERVER % ", staleness: unbounded",
            job=UNEQUAL % steps,
            **FREE,
        )
        rows = job_of(point).steps
        in_order_s = [row["step_time_s"] for row in rows]
        step_s = np.mean(in_order_s)
        compute_s = np.mean([row["compute_s"] for row in rows])
        alone_s = compute_s + OPTIMIZER_S + 2 * LATENCY_S
        transfer_s = DENSE_BYTES / BANDWIDTH
        # A queue's path multiplies rounding errors, so means are compared, by the spread of the means of 20 batches.
        batches_s = [batch.mean() for batch in np.array_split(in_order_s, 20)]
        sampling_s = np.std(batches_s, ddof=1) / np.sqrt(20)
        assert workers == 1 or sampling_s < 0.02 * step_s
        expected_s = asynchronous_server_s(workers, alone_s, transfer_s)
        assert step_s == pytest.approx(expected_s, abs=1e-9 * step_s if workers == 1 else 3 * sampling_s)
        # Throughput is at most W / (compute + both transfers) and the server's bandwidth over the bytes.
        assert step_s >= max(alone_s + 2 * transfer_s, workers * transfer_s) * (1 - 1e-9)
        assert asynchronous_server_s(10_000, alone_s, transfer_s) == pytest.approx(10_000 * transfer_s, rel=1e-3)

    def test_no_bound_is_the_bound_that_is_never_met(self, scenario: Make) -> None:
        rows = [
            job_of(scenario(sync=SERVER % f", staleness: {bound}", job=UNEQUAL % 5, **FREE)).steps
            for bound in ("unbounded", 1000)
        ]
        assert rows[0] == rows[1]

    def test_the_looser_the_bound_the_more_steps(self, scenario: Make) -> None:
        means = [
            np.mean(steps_s(scenario(sync=SERVER % f", staleness: {bound}", job=UNEQUAL % 40, **FREE)))
            for bound in (0, 1, 3, "unbounded")
        ]
        assert means == sorted(means, reverse=True)
        assert means[0] > 1.1 * means[-1]

    def test_workers_in_step_stay_in_step(self, scenario: Make) -> None:
        """Equal workers meet at the server every time: fair sharing never parts them."""
        together, apart = (
            steps_s(scenario(sync=SERVER % f", staleness: {bound}", job="{overlap: none}", **FREE))
            for bound in (0, "unbounded")
        )
        assert together[0] == pytest.approx(COMPUTE_S + OPTIMIZER_S + plan_of_one_server_s(), **EXACT)
        assert apart == pytest.approx([together[0]] * len(apart), **EXACT)


def plan_of_one_server_s():
    return 2 * (LATENCY_S + WORKERS * DENSE_BYTES / BANDWIDTH)


class Logged(Shard):
    """A shard that writes down who was added and who was answered, in order."""

    log: list[tuple[str, int, int]]

    def _add(self, worker, step, encode_s, answer):
        self.log.append(("added", id(self), worker))
        super()._add(worker, step, encode_s, answer)

    def _answer(self, one, encode_s):
        self.log.append(("answered", id(self), one.worker))
        super()._answer(one, encode_s)


def staleness_of(log):
    """Return {(worker, its push): staleness}: pushes of others between its last answer and its own, the most over
    shards."""
    found, seen, added, pushes = {}, {}, {}, {}
    for what, shard, worker in log:
        if what == "added":
            stale = added.get(shard, 0) - seen.get((shard, worker), 0)
            number = pushes[shard, worker] = pushes.get((shard, worker), -1) + 1
            found[worker, number] = max(found.get((worker, number), 0), stale)
            added[shard] = added.get(shard, 0) + 1
        else:
            seen[shard, worker] = added[shard]
    return found


@pytest.mark.parametrize("scheduling", ["order", "priority"])
@pytest.mark.parametrize("bound", ["1", "3", "unbounded"])
def test_staleness_is_that_of_the_event_log(
    scenario: Make, monkeypatch: pytest.MonkeyPatch, bound: str, scheduling: str
) -> None:
    Logged.log = []
    monkeypatch.setattr("netsim.engine.push_pull.Shard", Logged)
    job = f"{{scheduling: {scheduling}, steps: 12, straggler: {{distribution: lognormal, spread: 0.8}}}}"
    point = scenario(sync=SERVER % f", servers: 2, sharding: even, staleness: {bound}", job=job, **FREE)
    rows = job_of(point).steps
    counted = staleness_of(Logged.log)
    pushed = [(row["worker"], row["step"] - (scheduling == "priority")) for row in rows]
    assert [row["staleness"] for row in rows] == [counted[one] for one in pushed]
    assert len({row["staleness"] for row in rows}) > 2
    if bound != "unbounded":
        _answers_keep_within(Logged.log, int(bound))
        # Between two answers of a worker the others make 2 bound + 1 steps each, at most.
        assert max(counted.values()) <= (2 * int(bound) + 1) * (WORKERS - 1)


def _answers_keep_within(log, bound):
    """Check that nobody was answered who was more than `bound` pushes ahead of the slowest."""
    pushes = {}
    ahead = []
    for what, shard, worker in log:
        of_shard = pushes.setdefault(shard, dict.fromkeys(range(WORKERS), 0))
        if what == "added":
            of_shard[worker] += 1
        else:
            ahead.append(of_shard[worker] - min(of_shard.values()))
    assert max(ahead) == bound


class TestPriority:
    """Two layers, one worker, one server: the last layer is cut into pieces, the first layer's piece overtakes."""

    PIECE_S, FIRST_S, PIECES = 0.02, 0.015, 10
    LAYERS = (Tensor("last", (PIECES * 5000,)), Tensor("first", (3750,)))
    BACKWARD_S, FORWARD_S = (0.1, 0.055), (0.03, 0.0165)

    def step_s(self, scenario: Make, scheduling: str, **sections: str) -> float:
        """Run with links of 1 MB/s, on which a piece of 20 kB takes 0.02 s and the first layer 0.015 s."""
        point = scenario(
            topology="{kind: star, workers: 1, bandwidth: 1 MB/s, latency: 0 s}",
            sync=SERVER % ", partition: 20 kB",
            job=f"{{overlap: per_tensor, scheduling: {scheduling}, steps: 2}}",
            **FREE,
        )
        gradients = SimpleNamespace(tensors=self.LAYERS, num_workers=1, num_steps=1)
        timing = Timing(sum(self.FORWARD_S), sum(self.BACKWARD_S), 0.0, tuple(np.cumsum(self.BACKWARD_S)))
        rows = run_job(point, dense(point, gradients), timing).steps
        assert rows[0]["step_time_s"] == pytest.approx(rows[1]["step_time_s"], **EXACT)
        return rows[0]["step_time_s"]

    def test_in_order_the_first_layer_waits_for_all_of_the_last(self, scenario: Make) -> None:
        pulled_s = (self.PIECES + 1) * self.PIECE_S + self.FIRST_S
        expected_s = self.BACKWARD_S[0] + pulled_s + sum(self.FORWARD_S)
        assert self.step_s(scenario, "order") == pytest.approx(expected_s, **EXACT)

    def test_by_priority_it_waits_for_the_piece_under_way_and_hides_its_forward_pass(self, scenario: Make) -> None:
        """The first layer is ready 0.055 s after the last one, in the middle of its third piece."""
        leaves_s = 3 * self.PIECE_S
        first_pulled_s = leaves_s + self.PIECE_S + self.FIRST_S
        last_pulled_s = (self.PIECES + 1) * self.PIECE_S + self.FIRST_S
        second_layer_s = max(first_pulled_s + self.FORWARD_S[1], last_pulled_s)
        expected_s = self.BACKWARD_S[0] + second_layer_s + self.FORWARD_S[0]
        assert self.step_s(scenario, "priority") == pytest.approx(expected_s, **EXACT)
        assert self.step_s(scenario, "order") - expected_s == pytest.approx(self.FORWARD_S[1], **EXACT)

    @pytest.mark.parametrize("credit", ["", ", credit: 1 kB", ", credit: 4 kB"])
    def test_the_first_layer_is_never_later_than_in_order(self, scenario: Make, credit: str) -> None:
        ends = {}
        for scheduling in ("order", "priority"):
            job = f"{{overlap: per_tensor, scheduling: {scheduling}{credit}}}"
            record = job_of(scenario(sync=SERVER % ", servers: 2, sharding: even, partition: 1 kB", job=job, **FREE))
            spans = [one for one in record.spans if one.worker == 0]
            begin_s = 0.0 if scheduling == "priority" else max(one.end_s for one in spans if one.what == "backward")
            ends[scheduling] = max(one.end_s for one in spans if one[1:3] == ("communicate", 4)) - begin_s
        assert ends["priority"] <= ends["order"] * (1 + 1e-9)


def test_the_steps_that_are_told_are_the_measured_ones_in_order(scenario: Make) -> None:
    """Warm-up steps of a scheme are sent whole; steps that are run but not told do not move them."""
    for keys in ("{}", "{scheduling: priority}"):
        steps = simulate(scenario(schemes="[[{kind: warm_up, steps: 1}, fp16]]", sync=SERVER % "", job=keys)).steps
        assert steps.wire_bytes_per_worker.tolist() == [DENSE_BYTES, DENSE_BYTES / 2, DENSE_BYTES / 2]
        assert steps.captured_step.tolist() == [0, 1, 2]


def test_a_credit_keeps_one_message_under_way(scenario: Make) -> None:
    """Two servers with a piece each: side by side they share the worker's link, one after the other they do not."""
    both, one = (
        scenario(
            topology="{kind: star, workers: 1, bandwidth: 10 Mbit/s, latency: 0 s}",
            sync=SERVER % ", servers: 2, sharding: even",
            job=f"{{overlap: none{credit}}}",
            **FREE,
        )
        for credit in ("", ", credit: 1 kB")
    )
    whole_s = DENSE_BYTES / BANDWIDTH
    assert steps_s(both)[0] == pytest.approx(COMPUTE_S + 2 * whole_s + OPTIMIZER_S, **EXACT)
    assert steps_s(one)[0] == pytest.approx(COMPUTE_S + 1.5 * whole_s + OPTIMIZER_S, **EXACT)


CLUSTER = "{kind: gpu_cluster, machines: 2, gpus_per_machine: 4, bandwidth: 10 Mbit/s, hop_bandwidth: 1 GB/s, %s}"


def test_a_machine_that_adds_first_sends_a_quarter_of_the_bytes_of_its_four_workers(scenario: Make) -> None:
    carried, plans = {}, {}
    for how in ("false", "true"):
        point = scenario(
            topology=CLUSTER % "latency: 0 s, hop_latency: 0 s",
            sync=SERVER % f", servers: 2, sharding: even, local_aggregation: {how}",
            job="{overlap: none, steps: 1}",
            **FREE,
        )
        record = job_of(point)
        links = dict(zip(record.link_names, record.link_bytes, strict=True))
        carried[how] = [links["machine0.hub0->switch"], links["switch->machine0.hub0"]]
        plans[how] = steps_s(point)[0] - COMPUTE_S - OPTIMIZER_S
    assert carried["true"] == pytest.approx([DENSE_BYTES] * 2, **EXACT)
    assert carried["false"] == pytest.approx([4 * DENSE_BYTES] * 2, **EXACT)
    inside_s = 2 * 3 / 4 * DENSE_BYTES / 1e9
    assert plans["true"] == pytest.approx(inside_s + 2 * DENSE_BYTES / BANDWIDTH, **EXACT)
    assert plans["false"] == pytest.approx(2 * 4 * DENSE_BYTES / BANDWIDTH, **EXACT)


@pytest.mark.parametrize("cards", [1, 2])
def test_a_server_with_more_cards_takes_as_much_more(scenario: Make, cards: int) -> None:
    """Rails bring each worker's bytes to a card of its own."""
    point = scenario(
        topology=CLUSTER % f"latency: 0 s, hop_latency: 0 s, cards_per_machine: 2, rail_optimised: true, "
        f"cards_per_server: {cards}",
        sync=SERVER % "",
        job="{overlap: none, steps: 1}",
        **FREE,
    )
    exchange_s = steps_s(point)[0] - COMPUTE_S - OPTIMIZER_S
    assert exchange_s == pytest.approx(2 * 8 * DENSE_BYTES / BANDWIDTH / cards, **EXACT)


def test_a_hash_spreads_workers_over_cards_that_share_a_switch(scenario: Make) -> None:
    seconds = {}
    for cards in (1, 4):
        point = scenario(
            topology=CLUSTER % f"latency: 0 s, hop_latency: 0 s, cards_per_server: {cards}, cards_per_machine: 4",
            sync=SERVER % "",
            job="{overlap: none, steps: 1}",
            **FREE,
        )
        seconds[cards] = steps_s(point)[0] - COMPUTE_S - OPTIMIZER_S
    # Eight workers on four cards: the fullest card has two to five of them.
    assert 2 / 8 <= seconds[4] / seconds[1] * (1 + 1e-9) <= 5 / 8
    built = {cards: GpuCluster(bandwidth=1.0, cards_per_server=cards).build(3) for cards in (1, 2, 4)}
    links = {cards: sum(name.count("server") > 0 for name in one.link_names) for cards, one in built.items()}
    assert links == {1: 3 * 2, 2: 3 * 4 * 2, 4: 3 * 4 * 4}


def test_the_analytic_network_is_a_bound_for_asynchronous_workers_too(scenario: Make) -> None:
    """It does not know of other plans, so each transfer has its route for itself."""
    analytic, flow = (
        job_of(
            scenario(
                network=f"{{kind: {kind}, transport: ideal}}", sync=SERVER % ", staleness: unbounded",
                job=UNEQUAL % 10, **FREE,
            )
        ).steps
        for kind in ("analytic", "flow")
    )  # fmt: skip
    for row in analytic:
        alone_s = row["compute_s"] + OPTIMIZER_S + 2 * (LATENCY_S + DENSE_BYTES / BANDWIDTH)
        assert row["step_time_s"] == pytest.approx(alone_s, **EXACT)
    assert np.mean([row["exposed_comm_s"] for row in flow]) > np.mean([row["exposed_comm_s"] for row in analytic])


@pytest.mark.parametrize("overlap", ["ddp", "per_tensor", "none"])
@pytest.mark.parametrize("scheme", ["fp16", "{kind: powersgd, rank: 1}"])
def test_a_device_codes_as_it_does_for_collectives(
    scenario: Make, monkeypatch: pytest.MonkeyPatch, scheme: str, overlap: str
) -> None:
    """On a network of no time, and servers that add in no time, an architecture makes no difference to a step."""
    flat = CodingCost(Affine(1e-3, 0.0, 0.0), Affine(2e-3, 0.0, 0.0))
    monkeypatch.setattr(Documented, "coding", lambda self, kind: flat)
    monkeypatch.setattr(Documented, "aggregate", lambda self: Affine(0.0, 0.0, 0.0))
    job = f"{{overlap: {overlap}, first_bucket: 3 kB}}" if overlap != "per_tensor" else "{overlap: per_tensor}"
    rows = [
        simulate(scenario(schemes=f"[{scheme}]", sync=sync, network="{kind: ideal}", job=job)).runs.iloc[0]
        for sync in ("ring", "parameter_server")
    ]
    for part in (*PARTS, "step_time_s"):
        assert rows[0][part] == pytest.approx(rows[1][part], rel=1e-9, abs=1e-12)


@pytest.mark.timeout(60)
def test_a_job_is_over_when_its_slowest_worker_is_whoever_waits_and_whatever_goes_on(scenario: Make) -> None:
    """Fast workers are left waiting for pushes that never come, beside traffic that never ends."""
    traffic = "[{kind: background, src: [worker0], dst: [worker1], rate: 1 kbit/s, size: 100 B}]"
    given = {"sync": SERVER % ", staleness: 1", "job": UNEQUAL % 6, **FREE}
    quiet, busy = (np.mean(steps_s(scenario(**given, conditions=one))) for one in ("[]", traffic))
    assert busy == pytest.approx(quiet, rel=0.1)


SYNCS = [
    ", servers: 2, sharding: even, partition: 4 kB",
    ", servers: 4, placement: colocated",
    ", staleness: unbounded, servers: 2, sharding: hash, partition: 8 kB",
]


@pytest.mark.parametrize("keys", SYNCS)
@pytest.mark.parametrize("scheduling", ["order", "priority"])
@pytest.mark.parametrize("overlap", ["ddp", "per_tensor"])
def test_the_parts_of_every_step_add_up(scenario: Make, keys: str, scheduling: str, overlap: str) -> None:
    for scheme in ("[error_feedback, topk]", "[two_way, rms_sign]"):
        job = f"overlap: {overlap}, scheduling: {scheduling}, straggler: {{distribution: uniform, spread: 0.3}}"
        result = simulate(scenario(schemes=f"[{scheme}]", sync=SERVER % keys, job=f"{{{job}}}"))
        for table in (result.runs, result.steps):
            assert table[list(PARTS)].sum(axis=1).to_numpy() == pytest.approx(table.step_time_s.to_numpy(), **EXACT)
            assert (table[list(PARTS)].to_numpy() >= 0).all()
        assert (result.runs.speedup_x <= result.runs.headroom_x * (1 + 1e-9)).all()
        if "staleness" in keys:
            assert result.runs.staleness_mean.iloc[0] == pytest.approx(result.steps.staleness.mean())
            assert result.runs.staleness_max.iloc[0] == result.steps.staleness.max()
        else:
            assert result.runs.staleness_max.iloc[0] == 0


def test_a_server_encodes_anew_whatever_has_changed(scenario: Make) -> None:
    """One owner's shard of one worker: it decodes and adds, encodes, and does so at every step."""
    point = scenario(
        topology="{kind: star, workers: 1, bandwidth: 10 Mbit/s}",
        network="{kind: ideal}",
        schemes="[[two_way, rms_sign]]",
        sync=SERVER % ", staleness: unbounded",
        job="{overlap: none}",
    )
    coding = point.cost.coding(Variant("rms_sign"))
    result = simulate(point)
    server_s = sum(coding.encode(n) + coding.decode(n) + point.cost.aggregate()(n) for n in SIZES)
    two_way = point.cost.coding(Variant("two_way"))
    server_s += sum(two_way.encode(n) + two_way.decode(n) for n in SIZES)
    assert result.runs.exposed_comm_s.iloc[0] == pytest.approx(server_s, **EXACT)


@pytest.mark.parametrize(
    "scheme", ["[error_feedback, {kind: powersgd, rank: 1}]", "{kind: terngrad, scale: shared}", "thc", "oktopk"]
)
def test_what_workers_agree_on_needs_everyone(scenario: Make, scheme: str) -> None:
    with pytest.raises(ScenarioErrors, match=r"scenario:4: schemes\.0: workers agree on what scheme"):
        scenario(schemes=f"[{scheme}]", sync=SERVER % ", staleness: 1")
    scenario(schemes=f"[{scheme}]", sync=SERVER % "")
