"""BERT-Large's gradients between V100 machines of 4 over Ethernet of 4.1 Gbit/s achieved: 1-bit Adam and 1-bit LAMB.

Measured: Tang et al. 2021, arXiv 2102.02888, table 1 (all-reduce, batch 16 a GPU) and Li et al. 2021, arXiv 2104.06069,
table 5 (all-reduce) and section 6 (compressed exchange on 256 GPUs). Gradients are in half precision. Both tables give
the same exchange on the same cluster; from 4 machines on they differ by more than half.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from netsim.network import fidelities, transports
from netsim.network.run import plan_times
from netsim.sync import AllToAll, Payload, Ring
from netsim.topology import GpuCluster
from netsim.workload.published import load_model
from tests.validation.compare import Compared, show

ACHIEVED = 4.1e9 / 8
ADAM_MS = {2: 1897.21, 4: 2133.24, 8: 2173.35, 16: 2275.43}
LAMB_MS = {2: 2087, 4: 3436, 8: 3528, 16: 3433}
LAMB_DENSE_S = (3.579, 3.674)
LAMB_COMPRESSED_S = (0.57, 0.64)


@cache
def elements():
    return float(sum(one.numel for one in load_model("bert-large").tensors))


def exchange_s(sync, op, nbytes, machines, network="flow"):
    cluster = GpuCluster(machines=machines, gpus_per_machine=4, bandwidth=ACHIEVED).build()
    n = len(cluster.workers)
    payload = Payload(op, np.full(n, nbytes), nbytes, np.ones(1, dtype=np.int64))
    rounds = sync.rounds(payload, cluster.workers, cluster.servers)
    ideal = transports.get("ideal")()
    return plan_times(fidelities.get(network)(), cluster, ideal, rounds, cluster.workers).max()


@cache
def ring_ms(machines):
    return 1e3 * exchange_s(Ring(), "sum", 2 * elements(), machines)


def all_reduce_errors(measured_ms):
    rows = [Compared(f"{machines} machines", ring_ms(machines), ms) for machines, ms in measured_ms.items()]
    show("all-reduce of BERT-Large in half precision, ms, from 4.1 Gbit/s", rows)
    return np.array([one.error for one in rows])


@cache
def compressed_s():
    """Return the owner exchange of one bit an element; the shared card decides, so the analytic network is exact."""
    return exchange_s(AllToAll(), "owner", elements() / 8, 64, network="analytic")


def test_the_errors_of_the_all_reduce_are_as_published():
    assert all_reduce_errors(ADAM_MS) == pytest.approx([0.21, 0.15, 0.17, 0.13], abs=0.01)
    assert all_reduce_errors(LAMB_MS) == pytest.approx([0.09, -0.29, -0.28, -0.25], abs=0.01)


def test_no_figure_is_within_15_percent_of_both_tables():
    """1-bit Adam's machines moved a ring's bytes at 4.6 to 4.9 Gbit/s, 1-bit LAMB's the same bytes at 3.0."""
    for machines in (4, 8, 16):
        assert 1.15 * ADAM_MS[machines] < 0.85 * LAMB_MS[machines]


@pytest.mark.parametrize("measured_ms", [ADAM_MS, LAMB_MS])
@pytest.mark.xfail(strict=True, reason="of 4.1 Gbit/s achieved, one table's machines moved 4.6 to 4.9, the other's 3.0")
def test_the_all_reduce_within_15_percent_each(measured_ms):
    assert np.abs(all_reduce_errors(measured_ms)).max() <= 0.15


def test_the_compressed_exchange_on_256_gpus_within_15_percent():
    show(
        "owner exchange of one bit an element, s",
        [Compared("256 GPUs", compressed_s(), one) for one in LAMB_COMPRESSED_S],
    )
    assert compressed_s() == pytest.approx(0.65, abs=0.01)
    assert compressed_s() <= 1.15 * LAMB_COMPRESSED_S[0]


def dense_s():
    return exchange_s(Ring(), "sum", 2 * elements(), 64)


def test_the_ratio_of_the_exchanges_is_a_quarter_of_the_ratio_of_bytes():
    """A ring crosses a card once for four GPUs, an all-to-all sends from each: 16 times fewer bytes, 4 times faster."""
    rows = [Compared("dense, 64 machines", dense_s(), one) for one in LAMB_DENSE_S]
    show("all-reduce of BERT-Large in half precision, s", rows)
    assert dense_s() / compressed_s() == pytest.approx(4.05, abs=0.1)


@pytest.mark.xfail(
    strict=True, reason="predicted 4.05, measured 5.6 to 6.4: the dense all-reduce of this table moved 3 Gbit/s only"
)
def test_the_ratio_of_the_exchanges_is_about_6():
    assert 5 <= dense_s() / compressed_s() <= 7
