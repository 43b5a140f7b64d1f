"""Cases of transports, collectives and topologies at scale."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]


def transport(kind: str, before: str, after: str) -> Case:
    """Return the same scenario over a transport with one key and with another."""
    return tuple({"network": f"{{kind: flow, transport: {{kind: {kind}{keys}}}}}"} for keys in (before, after))  # type: ignore[return-value]


CASES: dict[str, Case] = {}

for kind in ("nccl", "gloo", "mpi", "rdma"):
    CASES[f"transport.{kind}.efficiency"] = transport(kind, "", ", efficiency: 0.5")
    CASES[f"transport.{kind}.overhead"] = transport(kind, "", ", overhead: 5 ms")
for kind in ("nccl", "mpi", "rdma"):
    CASES[f"transport.{kind}.call_overhead"] = transport(kind, "", ", call_overhead: 1 ms")
for kind in ("tcp", "nccl", "gloo", "mpi"):
    CASES[f"transport.{kind}.cap"] = transport(kind, ", sockets: 1", ", sockets: 1, cap: 1 Mbit/s")
    CASES[f"transport.{kind}.window"] = transport(kind, ", sockets: 1", ", sockets: 1, window: 1 kB")
    CASES[f"transport.{kind}.sockets"] = transport(kind, ", window: 1 kB, sockets: 1", ", window: 1 kB, sockets: 2")
for kind in ("nccl", "gloo"):
    CASES[f"transport.{kind}.slice"] = transport(kind, ", slices_in_flight: 1", ", slices_in_flight: 1, slice: 1 kB")
    CASES[f"transport.{kind}.slices_in_flight"] = transport(kind, ", slice: 1 kB", ", slice: 1 kB, slices_in_flight: 1")

CLUSTER = "{kind: gpu_cluster, bandwidth: 10 Mbit/s, hop_bandwidth: 40 Mbit/s, cards_per_machine: 2}"

CASES |= {
    "sync.ring.rings": ({"topology": CLUSTER}, {"sync": "{kind: ring, rings: 2}"}),
    "sync.ring.slices": ({}, {"sync": "{kind: ring, slices: 4}"}),
    "sync.double_binary_tree.slices": (
        {"sync": "double_binary_tree"},
        {"sync": "{kind: double_binary_tree, slices: 2}"},
    ),
    "sync.torus_2d.rows": ({"sync": "torus_2d"}, {"sync": "{kind: torus_2d, rows: 1}"}),
}


def topology(kind: str, before: str, after: str) -> Case:
    """Return the same scenario on a topology with one key and with another."""
    return tuple({"topology": f"{{kind: {kind}, {keys}}}", "sync": "all_to_all"} for keys in (before, after))  # type: ignore[return-value]


SLOW = "bandwidth: 10 Mbit/s"
LEAVES = f"{SLOW}, leaves: 2, hosts_per_leaf: 2"
DRAGONFLY = f"{SLOW}, routers_per_group: 2, hosts_per_router: 1, global_links_per_router: 1"
WAN = "workers_per_site: 2, round_trips: [10 ms], wan_bandwidth: 10 Mbit/s"

CASES |= {
    "topology.leaf_spine.leaves": topology("leaf_spine", LEAVES, f"{SLOW}, leaves: 3, hosts_per_leaf: 2"),
    "topology.leaf_spine.hosts_per_leaf": topology("leaf_spine", LEAVES, f"{SLOW}, leaves: 2, hosts_per_leaf: 3"),
    "topology.leaf_spine.spines": topology("leaf_spine", LEAVES, f"{LEAVES}, spines: 1"),
    "topology.leaf_spine.bandwidth": topology(
        "leaf_spine", LEAVES, "bandwidth: 20 Mbit/s, leaves: 2, hosts_per_leaf: 2"
    ),
    "topology.leaf_spine.latency": topology("leaf_spine", LEAVES, f"{LEAVES}, latency: 1 ms"),
    "topology.leaf_spine.oversubscription": topology("leaf_spine", LEAVES, f"{LEAVES}, oversubscription: 4"),
    "topology.fat_tree.k": topology("fat_tree", f"{SLOW}, k: 2", f"{SLOW}, k: 4"),
    "topology.fat_tree.bandwidth": topology("fat_tree", f"{SLOW}, k: 2", "bandwidth: 20 Mbit/s, k: 2"),
    "topology.fat_tree.latency": topology("fat_tree", f"{SLOW}, k: 2", f"{SLOW}, k: 2, latency: 1 ms"),
    "topology.torus.shape": topology("torus", f"{SLOW}, shape: [2, 2]", f"{SLOW}, shape: [1, 4]"),
    "topology.torus.bandwidth": topology("torus", f"{SLOW}, shape: [2, 2]", "bandwidth: 20 Mbit/s, shape: [2, 2]"),
    "topology.torus.latency": topology("torus", f"{SLOW}, shape: [2, 2]", f"{SLOW}, shape: [2, 2], latency: 1 ms"),
    "topology.dragonfly.routers_per_group": topology(
        "dragonfly", DRAGONFLY, f"{SLOW}, routers_per_group: 3, hosts_per_router: 1, global_links_per_router: 1"
    ),
    "topology.dragonfly.hosts_per_router": topology(
        "dragonfly", DRAGONFLY, f"{SLOW}, routers_per_group: 2, hosts_per_router: 2, global_links_per_router: 1"
    ),
    "topology.dragonfly.global_links_per_router": topology(
        "dragonfly", DRAGONFLY, f"{SLOW}, routers_per_group: 2, hosts_per_router: 1, global_links_per_router: 2"
    ),
    "topology.dragonfly.bandwidth": topology("dragonfly", DRAGONFLY, DRAGONFLY.replace("10 Mbit/s", "20 Mbit/s")),
    "topology.dragonfly.latency": topology("dragonfly", DRAGONFLY, f"{DRAGONFLY}, latency: 1 ms"),
    "topology.dragonfly.global_bandwidth": topology("dragonfly", DRAGONFLY, f"{DRAGONFLY}, global_bandwidth: 5 Mbit/s"),
    "topology.dragonfly.global_latency": topology("dragonfly", DRAGONFLY, f"{DRAGONFLY}, global_latency: 1 ms"),
    "topology.wan.round_trips": topology("wan", f"{WAN}, {SLOW}", f"{WAN}, {SLOW}".replace("10 ms", "20 ms")),
    "topology.wan.workers_per_site": topology("wan", f"{WAN}, {SLOW}", f"{WAN}, {SLOW}".replace("site: 2", "site: 3")),
    "topology.wan.wan_bandwidth": topology(
        "wan", f"{WAN}, bandwidth: 1 Gbit/s", f"{WAN}, bandwidth: 1 Gbit/s".replace("10 Mbit/s", "20 Mbit/s")
    ),
    "topology.wan.bandwidth": topology("wan", f"{WAN}, {SLOW}", f"{WAN}, bandwidth: 5 Mbit/s"),
    "topology.wan.windows": tuple(  # type: ignore[dict-item]
        {
            "topology": f"{{kind: wan, {WAN}, {SLOW}, windows: [3 MB, {window}]}}",
            "network": "{kind: flow, transport: tcp}",
        }
        for window in ("3 MB", "3 kB")
    ),
    "topology.wan.latency": topology("wan", f"{WAN}, {SLOW}", f"{WAN}, {SLOW}, latency: 5 ms"),
    "topology.gpu_cluster.rail_optimised": topology(
        "gpu_cluster",
        f"{SLOW}, hop_bandwidth: 5 Mbit/s, cards_per_machine: 2",
        f"{SLOW}, hop_bandwidth: 5 Mbit/s, cards_per_machine: 2, rail_optimised: true",
    ),
}
