"""BERT-Large's gradients between V100 machines of 4 over Ethernet of 4.1 Gbit/s achieved: 1-bit Adam and 1-bit LAMB.

Measured: Tang et al. 2021, arXiv 2102.02888, table 1 (all-reduce, batch 16 a GPU) and Li et al. 2021, arXiv 2104.06069,
table 5 (all-reduce on 64 machines) and section 6 (compressed exchange on 256 GPUs). Gradients are in half precision.
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
def adam():
    rows = [
        Compared(f"{machines} machines", 1e3 * exchange_s(Ring(), "sum", 2 * elements(), machines), ms)
        for machines, ms in ADAM_MS.items()
    ]
    show("all-reduce of BERT-Large in half precision, ms, from 4.1 Gbit/s", rows)
    return rows


@cache
def compressed_s():
    """Return the owner exchange of one bit an element; the shared card decides, so the analytic network is exact."""
    return exchange_s(AllToAll(), "owner", elements() / 8, 64, network="analytic")


def test_the_errors_of_the_all_reduce_are_as_published():
    assert [one.error for one in adam()] == pytest.approx([0.21, 0.15, 0.17, 0.13], abs=0.01)


@pytest.mark.xfail(
    strict=True,
    reason="the machines moved a ring's bytes at 4.6 to 4.9 Gbit/s, not at the 4.1 they are said to achieve",
)
def test_the_all_reduce_within_15_percent_each():
    assert max(abs(one.error) for one in adam()) <= 0.15


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
