"""Cases of what befalls the network and the workers."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]


def condition(before: str, after: str, **sections: str) -> Case:
    """Return the same scenario under one condition and under another."""
    return {"conditions": f"[{{{before}}}]"} | sections, {"conditions": f"[{{{after}}}]"}


PROFILE = "kind: link_profile, links: [worker0]"
LINK = "kind: link_failure, links: [worker0]"
NODE = "kind: node_failure, nodes: [worker0]"
AT = "at: 100 ms, duration: 1 s"
RANDOM = "mean_time_between: 200 ms, duration: 50 ms"
LOSS = "kind: packet_loss, links: [worker0]"
TCP = {"network": "{kind: flow, transport: tcp}"}
BACKGROUND = "kind: background, src: [worker0], dst: [worker1], rate: 5 Mbit/s"
BUSY = f"{BACKGROUND}, size: 1 kB"
ON_OFF = "on: 5 ms, off: 5 ms"
NEIGHBOUR = "kind: neighbour, workers: ['worker*'], size: 100 kB"
LEAVES = "{kind: leaf_spine, bandwidth: 10 Mbit/s, leaves: 2, hosts_per_leaf: 3, latency: 1 ms}"
PART = f"{{kind: part, workers: 2, cluster: {LEAVES}}}"
STEPS = "{checkpoint: {every: 2%s}}"
CRASH = f"[{{{NODE}, at: 700 ms, duration: 1 s}}]"

CASES: dict[str, Case] = {
    "conditions": ({}, {"conditions": f"[{{{LINK}, {AT}}}]"}),
    "condition.link_profile.links": condition(
        f"{PROFILE}, at: [0 s], bandwidth: [1 Mbit/s]",
        "kind: link_profile, links: [worker0->switch], at: [0 s], bandwidth: [2 Mbit/s]",
    ),
    "condition.link_profile.at": condition(
        f"{PROFILE}, at: [0 s], bandwidth: [1 Mbit/s]", f"{PROFILE}, at: [160 ms], bandwidth: [1 Mbit/s]"
    ),
    "condition.link_profile.bandwidth": condition(
        f"{PROFILE}, at: [0 s], bandwidth: [1 Mbit/s]", f"{PROFILE}, at: [0 s], bandwidth: [2 Mbit/s]"
    ),
    "condition.link_profile.latency": condition(
        f"{PROFILE}, at: [0 s], latency: [1 ms]", f"{PROFILE}, at: [0 s], latency: [2 ms]"
    ),
    "condition.link_profile.file": condition(f"{PROFILE}, file: falling", f"{PROFILE}, file: rising"),
    "condition.link_profile.period": condition(
        f"{PROFILE}, at: [0 s, 10 ms], bandwidth: [1 Mbit/s, 10 Mbit/s]",
        f"{PROFILE}, at: [0 s, 10 ms], bandwidth: [1 Mbit/s, 10 Mbit/s], period: 50 ms",
    ),
    "condition.link_failure.links": condition(
        f"{LINK}, {AT}", f"kind: link_failure, links: [server0], {AT}", sync="parameter_server"
    ),
    "condition.link_failure.at": condition(f"{LINK}, {AT}", f"{LINK}, at: 110 ms, duration: 1 s"),
    "condition.link_failure.duration": condition(f"{LINK}, {AT}", f"{LINK}, at: 100 ms, duration: 2 s"),
    "condition.link_failure.every": condition(f"{LINK}, {AT}", f"{LINK}, {AT}, every: 1.2 s"),
    "condition.link_failure.mean_time_between": condition(
        f"{LINK}, {RANDOM}", f"{LINK}, mean_time_between: 500 ms, duration: 50 ms", seed="2"
    ),
    "condition.node_failure.nodes": condition(f"{NODE}, {AT}", f"kind: node_failure, nodes: ['worker[01]'], {AT}"),
    "condition.node_failure.at": condition(f"{NODE}, {AT}", f"{NODE}, at: 155 ms, duration: 1 s"),
    "condition.node_failure.duration": condition(f"{NODE}, {AT}", f"{NODE}, at: 100 ms, duration: 2 s"),
    "condition.node_failure.every": condition(f"{NODE}, {AT}", f"{NODE}, {AT}, every: 1.2 s"),
    "condition.node_failure.mean_time_between": condition(
        f"{NODE}, {RANDOM}", f"{NODE}, mean_time_between: 300 ms, duration: 50 ms"
    ),
    "condition.packet_loss.links": condition(
        f"{LOSS}, probability: 0.1", "kind: packet_loss, links: ['*'], probability: 0.1", **TCP
    ),
    "condition.packet_loss.probability": condition(f"{LOSS}, probability: 0.1", f"{LOSS}, probability: 0.2", **TCP),
    "condition.packet_loss.at": condition(f"{LOSS}, probability: 0.2", f"{LOSS}, probability: 0.2, at: 160 ms", **TCP),
    "condition.packet_loss.duration": condition(
        f"{LOSS}, probability: 0.2", f"{LOSS}, probability: 0.2, duration: 100 ms", **TCP
    ),
    "condition.background.src": condition(BUSY, BUSY.replace("[worker0]", "[worker2]")),
    "condition.background.dst": condition(BUSY, BUSY.replace("[worker1]", "[worker2]")),
    "condition.background.rate": condition(BUSY, BUSY.replace("5 Mbit/s", "8 Mbit/s")),
    "condition.background.size": condition(f"{BACKGROUND}, size: 1 kB", f"{BACKGROUND}, size: 2 kB"),
    "condition.background.arrivals": condition(BUSY, f"{BUSY}, arrivals: constant"),
    "condition.background.on": condition(f"{BUSY}, {ON_OFF}", f"{BUSY}, on: 20 ms, off: 5 ms"),
    "condition.background.off": condition(f"{BUSY}, {ON_OFF}", f"{BUSY}, on: 5 ms, off: 20 ms"),
    "condition.neighbour.workers": condition(NEIGHBOUR, NEIGHBOUR.replace("worker*", "worker[012]")),
    "condition.neighbour.size": condition(NEIGHBOUR, NEIGHBOUR.replace("100 kB", "200 kB")),
    "condition.neighbour.compute": condition(NEIGHBOUR, f"{NEIGHBOUR}, compute: 1 ms"),
    "condition.neighbour.sync": condition(NEIGHBOUR, f"{NEIGHBOUR}, sync: tree"),
    "condition.neighbour.at": condition(NEIGHBOUR, f"{NEIGHBOUR}, at: 10 ms"),
    "topology.part.cluster": (
        {"topology": PART},
        {"topology": PART.replace("10 Mbit/s", "20 Mbit/s")},
    ),
    "topology.part.workers": ({"topology": PART}, {"topology": PART.replace("workers: 2", "workers: 3")}),
    "topology.part.placement": ({"topology": PART}, {"topology": PART.replace("}}", "}, placement: spread}")}),
    "job.checkpoint.every": (
        {"conditions": CRASH, "job": "{steps: 4}"},
        {"job": "{steps: 4, checkpoint: {every: 2}}"},
    ),
    "job.checkpoint.write": (
        {"job": STEPS % ", write: 10 ms"},
        {"job": STEPS % ", write: 100 ms"},
    ),
    "job.checkpoint.restart": (
        {"conditions": CRASH, "job": "{steps: 4, checkpoint: {every: 2}}"},
        {"job": "{steps: 4, checkpoint: {every: 2, restart: 100 ms}}"},
    ),
    "job.straggler.factors": ({}, {"job": "{straggler: {factors: [1, 2]}}"}),
}

for kind in ("tcp", "nccl", "gloo", "mpi"):
    LOSSY = {
        "topology": "{kind: star, workers: 4, bandwidth: 1 Gbit/s, latency: 50 ms}",
        "conditions": "[{kind: packet_loss, links: ['*'], probability: 1.0e-6}]",
    }
    transport = f"{{kind: flow, transport: {{kind: {kind}, sockets: 1, window: 1 GB%s}}}}"
    CASES[f"transport.{kind}.congestion"] = (
        LOSSY | {"network": transport % "", "workload": "{kind: published, model: resnet50, gradients: small}"},
        {"network": transport % ", congestion: reno"},
    )
