"""Measures exchanges over shaped links and writes the table beside this file: `python -m tests.live.measure`, as root.

`netsim probe` calibrates the transport on one of the settings first. A measured time is the least of several, each the
slowest rank's: what else the machine does only adds to it.
"""

from __future__ import annotations

import csv
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
import yaml

from netsim.network import fidelities, transports
from netsim.network.run import plan_times
from netsim.scenario.members import build
from netsim.sync import ParameterServer, Payload, Ring
from netsim.topology import Star
from tests.live import exchanges
from tests.live.namespaces import BURST, CONGESTION_CONTROL, MTU, run_ranks, shaped

HERE = Path(__file__).parent
TABLE, SECTION = HERE / "shaped_links.csv", HERE / "shaped_links.yaml"
WORKERS, RATES_MBIT, SIZES_BYTES = (2, 4, 8), (100, 400), (1_000_000, 8_000_000)
CALIBRATED = (4, 400)
"""The setting on which `netsim probe` measures: workers and Mbit/s."""
SYNCS = {"ring": Ring(), "parameter_server": ParameterServer(placement="colocated")}
AT_ONCE = ("chrt", "--fifo", "1")
"""Runs a rank as soon as a message is there, whatever else the machine does."""
PASSES = 3
"""Times that all exchanges take their turn: what disturbs one may last for seconds."""
_FEWEST, _MOST, _ENOUGH_S = 1, 20, 2.0


def predicted_s(transport, workers, rate_mbit, exchange, size_bytes):
    """Return what the flow network says of an exchange between hosts on one switch."""
    topology = Star(workers=workers, bandwidth=rate_mbit * 1e6 / 8, latency=0.0).build()
    payload = Payload("sum", np.full(workers, float(size_bytes)), float(size_bytes), np.ones(1, dtype=np.int64))
    rounds = SYNCS[exchange].rounds(payload, topology.workers, topology.servers)
    return float(plan_times(fidelities.get("flow")(), topology, transport, rounds, topology.workers).max())


def calibrated(section=SECTION):
    """Return the transport of a section that `netsim probe` wrote."""
    return build(transports, yaml.safe_load(section.read_text(encoding="utf-8"))["network"]["transport"])


def calibrate(section):
    """Let `netsim probe` measure the one setting and write the section."""
    workers, rate_mbit = CALIBRATED
    sizes, repeats = "250kB,500kB,1MB,2MB,4MB,8MB", "15"
    command = ["-m", "netsim", "probe", "--backend", "gloo", "--sizes", sizes, "--repeats", repeats]
    command += ["--statistic", "least", "--bandwidth", f"{rate_mbit} Mbit/s", "--out", str(section)]
    with shaped(workers, f"{rate_mbit}mbit") as hosts:
        run_ranks(hosts, [*AT_ONCE, sys.executable, *command])


def measured_rows(workers, rate_mbit, sizes_bytes=SIZES_BYTES):
    """Return rows (workers, Mbit/s, exchange, bytes, repeats, least seconds, median seconds) of one setting."""
    line = rate_mbit * 1e6 / 8
    asked = []
    for size_bytes in sizes_bytes:
        for name in exchanges.EXCHANGES:
            about_s = 2 * size_bytes / line * (1 if name == "ring" else workers - 1)
            asked.append(f"{name}:{size_bytes}:{int(np.clip(_ENOUGH_S / about_s, _FEWEST, _MOST))}")
    with shaped(workers, f"{rate_mbit}mbit") as hosts:
        said = run_ranks(hosts, [sys.executable, exchanges.__file__, *asked * PASSES])
    taken_s = {}
    for name, size_bytes, *taken in csv.reader(said.splitlines()):
        taken_s.setdefault((name, int(size_bytes)), []).extend(map(float, taken))
    return [(workers, rate_mbit, *key, len(one), min(one), float(np.median(one))) for key, one in taken_s.items()]


def main(table=TABLE, section=SECTION):
    """Calibrate, measure everything, and write both files."""
    calibrate(section)
    rows = [row for workers in WORKERS for rate in RATES_MBIT for row in measured_rows(workers, rate)]
    about = (
        f"{datetime.now(UTC).date()}, Linux {platform.release()}, {os.cpu_count()} cores, torch {torch.__version__}",
        f"network namespaces, tbf burst {BURST} in both directions, MTU {MTU}, {CONGESTION_CONTROL}; real-time ranks",
        f"netsim probe calibrated on {CALIBRATED[0]} workers at {CALIBRATED[1]} Mbit/s: {section.name}",
    )
    with table.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"# {line}\n" for line in about)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["workers", "rate_mbit", "exchange", "size_bytes", "repeats", "least_s", "median_s"])
        writer.writerows((*row[:5], *(f"{seconds:.6f}" for seconds in row[5:])) for row in rows)


if __name__ == "__main__":
    main()
