"""What every synchronisation architecture must do, for every member of the registry: a new one needs no edits here."""

from __future__ import annotations

import numpy as np
import pytest
import simpy

from netsim.errors import InputError
from netsim.network import fidelities, transports
from netsim.network.run import plan_times
from netsim.sync import ParameterServer, Payload, carrier, syncs
from netsim.topology import Star

NUMBERS = [1, 2, 3, 4, 7, 8, 17, 64]
VARIANTS = [
    ParameterServer(servers=3, sharding="even"),
    ParameterServer(placement="colocated"),
    ParameterServer(servers=2, placement="colocated", sharding="even"),
]
MEMBERS = [syncs.get(name)() for name in syncs] + VARIANTS
CASES = [
    pytest.param(sync, op, id=f"{number}-{sync.kind}-{op}")
    for number, sync in enumerate(MEMBERS)
    for op in sorted(sync.carries)
]
each = pytest.mark.parametrize(("sync", "op"), CASES)
numbers = pytest.mark.parametrize("n", NUMBERS)


def payload(op, n, seed=0):
    """Return unequal messages where the operation allows them; an aggregate as large as the largest."""
    rng = np.random.default_rng(seed)
    up_bytes = np.full(n, 1e6) if op == "sum" else rng.integers(1, 1000, n) * 1e3
    return Payload(op, up_bytes, float(up_bytes.max()), np.array([5, 1, 3]))


def plan(sync, op, n, **costs):
    """Return the topology, the nodes and the rounds of a collective; skip where so few workers cannot be served."""
    try:
        sync.check(n)
    except InputError as error:
        pytest.skip(error.problem)
    topology = Star(workers=n, bandwidth=1e9, latency=1e-5).build(sync.dedicated_servers)
    nodes = np.concatenate([topology.workers, topology.servers])
    return topology, nodes, list(sync.rounds(payload(op, n, **costs), topology.workers, topology.servers))


def knowledge(rounds, nodes):
    """Return whose contributions each node has in the end: in a round it may send all that it had before."""
    known = {node: {node} for node in nodes.tolist()}
    for one in rounds:
        sent = [(src, dst, set(known[src])) for src, dst in zip(one.src.tolist(), one.dst.tolist(), strict=True)]
        for _, dst, what in sent:
            known[dst] |= what
    return known


@each
@numbers
def test_everyone_ends_with_everyones_contribution(sync, op, n):
    topology, nodes, rounds = plan(sync, op, n)
    known = knowledge(rounds, nodes)
    for worker in topology.workers.tolist():
        assert known[worker] >= set(topology.workers.tolist())


@each
@numbers
def test_rounds_are_well_formed_and_nobody_sends_to_itself(sync, op, n):
    _, nodes, rounds = plan(sync, op, n)
    for one in rounds:
        assert one.src.shape == one.dst.shape == one.nbytes.shape
        assert (one.src != one.dst).all()
        assert np.isin(one.src, nodes).all()
        assert np.isin(one.dst, nodes).all()
        assert (one.nbytes >= 0).all()
        assert (np.broadcast_to(one.hold_s, one.src.shape) >= 0).all()


@each
@numbers
def test_enough_bytes_travel_for_what_is_carried(sync, op, n):
    """A gather brings every worker the others' messages whole; a reduction merges n-1 times and hands out n-1 times."""
    topology, _, rounds = plan(sync, op, n)
    messages = payload(op, n)
    size = len(topology.names)
    received = sum((np.bincount(one.dst, one.nbytes, size) for one in rounds), np.zeros(size))[topology.workers]
    if op == "gather" and not isinstance(sync, ParameterServer):
        np.testing.assert_allclose(received, messages.up_bytes.sum() - messages.up_bytes)
    elif op == "sum":
        assert received.sum() + sum(one.nbytes[~np.isin(one.dst, topology.workers)].sum() for one in rounds) >= (
            2 * (n - 1) * 1e6 * (1 - 1e-12)
        )


@each
@numbers
def test_bytes_of_the_rounds_are_the_bytes_on_the_links(sync, op, n):
    topology, nodes, rounds = plan(sync, op, n)
    env = simpy.Environment()
    network = fidelities.get("flow")().build(env, topology, transports.get("ideal")())
    finished = []
    network.begin(rounds, nodes, lambda some: finished.extend(some.tolist())).join(nodes)
    env.run()
    assert sorted(finished) == nodes.tolist()
    total = sum(one.nbytes.sum() for one in rounds)
    assert network.links.nbytes.sum() == pytest.approx(2 * total)  # host to switch, switch to host


@each
@pytest.mark.parametrize("n", [2, 3, 7, 8])
@pytest.mark.parametrize("late", [0, 1, -1])
@pytest.mark.parametrize("collective", [True, False], ids=["fast", "general"])
def test_no_worker_finishes_before_everyone_has_joined(sync, op, n, late, collective):
    """What `collective` promises to the network, seen in the general solver, which does not rely on it."""
    topology, nodes, rounds = plan(sync, op, n)
    joined_s = np.zeros(len(nodes))
    joined_s[range(n)[late]] = 10.0
    flow, ideal = fidelities.get("flow")(), transports.get("ideal")()
    times = plan_times(flow, topology, ideal, rounds, nodes, joined_s, collective=collective)
    assert np.isfinite(times).all()
    assert (times[:n] >= 10.0).all()


@each
@numbers
def test_decoding_and_names_are_given_for_every_operation(sync, op, n):
    assert 1 <= sync.decodes(op, n) <= max(n, 1)
    assert sync.describe(op)
    assert sync.owners(n) >= 1
    assert (sync.decodes(op, n) == 1) or op in {"gather", "sum"}


@pytest.mark.parametrize("sync", MEMBERS, ids=lambda one: one.kind)
@pytest.mark.parametrize("op", ["sum", "gather", "owner"])
def test_what_cannot_be_carried_falls_back_or_is_refused_with_a_remedy(sync, op):
    if op in sync.carries:
        assert carrier(sync, op) is sync
    elif sync.fallback and op in syncs.get(sync.fallback).carries:
        assert carrier(sync, op).kind == sync.fallback
    else:
        with pytest.raises(InputError, match=f"cannot carry messages of kind '{op}'") as caught:
            carrier(sync, op)
        able = [name for name in syncs if op in syncs.get(name).carries]
        assert all(f"'{name}'" in caught.value.remedy for name in able)


def test_every_operation_has_a_carrier():
    assert set().union(*(syncs.get(name).carries for name in syncs)) == {"sum", "gather", "owner"}


@numbers
def test_a_ring_all_reduce_has_every_chunk_reduced_and_handed_round(n):
    """Chunk by chunk: in round r worker i sends chunk i - r on; after n-1 rounds one worker has each chunk's sum."""
    _, _, rounds = plan(syncs.get("ring")(), "sum", n)
    chunks = [[{worker} for _ in range(n)] for worker in range(n)]  # whose gradients a worker's copy of a chunk holds
    for number, one in enumerate(rounds):
        sent = [
            (dst, (src - number) % n, set(chunks[src][(src - number) % n]))
            for src, dst in zip(one.src.tolist(), one.dst.tolist(), strict=True)
        ]
        for dst, chunk, what in sent:
            if number < n - 1:
                assert not chunks[dst][chunk] & what, "no gradient is added twice"
                chunks[dst][chunk] |= what
            else:
                chunks[dst][chunk] = what
    assert all(chunk == set(range(n)) for worker in chunks for chunk in worker)
    np.testing.assert_allclose([one.nbytes for one in rounds], 1e6 / n)


@numbers
def test_a_ring_all_gather_hands_every_message_on_whole(n):
    """In round r worker i sends the message of worker i - r, and has it by then."""
    _, _, rounds = plan(syncs.get("all_gather")(), "gather", n)
    sizes, has = payload("gather", n).up_bytes, [{worker} for worker in range(n)]
    for number, one in enumerate(rounds):
        sent = []
        for src, dst, nbytes in zip(one.src.tolist(), one.dst.tolist(), one.nbytes.tolist(), strict=True):
            message = (src - number) % n
            assert message in has[src]
            assert nbytes == sizes[message]
            sent.append((dst, message))
        for dst, message in sent:
            has[dst].add(message)
    assert all(one == set(range(n)) for one in has)


@numbers
def test_a_tree_adds_no_gradient_twice(n):
    _, _, rounds = plan(syncs.get("tree")(), "sum", n)
    holds = [{worker} for worker in range(n)]
    for one in rounds[: len(rounds) // 2]:
        for src, dst in zip(one.src.tolist(), one.dst.tolist(), strict=True):
            assert not holds[src] & holds[dst]
            holds[dst] |= holds[src]
    assert holds[0] == set(range(n))


def test_sharding_by_tensor_sends_each_server_its_tensors_and_no_empty_messages():
    """Two tensors of 3 and 1 elements on three servers from tensor 1 on: servers 1 and 2 get 3/4 and 1/4, 0 nothing."""
    sync = ParameterServer(servers=3)
    message = Payload("owner", np.array([8.0, 16.0]), 4.0, np.array([3, 1]), first_tensor=1)
    push, pull = sync.rounds(message, np.array([0, 1]), np.array([2, 3, 4]))
    assert sorted(zip(push.src, push.dst, push.nbytes, strict=True)) == [(0, 3, 6), (0, 4, 2), (1, 3, 12), (1, 4, 4)]
    assert sorted(zip(pull.src, pull.dst, pull.nbytes, strict=True)) == [(3, 0, 3), (3, 1, 3), (4, 0, 1), (4, 1, 1)]


def test_more_co_located_servers_than_workers_are_refused():
    with pytest.raises(InputError, match="5 co-located servers"):
        ParameterServer(servers=5, placement="colocated").check(4)
