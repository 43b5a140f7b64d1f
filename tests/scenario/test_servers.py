"""What a parameter server's keys may not say, and what their mistakes are answered with."""

from __future__ import annotations

import pytest

from netsim.errors import NetsimError
from netsim.scenario.load import parse_text

HEAD = "topology: {%s, bandwidth: 1 Gbit/s}\nworkload: {kind: recorded, trace: tiny}\n"
STAR, CLUSTER = "kind: star, workers: 4", "kind: gpu_cluster"
TRAIN = (
    "topology: {kind: star, workers: 4, bandwidth: 1 Gbit/s}\nworkload: {kind: ridge}\ntrain: {optimizer: %s}\n"
    "sync: {kind: parameter_server, %s}\n"
)
CASES = {
    "partition_without_size": (
        HEAD % STAR + "sync: {kind: parameter_server, sharding: partition}\n",
        ("sync.partition: partitions need a size", "4 MiB"),
    ),
    "no_machines": (
        HEAD % STAR + "sync: {kind: parameter_server, local_aggregation: true}\n",
        ("every worker is a machine by itself", "gpu_cluster"),
    ),
    "machines_cannot_add_codes": (
        HEAD % CLUSTER + "sync: {kind: parameter_server, local_aggregation: true}\nschemes: [topk]\n",
        ("cannot be added without decoding", "remove local_aggregation"),
    ),
    "credit_without_servers": (
        HEAD % STAR + "job: {credit: 4 MiB}\n",
        ("job.credit: has no effect", "parameter_server"),
    ),
    "cards_without_servers": (
        HEAD % (CLUSTER + ", cards_per_server: 2"),
        ("topology.cards_per_server: has no effect", "dedicated servers"),
    ),
    "bound_that_is_no_number": (
        HEAD % STAR + "sync: {kind: parameter_server, staleness: -1}\n",
        ("sync.staleness",),
    ),
    "bound_beside_an_optimizer": (
        TRAIN % ("asgd", "staleness: 3"),
        ("`staleness` has no effect on training", "bound: 3"),
    ),
    "partitions_of_an_asynchronous_optimizer": (
        TRAIN % ("asgd", "partition: 1 kB"),
        ("`partition` and `local_aggregation` have no effect",),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_named_with_its_remedy(folder, name):
    text, words = CASES[name]
    with pytest.raises(NetsimError) as caught:
        parse_text(text, folder)
    for word in words:
        assert word in str(caught.value)


def test_a_sweep_of_bounds_reads_numbers_and_words(folder):
    text = HEAD % STAR + "sync: {kind: parameter_server}\nsweep: {sync.staleness: [0, 2, unbounded]}\n"
    assert [one.sync.staleness for one in parse_text(text, folder)] == [0, 2, "unbounded"]
