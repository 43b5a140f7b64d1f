"""Every architecture, whatever it is: who ends up knowing whose contribution, and how many bytes travel."""

from __future__ import annotations

import numpy as np
import pytest

from netsim.api import COLLECTIVES
from netsim.errors import InputError
from netsim.sync import Payload, syncs
from netsim.topology import GpuCluster, Star

NUMBERS = [1, 2, 3, 4, 7, 8, 17, 64]
S = 1.0 * 2**20
OPS = ["sum", "merge", "union", "gather", "owner"]
ALONE = sorted({(name, what) for name in syncs for what in syncs.get(name).alone})


def rounds_of(sync, n, op="sum", machines=None, workers=None, up_bytes=None):
    topology = Star(workers=n, bandwidth=1e9).build(sync.dedicated_servers)
    nodes = topology.workers if workers is None else workers
    up_bytes = np.full(n, S) if up_bytes is None else up_bytes
    down_bytes = float(up_bytes.max()) if op != "gather" else float(up_bytes.sum())
    one, sums = np.ones(1, dtype=np.int64), up_bytes.cumsum()
    payload = Payload(op, up_bytes, down_bytes, one, machines=machines, union_bytes=sums)
    return list(sync.rounds(payload, nodes, topology.servers)), topology


def known(rounds, nodes, holds):
    """Return who has heard of whom: a node sends in a round what it held when the round before was over."""
    heard = {int(node): set(one) for node, one in zip(nodes, holds, strict=True)}
    for one in rounds:
        assert (one.src != one.dst).all(), "sent to itself"
        assert np.isfinite(one.nbytes).all()
        assert (one.nbytes >= 0).all()
        assert len(one.src) == len(one.dst) == len(one.nbytes)
        before = {node: set(has) for node, has in heard.items()}
        for src, dst in zip(one.src.tolist(), one.dst.tolist(), strict=True):
            heard[dst] |= before[src]
    return heard


def nodes_of(topology):
    return np.concatenate([topology.workers, topology.servers])


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("name", list(syncs))
def test_everyone_ends_with_everyones_contribution(name, op, n):
    sync = syncs.get(name)()
    if op not in sync.carries:
        return
    rounds, topology = rounds_of(sync, n, op)
    nodes = nodes_of(topology)
    heard = known(rounds, nodes, [{node} if node in topology.workers else set() for node in nodes.tolist()])
    assert all(heard[worker] >= set(topology.workers.tolist()) for worker in topology.workers.tolist())


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("name", list(syncs))
def test_no_worker_can_end_on_fewer_bytes_than_the_bound(name, n):
    """An all-reduce moves at least 2(n-1)S between workers without servers (Patarasuk, Yuan 2009); nobody gets less
    than what it lacks: (n-1)/n S or more."""
    sync = syncs.get(name)()
    if "sum" not in sync.carries or sync.dedicated_servers:
        return
    rounds, _ = rounds_of(sync, n)
    sent = sum((np.bincount(one.src, one.nbytes, n + 1)[:n] for one in rounds), np.zeros(n))
    got = sum((np.bincount(one.dst, one.nbytes, n + 1)[:n] for one in rounds), np.zeros(n))
    assert sent.sum() == pytest.approx(got.sum())
    if name == "all_gather":
        assert sent.sum() == pytest.approx(n * (n - 1) * S)
        return
    least = 2 * (n - 1) * S
    exact = {"ring", "halving_doubling", "torus_2d", "hierarchical", "double_binary_tree", "tree", "all_to_all"}
    assert name in exact, "say how many bytes the new architecture moves"
    assert sent.sum() == pytest.approx(least)
    assert (got[:n] >= (n - 1) / n * S * (1 - 1e-12)).all()


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("name", [name for name in syncs if "gather" in syncs.get(name).carries])
def test_gathers_of_unequal_messages_move_all_of_them_to_everyone(name, n):
    sync = syncs.get(name)()
    up_bytes = np.arange(1.0, n + 1)
    rounds, topology = rounds_of(sync, n, "gather", up_bytes=up_bytes)
    got = sum((np.bincount(one.dst, one.nbytes, len(topology.names)) for one in rounds), np.zeros(len(topology.names)))
    assert (got[topology.workers] >= up_bytes.sum() - up_bytes - 1e-9).all()
    if name in {"ring", "all_gather", "all_to_all", "halving_doubling"}:
        lacking = n * up_bytes.sum() - up_bytes.sum()
        beyond = n - 2 ** (n.bit_length() - 1) if name == "halving_doubling" else 0
        assert got.sum() == pytest.approx(lacking) if not beyond else got.sum() >= lacking


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("name", list(syncs))
def test_any_subset_of_nodes_can_be_a_group(name, n):
    """The same plan between other nodes: workers of odd number, backwards."""
    sync = syncs.get(name)()
    if sync.dedicated_servers:
        return
    group = np.arange(2 * n - 1, 0, -2)
    rounds, _ = rounds_of(sync, n, workers=group)
    plain, _ = rounds_of(sync, n)
    assert len(rounds) == len(plain)
    for one, other in zip(rounds, plain, strict=True):
        np.testing.assert_array_equal(one.src, group[other.src])
        np.testing.assert_array_equal(one.dst, group[other.dst])


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize(("name", "what"), ALONE)
def test_collectives_alone(name, what, n):
    if name == "halving_doubling" and n & (n - 1):
        with pytest.raises(InputError, match=str(n)):
            syncs.get(name)().alone_rounds(what, S, np.arange(n))
        return
    rounds = list(syncs.get(name)().alone_rounds(what, S, np.arange(n)))
    heard = known(rounds, range(n), [{node} for node in range(n)])
    got = sum((np.bincount(one.dst, one.nbytes, n) for one in rounds), np.zeros(n))
    everyone = set(range(n))
    if what in {"reduce_scatter", "all_to_all"}:
        assert all(heard[node] >= everyone for node in range(n))
        assert (got >= (n - 1) / n * S * (1 - 1e-12)).all()
    elif what == "broadcast":
        assert all(0 in heard[node] for node in range(n))
        np.testing.assert_allclose(got, [0, *[S] * (n - 1)])
    else:
        assert heard[0] >= everyone
        assert got.sum() == pytest.approx((n - 1) * S)


def test_every_collective_can_be_timed_over_something():
    assert {what for _, what in ALONE} == {what for what, op in COLLECTIVES.items() if op is None}


@pytest.mark.parametrize("name", list(syncs))
def test_a_collective_it_does_not_have_is_refused_with_who_has_it(name):
    missing = {what for _, what in ALONE} - syncs.get(name).alone
    for what in missing:
        with pytest.raises(InputError, match=what) as caught:
            syncs.get(name)().alone_rounds(what, S, np.arange(4))
        assert any(f"'{other}'" in caught.value.remedy for other, one in ALONE if one == what)


@pytest.mark.parametrize("sizes", [(2, 2), (4, 4, 4), (1, 2, 3), (8,), (3, 3)])
@pytest.mark.parametrize("name", ["ring", "hierarchical"])
def test_machines_of_any_sizes(name, sizes):
    machines = np.repeat(np.arange(len(sizes)), sizes)
    n = len(machines)
    sync = syncs.get(name)() if name == "hierarchical" else syncs.get(name)(rings=3)
    rounds, topology = rounds_of(sync, n, machines=machines)
    heard = known(rounds, nodes_of(topology), [{node} for node in range(n)])
    assert all(len(heard[worker]) == n for worker in range(n))
    sent = sum((one.nbytes.sum() for one in rounds), 0.0)
    assert sent == pytest.approx(2 * (n - 1) * S)


def test_rings_leave_a_machine_by_different_workers():
    machines = GpuCluster(machines=2, gpus_per_machine=4, bandwidth=1e9, cards_per_machine=4).build().machines[:8]
    rounds, _ = rounds_of(syncs.get("ring")(rings=4), 8, machines=machines)
    out = [src for src, dst in zip(rounds[0].src, rounds[0].dst, strict=True) if machines[src] != machines[dst]]
    assert sorted(out) == list(range(8))


def test_rows_must_divide_the_workers():
    with pytest.raises(InputError, match="3 rows"):
        rounds_of(syncs.get("torus_2d")(rows=3), 8)
