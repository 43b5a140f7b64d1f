"""A made-up but plausible `runs` table: an alpha-beta model of 12 schemes, so that figures show familiar shapes."""

from __future__ import annotations

import itertools

import pandas as pd

SCHEMES = {
    # name: (compression, relative error, encode seconds, decode seconds a message, reducible)
    "none": (1.0, 0.0, 0.0, 0.0, True),
    "fp16": (2.0, 3e-4, 0.4e-3, 0.2e-3, True),
    "bf16": (2.0, 2e-3, 0.4e-3, 0.2e-3, True),
    "scaled_sign+error_feedback": (32.0, 0.62, 1.2e-3, 0.1e-3, False),
    "rms_sign+error_feedback": (32.0, 0.6, 1.4e-3, 0.1e-3, False),
    "topk(ratio=0.1)": (5.0, 0.35, 9e-3, 0.3e-3, False),
    "topk(ratio=0.01)+error_feedback": (50.0, 0.78, 9e-3, 0.05e-3, False),
    "topk(ratio=0.001)+error_feedback": (500.0, 0.93, 9e-3, 0.02e-3, False),
    "randomk(ratio=0.01)": (100.0, 0.995, 2e-3, 0.05e-3, True),
    "qsgd(levels=16)": (6.4, 0.9, 1.6e-3, 0.2e-3, False),
    "powersgd(rank=2)+error_feedback": (120.0, 0.85, 4e-3, 1e-3, True),
    "topk(ratio=0.01)+error_feedback+two_way": (50.0, 0.86, 9e-3, 0.05e-3, False),
}
GBIT = 1e9 / 8


def _row(scheme: str, sync: str, bandwidth: float, workers: int) -> dict[str, object]:
    ratio, error, encode, decode, reducible = SCHEMES[scheme]
    dense, compute, optimizer, latency = 102e6, 80e-3, 3e-3, 25e-6
    sent = dense / ratio
    if sync == "parameter_server":
        carried, wire, seconds = "push and pull", sent, 2 * workers * sent / (4 * bandwidth) + 2 * latency
    elif reducible:
        wire = 2 * (workers - 1) / workers * sent
        carried, seconds = "ring all-reduce", wire / bandwidth + 2 * (workers - 1) * latency
    else:
        wire = (workers - 1) * sent
        carried, seconds = "ring all-gather", wire / bandwidth + (workers - 1) * latency
        decode *= workers
    exposed = max(seconds - 0.6 * compute, 0.02 * seconds)
    parts = {
        "compute_s": compute,
        "encode_s": encode,
        "decode_s": decode,
        "exposed_comm_s": exposed,
        "optimizer_s": optimizer,
    }
    step = sum(parts.values())
    bottleneck = "compute" if exposed < compute else "link worker0->switch"
    return {
        "scenario": "synthetic", "scheme": scheme, "sync": sync, "topology": "star", "network": "flow",
        "transport": "tcp", "workload": "resnet50 (timing) with resnet20-digits gradients", "workers": workers,
        "bandwidth_bytes_per_s": bandwidth, "latency_s": latency, "step_time_s": step, **parts, "comm_s": seconds,
        "wire_bytes_per_worker": wire, "dense_bytes": dense, "compression_x": ratio, "rel_error": error,
        "cosine": max(0.0, 1 - error**2) ** 0.5, "bottleneck": bottleneck, "extrapolated": workers > 16, "seed": 7,
        "collective": carried, "cost_source": "AMD EPYC CPU, measured", "compute_device": "NVIDIA H200", "swept": "",
    }  # fmt: skip


def runs(schemes=tuple(SCHEMES), syncs=("ring", "parameter_server"), gbits=(0.1, 1, 10, 25, 100), workers=(16,)):
    """Return the table with speedups and headrooms as the sweep computes them."""
    cells = itertools.product(workers, gbits, syncs, {"none": 0, **dict.fromkeys(schemes, 0)})
    table = pd.DataFrame([_row(scheme, sync, gbit * GBIT, n) for n, gbit, sync, scheme in cells])
    table.insert(1, "point", [f"{index:016x}" for index in range(len(table))])
    cluster = ["workers", "bandwidth_bytes_per_s"]
    dense = table[table.scheme == "none"]
    own = dense.set_index([*cluster, "sync"]).step_time_s
    best = dense.loc[dense.groupby(cluster).step_time_s.idxmin()].set_index(cluster)
    keys = pd.MultiIndex.from_frame(table[cluster])
    reference = own.loc[list(pd.MultiIndex.from_frame(table[[*cluster, "sync"]]))].to_numpy()
    table["speedup_x"] = reference / table.step_time_s
    table["headroom_x"] = reference / (table.compute_s + table.optimizer_s)
    table["vs_best_dense_x"] = best.step_time_s.loc[list(keys)].to_numpy() / table.step_time_s.to_numpy()
    table["best_dense_sync"] = best.sync.loc[list(keys)].to_numpy()
    return table[table.scheme.isin(schemes)].reset_index(drop=True)


def spans(table, steps=1, workers=4, buckets=3):
    """Return spans of the given rows: an overlapped step of a few buckets on every worker."""
    rows = []
    for run in table.itertuples():
        for step, worker in itertools.product(range(steps), range(workers)):
            start = step * run.step_time_s
            forward, piece = run.compute_s / 3, run.compute_s * 2 / 3 / buckets
            common = {"point": run.point, "scheme": run.scheme, "sync": run.sync, "step": step, "worker": worker}

            def add(what, bucket, begin, seconds, common=common):
                rows.append({**common, "what": what, "bucket": bucket, "start_s": begin, "end_s": begin + seconds})
                return begin + seconds

            now = add("forward", -1, start, forward)
            network = 0.0
            for bucket in range(buckets):
                now = add("backward", bucket, now, piece)
                if run.encode_s:
                    now = add("encode", bucket, now, run.encode_s / buckets)
                network = add("communicate", bucket, max(now, network), run.comm_s / buckets)
            end = add("decode", 0, network, run.decode_s) if run.decode_s else network
            add("optimizer", -1, max(end, now), run.optimizer_s)
    return pd.DataFrame(rows)
