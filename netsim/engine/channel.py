"""What carries the exchanges of a training, and what each kind of exchange has sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from netsim.engine.buckets import Bucket, make_buckets
from netsim.engine.coder import Coder
from netsim.engine.measure import Measurement, measurement
from netsim.engine.score import Score
from netsim.engine.stage import Stage
from netsim.lazy import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.compress.base import Scheme
    from netsim.optim.base import Exchange
    from netsim.registry import Variant
    from netsim.scenario.schema import Scenario
    from netsim.workload.live import Objective

Stages: TypeAlias = "tuple[tuple[Stage, ...], ...]"
ChannelKey: TypeAlias = "tuple[Scheme, bool, bool, str]"
PartKey: TypeAlias = "tuple[ChannelKey, int, float, int, bool, bool]"


@dataclass(frozen=True, eq=False)
class Part:
    """Exchanges that differ in what is sent at most.

    Attributes:
        passes: forward and backward passes before each.
        samples: of one pass.
        updates: optimizer steps that belong to each.
        overlaps: whether buckets are sent while the last backward pass goes on.
        measurement: what is sent, a step for each exchange.
    """

    passes: int
    samples: float
    updates: int
    overlaps: bool
    measurement: Measurement


class Channel:
    """Carries values by one scheme, in buckets of its own; keeps every worker's state."""

    def __init__(self, scenario: Scenario, scheme: Scheme, problem: Objective, *, own: bool, fused: bool) -> None:
        self.tensors = problem.tensors
        self.count = 0
        self.buckets: tuple[Bucket, ...]
        if fused:
            self.buckets = (Bucket(0, len(self.tensors)),)
        elif own:
            self.buckets = tuple(Bucket(place, place + 1) for place in range(len(self.tensors)))
        else:
            self.buckets = tuple(make_buckets(self.tensors, scenario.job))
        flat = fused or (not own and scenario.job.coding_unit == "bucket")
        self.coder = Coder(scenario, scheme, self.tensors, range(problem.workers), flat=flat)

    def exchange(self, exchange: Exchange, score: Score) -> tuple[NDArray[Any] | None, Stages]:
        """Return the estimate [d] of the mean, and the collectives of each bucket."""
        if exchange.values is None:
            return None, ()
        sizes = [one.numel for one in self.tensors]
        flat = [torch.from_numpy(np.ascontiguousarray(one)).float() for one in exchange.values]
        split = [torch.split(one, sizes) for one in flat]
        stages, estimates = [], []
        for bucket in self.buckets:
            span = range(bucket.first, bucket.last)
            of_worker = [[one[place].view(self.tensors[place].shape) for place in span] for one in split]
            coded, known = self.coder.code(bucket, of_worker, f"in exchange {self.count}", score)
            stages.append(coded)
            estimates += [one.reshape(-1) for one in known]
        self.count += 1
        return torch.cat(estimates).numpy(), tuple(stages)


class PartUnderWay:
    """Gathers what is sent in a part."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.stages: list[Stages] = []
        self.variants: list[tuple[Variant, ...]] = []

    def finished(self, key: PartKey, channel: Channel, step: int | None = None) -> Part:
        """Return the part, or one of a single step of it."""
        _, passes, samples, updates, overlaps, sends = key
        chosen = slice(None) if step is None else slice(step, step + 1)
        stages, variants = self.stages[chosen], self.variants[chosen]
        count = len(stages)
        made = measurement(
            channel.buckets if sends else (),
            channel.tensors,
            channel.coder,
            stages,
            (0,) * count,
            tuple(variants),
            [Score()] * count,
        )
        return Part(passes, samples, updates, overlaps, made)
