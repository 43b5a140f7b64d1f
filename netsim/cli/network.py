"""The commands on networks alone: collective, export, calibrate, probe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from netsim.cli.output import check_writable, print_json, say
from netsim.ticker import ticking

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from netsim.calibration import Cluster, Sample
    from netsim.network.transport import Transport


def collective(arguments: argparse.Namespace) -> None:
    """Time one collective alone."""
    from netsim.cli.collective import parse_sizes, parse_topology, parse_transport, parse_workers, time_collective
    from netsim.registry import label
    from netsim.report.text import Column, table
    from netsim.sync import syncs
    from netsim.sync.named import busbw_factor

    topology = parse_topology(arguments.topology, syncs.get(arguments.algorithm)().dedicated_servers)
    transport = parse_transport(arguments.transport)
    group = parse_workers(arguments.workers, topology)
    sizes = parse_sizes(arguments.sizes)
    with ticking("simulating") as tell:
        rows = time_collective(
            topology, arguments.name, sizes, arguments.algorithm, arguments.network, transport, group, tell
        )  # fmt: skip
    if arguments.json:
        print_json([row._asdict() for row in rows])
        return
    workers = len(group)
    heading = [
        f"# {arguments.name} between {workers} workers over {arguments.algorithm}, {arguments.network} network, "
        f"{label(transport)}",
        f"# busbw = algbw x {busbw_factor(arguments.name, workers):.4g}",
    ]
    headings = ("size|(B)", "count|(elements)", "type|", "time|(us)", "algbw|(GB/s)", "busbw|(GB/s)")
    cells = [
        (f"{row.size_bytes:.0f}", f"{row.elements:.0f}", "float", f"{row.time_s * 1e6:.2f}", *map(_rate, row[3:]))
        for row in rows
    ]
    say(arguments, "\n".join([*heading, *table([Column(one) for one in headings], cells)]))


def _rate(bytes_per_s: float) -> str:
    return f"{bytes_per_s / 1e9:.3f}"


def export(arguments: argparse.Namespace) -> None:
    """Write a topology for other tools."""
    from netsim.cli.collective import parse_topology
    from netsim.topology.export import export

    topology = parse_topology(arguments.topology, arguments.servers, "TOPOLOGY")
    export(topology, arguments.out)
    counts = {"workers": len(topology.workers), "nodes": len(topology.names), "links": len(topology.link_src)}
    say(arguments, f"{arguments.out}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items()))
    if arguments.json:
        print_json({"file": str(arguments.out), **counts})


def calibrate(arguments: argparse.Namespace) -> None:
    """Fit a transport to logs of measured times."""
    from netsim.calibration import Hints, read_log
    from netsim.cli.calibration import cluster_as_asked
    from netsim.cli.collective import parse_transport

    check_writable(out=arguments.out, plot=arguments.plot)
    cluster = cluster_as_asked(arguments.bandwidth, arguments.latency, arguments.algorithm)
    transport = parse_transport(arguments.transport)
    hints = Hints(arguments.operation, arguments.workers, arguments.column)
    samples = [sample for log in arguments.logs for sample in read_log(log, hints)]
    _fit(arguments, samples, transport, cluster, [log.name for log in arguments.logs])


def probe(arguments: argparse.Namespace) -> None:
    """Measure on these machines, and fit a transport."""
    from netsim.calibration import probe, table
    from netsim.cli.calibration import cluster_as_asked
    from netsim.cli.collective import parse_sizes, parse_transport
    from netsim.writing import write_text

    check_writable(out=arguments.out, log=arguments.log, plot=arguments.plot)
    rank, _ = probe.rank_and_size(os.environ)
    cluster = cluster_as_asked(arguments.bandwidth, arguments.latency, arguments.algorithm)
    transport = parse_transport(arguments.transport or "gloo")
    sizes = [max(4, int(size) // 4 * 4) for size in parse_sizes(arguments.sizes)]
    with ticking("measuring", show=rank == 0) as tell:
        samples, backend = probe.probe(sizes, arguments.repeats, arguments.backend, arguments.statistic, tell)
    if rank:
        return
    if arguments.log:
        write_text(arguments.log, table.written(samples, probe.about(backend, arguments.statistic)))
    if not arguments.transport:
        transport = parse_transport(backend)
    _fit(arguments, samples, transport, cluster, ["netsim probe"])


def _fit(
    arguments: argparse.Namespace,
    samples: Sequence[Sample],
    transport: Transport,
    cluster: Cluster,
    sources: Sequence[str],
) -> None:
    from netsim.calibration import fit
    from netsim.cli.calibration import as_json, network_section
    from netsim.report.calibration import fitted
    from netsim.writing import write_text

    found = fit(samples, transport, cluster)
    section = network_section(found, sources)
    if arguments.out:
        write_text(arguments.out, section)
    if arguments.plot:
        from netsim.report.calibration import figure
        from netsim.report.plot import save

        save(figure(found), arguments.plot)
    say(arguments, f"{fitted(found)}\n\n{section}")
    if arguments.json:
        print_json(as_json(found))
