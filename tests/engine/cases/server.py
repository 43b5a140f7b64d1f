"""Cases of parameter servers in full."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]

SERVERS = "{kind: parameter_server, servers: 2%s}"
CLUSTER = "{kind: gpu_cluster, bandwidth: 10 Mbit/s, hop_bandwidth: 40 Mbit/s%s}"
UNEQUAL = "straggler: {distribution: lognormal, spread: 0.5}"

CASES: dict[str, Case] = {
    "job.scheduling": (
        {"sync": SERVERS % ", partition: 1 kB", "job": "{overlap: per_tensor}"},
        {"job": "{overlap: per_tensor, scheduling: priority}"},
    ),
    "job.credit": ({"sync": SERVERS % ", sharding: even"}, {"job": "{credit: 1 kB}"}),
    "sync.parameter_server.partition": ({"sync": SERVERS % ""}, {"sync": SERVERS % ", partition: 1 kB"}),
    "sync.parameter_server.staleness": (
        {"sync": SERVERS % ", staleness: unbounded", "job": f"{{{UNEQUAL}}}"},
        {"sync": SERVERS % ", staleness: 1"},
    ),
    "sync.parameter_server.local_aggregation": (
        {"sync": SERVERS % "", "topology": CLUSTER % ""},
        {"sync": SERVERS % ", local_aggregation: true"},
    ),
    "topology.gpu_cluster.cards_per_server": (
        {"sync": "parameter_server", "topology": CLUSTER % ", rail_optimised: true, cards_per_machine: 2"},
        {"topology": CLUSTER % ", rail_optimised: true, cards_per_machine: 2, cards_per_server: 2"},
    ),
}
