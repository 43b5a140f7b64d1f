"""Cases of the first members."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]
"""Sections of a scenario, and the sections of another that differs in the one key."""

STAR = "{kind: star, workers: 4, bandwidth: 10 Mbit/s, latency: 1 ms%s}"
CLUSTER = "{kind: gpu_cluster, bandwidth: 10 Mbit/s, hop_bandwidth: 40 Mbit/s%s}"
PS = "{kind: parameter_server, servers: 2%s}"
QSGD = "[{kind: qsgd%s}]"

CASES: dict[str, Case] = {
    "seed": ({"schemes": "[qsgd]", "seed": "1"}, {"seed": "2"}),
    "job.overlap": ({}, {"job": "{overlap: per_tensor}"}),
    "job.bucket": ({"job": "{first_bucket: 1 kB}"}, {"job": "{first_bucket: 1 kB, bucket: 10 kB}"}),
    "job.first_bucket": ({}, {"job": "{first_bucket: 1 kB}"}),
    "job.steps": ({"schemes": "[topk]"}, {"job": "{steps: 1}"}),
    "job.grad_accumulation": ({}, {"job": "{grad_accumulation: 2}"}),
    "job.coding_unit": ({"schemes": "[topk]"}, {"job": "{coding_unit: bucket}"}),
    "job.straggler.distribution": (
        {"job": "{straggler: {distribution: uniform, spread: 0.5}}"},
        {"job": "{straggler: {distribution: lognormal, spread: 0.5}}"},
    ),
    "job.straggler.spread": (
        {"job": "{straggler: {distribution: uniform, spread: 0.5}}"},
        {"job": "{straggler: {distribution: uniform, spread: 0.6}}"},
    ),
    "topology.star.workers": ({}, {"topology": "{kind: star, workers: 3, bandwidth: 10 Mbit/s, latency: 1 ms}"}),
    "topology.star.bandwidth": ({}, {"topology": "{kind: star, workers: 4, bandwidth: 20 Mbit/s, latency: 1 ms}"}),
    "topology.star.latency": ({}, {"topology": "{kind: star, workers: 4, bandwidth: 10 Mbit/s, latency: 2 ms}"}),
    "topology.star.server_bandwidth": (
        {"sync": PS % "", "topology": STAR % ""},
        {"topology": STAR % ", server_bandwidth: 20 Mbit/s"},
    ),
    "topology.gpu_cluster.machines": ({"topology": CLUSTER % ""}, {"topology": CLUSTER % ", machines: 3"}),
    "topology.gpu_cluster.gpus_per_machine": (
        {"topology": CLUSTER % ""},
        {"topology": CLUSTER % ", gpus_per_machine: 3"},
    ),
    "topology.gpu_cluster.bandwidth": (
        {"topology": CLUSTER % ""},
        {"topology": "{kind: gpu_cluster, bandwidth: 20 Mbit/s, hop_bandwidth: 40 Mbit/s}"},
    ),
    "topology.gpu_cluster.latency": ({"topology": CLUSTER % ""}, {"topology": CLUSTER % ", latency: 1 ms"}),
    "topology.gpu_cluster.cards_per_machine": (
        {"topology": CLUSTER % "", "sync": "all_to_all"},
        {"topology": CLUSTER % ", cards_per_machine: 2"},
    ),
    "topology.gpu_cluster.hop_bandwidth": (
        {"topology": CLUSTER % "", "sync": "all_to_all"},
        {"topology": "{kind: gpu_cluster, bandwidth: 10 Mbit/s, hop_bandwidth: 5 Mbit/s}"},
    ),
    "topology.gpu_cluster.hop_latency": ({"topology": CLUSTER % ""}, {"topology": CLUSTER % ", hop_latency: 1 ms"}),
    "topology.file.path": (
        {"topology": "{kind: file, path: slow.json}"},
        {"topology": "{kind: file, path: fast.json}"},
    ),
    "transport.tcp.efficiency": (
        {"network": "{kind: flow, transport: tcp}"},
        {"network": "{kind: flow, transport: {kind: tcp, efficiency: 0.5}}"},
    ),
    "transport.tcp.overhead": (
        {"network": "{kind: flow, transport: tcp}"},
        {"network": "{kind: flow, transport: {kind: tcp, overhead: 1 ms}}"},
    ),
    "workload.recorded.trace": ({"schemes": "[topk]"}, {"workload": "{kind: recorded, trace: other}"}),
    "workload.recorded.speed": ({}, {"workload": "{kind: recorded, trace: small, speed: 2}"}),
    "workload.published.model": (
        {"workload": "{kind: published, model: resnet50, gradients: small}", "job": "{steps: 1}"},
        {"workload": "{kind: published, model: resnet101, gradients: small}"},
    ),
    "workload.published.gradients": (
        {
            "workload": "{kind: published, model: resnet50, gradients: small}",
            "schemes": "[{kind: topk, ratio: 0.1}]",
            "job": "{steps: 1}",
        },
        {"workload": "{kind: published, model: resnet50, gradients: other}"},
    ),
    "workload.published.speed": (
        {"workload": "{kind: published, model: resnet50, gradients: small}", "job": "{steps: 1}"},
        {"workload": "{kind: published, model: resnet50, gradients: small, speed: 2}"},
    ),
    "scheme.topk.ratio": ({"schemes": "[topk]"}, {"schemes": "[{kind: topk, ratio: 0.1}]"}),
    "scheme.randomk.ratio": ({"schemes": "[randomk]"}, {"schemes": "[{kind: randomk, ratio: 0.1}]"}),
    "scheme.randomk.rescale": ({"schemes": "[randomk]"}, {"schemes": "[{kind: randomk, rescale: true}]"}),
    "scheme.qsgd.levels": ({"schemes": QSGD % ""}, {"schemes": QSGD % ", levels: 3"}),
    "scheme.qsgd.bucket": ({"schemes": QSGD % ""}, {"schemes": QSGD % ", bucket: 64"}),
    "scheme.qsgd.norm": ({"schemes": QSGD % ""}, {"schemes": QSGD % ", norm: l2"}),
    "scheme.powersgd.rank": ({"schemes": "[powersgd]"}, {"schemes": "[{kind: powersgd, rank: 1}]"}),
    "scheme.error_feedback.inner": ({"schemes": "[[error_feedback, topk]]"}, {"schemes": "[[error_feedback, qsgd]]"}),
    "scheme.two_way.inner": (
        {"schemes": "[[two_way, rms_sign]]", "sync": "all_to_all"},
        {"schemes": "[[two_way, scaled_sign]]"},
    ),
    "scheme.warm_up.inner": (
        {"schemes": "[[{kind: warm_up, steps: 1}, fp16]]"},
        {"schemes": "[[{kind: warm_up, steps: 1}, topk]]"},
    ),
    "scheme.warm_up.steps": (
        {"schemes": "[[{kind: warm_up, steps: 1}, fp16]]"},
        {"schemes": "[[{kind: warm_up, steps: 2}, fp16]]"},
    ),
    "sync.parameter_server.servers": ({"sync": PS % ""}, {"sync": "{kind: parameter_server, servers: 3}"}),
    "sync.parameter_server.placement": ({"sync": PS % ""}, {"sync": PS % ", placement: colocated"}),
    "sync.parameter_server.sharding": ({"sync": PS % ""}, {"sync": PS % ", sharding: even"}),
    "cost.measured.table": (
        {"schemes": "[topk]", "cost": "{kind: measured}"},
        {"cost": "{kind: measured, table: slow_costs}"},
    ),
}
