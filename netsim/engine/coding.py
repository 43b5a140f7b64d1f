"""Seconds that coding takes in each bucket, by the cost model: on the workers' devices and at the owners of shards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from netsim.engine.buckets import FLOAT32_BYTES
from netsim.engine.sparsity import fit_growth, union_densities
from netsim.engine.stage import shares
from netsim.sync.base import Payload, carrier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from netsim.engine.measure import Measurement
    from netsim.engine.stage import Stage
    from netsim.registry import Variant
    from netsim.scenario.schema import Scenario
    from netsim.sync.base import Piece, Sync
    from netsim.workload.cost import CostModel, Seconds


@dataclass(frozen=True)
class Exchange:
    """One collective of a bucket, ready to be simulated.

    Attributes:
        payload: what the architecture has to carry.
        sync: the architecture that carries it.
        encode_s: seconds a worker's device takes before it can start.
        decode_s: seconds a worker's device takes once it is over.
    """

    payload: Payload
    sync: Sync
    encode_s: float
    decode_s: float

    def part(self, piece: Piece) -> Exchange:
        """Return the exchange of a piece by itself; coding remains that of the whole."""
        if piece.share == 1:
            return self
        names = "up_bytes", "down_bytes", "decode_s", "encode_s", "union_bytes"
        parts = {name: getattr(self.payload, name) * piece.share for name in names}
        return replace(self, payload=replace(self.payload, **parts))


class Coding:
    """Turns measured stages into exchanges with costs, for one scenario."""

    def __init__(self, scenario: Scenario, measurement: Measurement) -> None:
        self.scenario = scenario
        self.measurement = measurement
        self.num_workers = scenario.topology.num_workers

    def exchanges(self, step: int, bucket: int) -> list[Exchange]:
        """Return the collectives of one bucket at one step, in order.

        Encoding is shared evenly by the collectives of a bucket. A sum is decoded once, at the end; gathered messages
        are all decoded. Every coded unit of a bucket is a call of its own (Cupcake, MLSys'23, 3.1).
        """
        units = self.measurement.units[bucket]
        stages = self.measurement.stages[step][bucket]
        encode_s, decode_s = self._seconds(step, units)
        found = []
        for place, stage in enumerate(stages):
            sync = carrier(self.scenario.sync, stage.op)
            last = place == len(stages) - 1
            decodes = sync.decodes(stage.op, self.num_workers) if last else 0
            payload = self._payload(bucket, stage, sync, (encode_s, decode_s))
            found.append(Exchange(payload, sync, encode_s / len(stages), decode_s * decodes))
        return found

    def pieces(self, bucket: int) -> list[Piece]:
        """Return the pieces that a bucket is cut into, which are the same for all its collectives and at every step."""
        sizes, (first, _) = self.measurement.sizes[bucket], self.measurement.buckets[bucket]
        return self.scenario.sync.pieces(Payload("sum", np.zeros(0), 0.0, sizes, first))

    def _seconds(self, step: int, units: NDArray[np.int64]) -> tuple[float, float]:
        """Return seconds to encode all units of a bucket, and to decode one message of each."""
        costs = [self.scenario.cost.coding(one) for one in self.measurement.variants[step]]
        encode_s = sum(_calls_s(cost.encode, units) for cost in costs)
        return encode_s, sum(_calls_s(cost.decode, units) for cost in costs)

    def _payload(self, bucket: int, stage: Stage, sync: Sync, coding_s: tuple[float, float]) -> Payload:
        units, (first, _) = self.measurement.units[bucket], self.measurement.buckets[bucket]
        up_bytes = stage.up_bytes[np.arange(self.num_workers) % len(stage.up_bytes)]
        add_s = _calls_s(self.scenario.cost.aggregate(), units)
        encode_s, decode_s = coding_s
        owner = stage.op == "owner"
        down_bytes = {
            "sum": float(up_bytes.max()),
            "merge": float(up_bytes.max()),
            "union": 0.0,
            "owner": float(self._handed_out(stage).sum()),
            "gather": float(self._aggregate_bytes(stage).sum()),
        }
        up_shares, down_shares = self._shares(bucket, stage, sync)
        return Payload(
            stage.op,
            up_bytes,
            down_bytes[stage.op],
            self.measurement.sizes[bucket],
            first,
            decode_s=add_s if stage.op == "sum" else add_s + decode_s,
            encode_s=encode_s if owner else 0.0,
            up_shares=up_shares,
            down_shares=down_shares,
            union_bytes=self._union_bytes(stage) if stage.op == "union" else np.zeros(0),
        )

    def _shares(self, bucket: int, stage: Stage, sync: Sync) -> tuple[NDArray[np.float64] | None, ...]:
        """Return which part of each message goes to each owner or server, and which part of the aggregate they hold."""
        (first, _), tensors = self.measurement.buckets[bucket], len(self.measurement.sizes[bucket])
        holders = sync.holders(first, tensors)
        if holders is None:
            return stage.up_shares, stage.down_shares
        if stage.places is None or stage.unit_bytes is None or len(self.measurement.units[bucket]) != tensors:
            return None, None
        down_bytes = {
            "owner": self._handed_out(stage),
            "gather": self._aggregate_bytes(stage),
        }.get(stage.op, stage.unit_bytes[np.argmax(stage.up_bytes)])
        at, owners = holders[stage.places], sync.owners(self.num_workers)
        held = np.vstack([stage.unit_bytes, down_bytes])
        each = shares(np.stack([np.bincount(at, one, owners) for one in held]).astype(np.float64))
        return each[:-1], each[-1]

    def _handed_out(self, stage: Stage) -> NDArray[np.float64]:
        """Return [u] bytes of the aggregate as its owners hand it out, of all workers."""
        down_bytes = np.array([stage.down_bytes]) if stage.unit_down_bytes is None else stage.unit_down_bytes
        if stage.sum_bits is None:
            return down_bytes
        bits = self._sum_bits(stage)
        return np.asarray(down_bytes * bits[:, -1] / bits[:, min(len(stage.up_bytes), self.num_workers) - 1])

    def _union_bytes(self, stage: Stage) -> NDArray[np.float64]:
        """Return [n] bytes of a sum of 1..n workers' messages, in the mean over the choices of workers."""
        assert stage.unit_bytes is not None
        bits = self._sum_bits(stage)
        return np.asarray(stage.unit_bytes.mean(axis=0) @ (bits / bits[:, :1]))

    def _sum_bits(self, stage: Stage) -> NDArray[np.float64]:
        """Return [u, n] bits of what 1..n workers hold together: measured, and beyond by the fitted curve."""
        assert stage.sum_bits is not None
        measured = len(stage.up_bytes)
        items = stage.held.sum(axis=1, keepdims=True)
        held = items * np.stack([union_densities(one) for one in stage.held])
        if self.num_workers > measured:
            curve = fit_growth(union_densities(stage.held.sum(axis=0))).up_to(self.num_workers)
            growth = curve[measured:] / curve[measured - 1] if curve[measured - 1] else np.ones(len(curve) - measured)
            held = np.hstack([held, np.minimum(held[:, -1:] * growth, items)])
        fixed, each, most = stage.sum_bits[:, :, None].transpose(1, 0, 2)
        return np.asarray(np.minimum(fixed + each * held[:, : self.num_workers], most))

    def _aggregate_bytes(self, stage: Stage) -> NDArray[np.float64]:
        """Return [u] bytes of a sum that a server hands out: sparse (value and index) or dense, whichever is less."""
        if not len(stage.held):
            return np.zeros(len(stage.units))
        elements = np.maximum(stage.units, 1)
        density = np.minimum((stage.units - stage.held[:, 0]) / elements * self._growth(stage), 1.0)
        index_bits = np.ceil(np.log2(elements))
        sparse = density * stage.units * (32 + index_bits) / 8
        return np.asarray(np.minimum(sparse, stage.units * FLOAT32_BYTES))

    def _growth(self, stage: Stage) -> float:
        """Return how much denser the union of all workers is than that of the measured ones, by the fitted curve."""
        measured = len(stage.up_bytes)
        if self.num_workers <= measured:
            return 1.0
        curve = fit_growth(union_densities(stage.held.sum(axis=0)))
        return curve(self.num_workers) / curve(measured) if curve.density else 1.0


def assumed(cost: CostModel, variants: Iterable[tuple[Variant, ...]]) -> str:
    """Return which variants of schemes take the times of others, and of which."""
    notes = (cost.coding(one).note for of_step in variants for one in of_step)
    return "; ".join(dict.fromkeys(note for note in notes if note))


def _calls_s(cost: Seconds, units: NDArray[np.int64]) -> float:
    return float(sum(cost(int(elements)) for elements in units))
