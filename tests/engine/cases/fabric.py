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
