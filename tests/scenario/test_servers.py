"""What a parameter server's keys may not say, and what their mistakes are answered with."""

from __future__ import annotations

import json

import networkx as nx
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


NODES = {"w0": "worker", "w1": "worker", "lone": "worker", "hub": "switch", "p0": "server", "far": "server"}


@pytest.mark.parametrize(
    ("names", "above", "sync", "said"),
    [
        ("lone", "%s", "ring", "no worker has a link; join the workers"),
        ("w0 w1 hub lone", "%s", "ring", "topology: no routes between 'w0' and 'lone'.*join them"),
        ("w0 w1 hub far lone", "{kind: part, cluster: %s, workers: 2}", "ring", None),
        (
            "w0 w1 hub far",
            "{kind: part, cluster: %s, workers: 2}",
            "parameter_server",
            "sync: no routes .*'w0' and 'far'",
        ),
        (
            "w0 w1 hub",
            "{kind: part, cluster: %s, workers: 2}",
            "parameter_server",
            "sync: .*1 dedicated servers are asked",
        ),
        ("w0 w1 hub p0 far", "%s", "parameter_server", None),
    ],
)
def test_hosts_of_a_file_that_a_job_needs_are_there_and_reach_each_other(tmp_path, folder, names, above, sync, said):
    graph = nx.Graph()
    graph.add_nodes_from((name, {"kind": NODES[name]}) for name in names.split())
    joined = [(name, "hub") for name in ("w0", "w1", "p0") if name in graph]
    graph.add_edges_from(joined, bandwidth="1 Gbit/s")
    (tmp_path / "graph.json").write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    topology = above % "{kind: file, path: graph.json}"
    text = f"topology: {topology}\nworkload: {{kind: recorded, trace: {folder}/traces/tiny.trace}}\nsync: {sync}\n"
    if said is None:
        assert len(parse_text(text, tmp_path)) == 1
        return
    with pytest.raises(NetsimError, match=said):
        parse_text(text, tmp_path)
