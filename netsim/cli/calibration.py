"""The options of `netsim calibrate` and `netsim probe` as what they mean, and the files that both write."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from netsim.calibration import Cluster, Fit
from netsim.errors import InputError
from netsim.report.calibration import intervals, summary
from netsim.scenario.dump import transport_yaml
from netsim.sync import syncs
from netsim.units import BANDWIDTH, DURATION, format_bandwidth, format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.network.transport import Transport
    from netsim.units import Quantity


def cluster_as_asked(bandwidth: str | None, latency: str, algorithm: str) -> Cluster:
    """Return where a log was measured, from the texts of the options; raise InputError for what is wrong with one."""
    syncs.get(algorithm)
    rate = None if bandwidth is None else _quantity(BANDWIDTH, bandwidth, "--bandwidth")
    return Cluster(rate, _quantity(DURATION, latency, "--latency"), algorithm)


def _quantity(quantity: Quantity, text: str, option: str) -> float:
    try:
        return quantity.parse(text)
    except InputError as error:
        raise InputError(error.problem, error.remedy, option) from error


def network_section(found: Fit, sources: Sequence[str]) -> str:
    """Return the fit as the `network` section of a scenario, what it rests on in comments above it."""
    said = [
        f"{datetime.now(UTC).date().isoformat()}, fitted to {len(found.samples)} samples of {', '.join(sources)}",
        *intervals(found), summary(found), *found.notes, _place(found.cluster),
    ]  # fmt: skip
    rounded = _rounded(found)
    return "".join(f"# {line}\n" for line in said) + transport_yaml(rounded, list(found.estimates))


def _place(cluster: Cluster) -> str:
    """Return where the section goes, and what the scenario's topology must be for it to hold."""
    given = [] if cluster.bandwidth is None else [f"bandwidth {format_bandwidth(cluster.bandwidth)}"]
    given += [f"latency {format_duration(cluster.latency)}"] if cluster.latency else []
    holds = f", whose topology has {' and '.join(given)}" if given else ""
    return f"put this in the place of the network section of a scenario{holds}"


def _rounded(found: Fit) -> Transport:
    fields: dict[str, Any] = {name: float(f"{one.value:.4g}") for name, one in found.estimates.items()}
    return replace(found.transport, **fields)  # type: ignore[type-var]


def as_json(found: Fit) -> dict[str, Any]:
    """Return the fit for machines: fields with their intervals, samples with predictions, notes."""
    estimates = {
        name: {key: value if value == value else None for key, value in vars(one).items()}
        for name, one in found.estimates.items()
    }  # fmt: skip
    samples = [
        vars(one) | {"predicted_s": predicted}
        for one, predicted in zip(found.samples, found.predicted_s.tolist(), strict=True)
    ]
    return {"transport": found.transport.kind, "fitted": estimates, "samples": samples, "notes": list(found.notes)}
