"""Codes one bucket after another through a scheme, for every worker, and judges what is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.compress.base import Peer
from netsim.compress.drive import exchange
from netsim.engine.score import Score, Update
from netsim.engine.stage import Stage, fuse, sent
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netsim.compress.base import Scheme
    from netsim.engine.buckets import Bucket
    from netsim.scenario.schema import Scenario
    from netsim.workload.base import Tensor

JUDGED = 2**22
"""Elements of an estimate that are compared with the mean gradient, in float64, at a time."""


def owners(scenario: Scenario, scheme: Scheme) -> int:
    """Return the number of shard owners where a scheme has any, else 0: what travels does not depend on it."""
    return scenario.sync.owners(scenario.topology.num_workers) if "owner" in scheme.ops else 0


class Coder:
    """Codes bucket after bucket, keeping each worker's state of each unit."""

    def __init__(
        self, scenario: Scenario, scheme: Scheme, tensors: Sequence[Tensor], ranks: range, *, flat: bool
    ) -> None:
        self.scheme, self.tensors, self.ranks, self.flat = scheme, tensors, ranks, flat
        self.seed = scenario.seed
        self.simulated = scenario.topology.num_workers
        self.owners = owners(scenario, scheme) or len(ranks)
        self.states: dict[int, list[Any]] = {}
        self.update = Update(sized=not scheme.scale_free)
        self.adds_up = True
        """Whether there are several steps, the sums of which have to be kept."""
        self.ends = False
        """Whether this is the last step, after which nobody asks for a state."""

    def code(
        self, bucket: Bucket, of_worker: Sequence[Iterable[torch.Tensor]], when: str, score: Score | None
    ) -> tuple[tuple[Stage, ...], list[torch.Tensor]]:
        """Exchange the tensors of one bucket; return its collectives, and the estimates of its units.

        Tensors are taken one after the other, so that they may be read as they are asked for. Nobody asks what a step
        without a `score` loses.
        """
        if self.flat:
            of_worker = [[torch.cat([one.reshape(-1) for one in tensors])] for tensors in of_worker]
        units, estimates = [], []
        for place, grads in enumerate(zip(*of_worker, strict=True)):
            key, name = bucket.first + place, self.tensors[bucket.first + place].name
            states = self.states.get(key) or self._states(grads[0].shape, key)
            outcome = exchange(self.scheme, grads, states, f"gradient of {name!r} {when}")
            if self.ends:
                self.states.pop(key, None)
            else:
                self.states[key] = outcome.states
            units.append(sent(outcome, self.owners))
            estimates.append(outcome.mean)
            if score is not None:
                self._judge(key, [one.reshape(-1) for one in (outcome.mean, *grads)], score)
        return fuse(units), estimates

    def _judge(self, key: int, flat: Sequence[torch.Tensor], score: Score) -> None:
        """Judge an estimate by the gradients that follow it, in blocks where the whole of both is not kept."""
        size = len(flat[0]) if self.adds_up else JUDGED
        for first in range(0, len(flat[0]), max(size, 1)):
            estimate, *grads = (one[first : first + size] for one in flat)
            exact = estimate.double(), _mean(grads)
            score.add(*exact, sized=self.update.sized)
            if self.adds_up:
                self.update.add(key, *exact)

    def _states(self, shape: torch.Size, key: int) -> list[Any]:
        """Return fresh states; every unit has a seed of its own, so that tensors of one shape draw unlike noise."""
        seed = int(np.random.SeedSequence((self.seed, key)).generate_state(1)[0])
        peers = [Peer(rank, len(self.ranks), self.owners, seed, self.simulated) for rank in self.ranks]
        return [self.scheme.init(shape, peer) for peer in peers]


def _mean(grads: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the mean [d] in float64, which is all that is held of it."""
    mean = grads[0].reshape(-1).double()
    for grad in grads[1:]:
        mean += grad.reshape(-1)
    return mean.div_(len(grads))
