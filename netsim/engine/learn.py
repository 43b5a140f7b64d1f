"""What synchronous workers send and learn, turn by turn; no clock here.

Nothing of it depends on when messages arrive, so that one training serves every bandwidth, topology and most
architectures of a sweep; `engine.pace` says afterwards how long each turn took. Only with a policy it asks the clock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from netsim.compress.base import NonFiniteGradient, schemes
from netsim.engine.adapt import Guide
from netsim.engine.channel import Channel, PartUnderWay
from netsim.engine.checkpoint import load, save
from netsim.engine.coder import owners
from netsim.engine.measure import coding_at, one_thread
from netsim.engine.progress import Progress
from netsim.engine.score import Score
from netsim.optim.base import Synchronous
from netsim.scenario.rules import adapted
from netsim.workload.live import Live

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from numpy.typing import NDArray

    from netsim.compress.base import Scheme
    from netsim.engine.channel import ChannelKey, Part, PartKey
    from netsim.optim.base import Exchange
    from netsim.scenario.schema import Scenario, Train
    from netsim.workload.base import Tensor
    from netsim.workload.live import Objective

SAVED_EVERY_S = 30.0
"""Seconds between two times that a training is kept in its file."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What a training came to; two of one key are the same.

    Attributes:
        key: what it depended on.
        label: of the objective.
        tensors: of the model.
        curve: one mapping a recorded point, without its time.
        status: `target`, `max_epochs` or `diverged`.
        parts: exchanges by their kind.
        turns: for each turn its exchanges in order: the part, and the step in its measurement.
        rel_error, cosine: [turns] of what was received against what was meant.
        update_error, update_cosine: the same, added up over all turns.
        settings: [turns] what a policy has set, empty without one.
    """

    key: Hashable
    label: str
    tensors: tuple[Tensor, ...]
    curve: tuple[dict[str, Any], ...]
    status: str
    parts: tuple[Part, ...]
    turns: tuple[tuple[tuple[int, int], ...], ...]
    rel_error: tuple[float, ...]
    cosine: tuple[float, ...]
    update_error: float
    update_cosine: float
    settings: tuple[float, ...] = ()

    def __eq__(self, other: object) -> bool:
        """Return whether both come of the same training."""
        return isinstance(other, Learned) and self.key == other.key

    def __hash__(self) -> int:
        """Return the key's hash."""
        return hash(self.key)


def learned_key(scenario: Scenario, train: Train) -> Hashable:
    """Return what a training depends on but for its time; scenarios with equal keys can share one."""
    job, optimizer = scenario.job, train.optimizer
    assert isinstance(optimizer, Synchronous)
    split = (job.bucket, job.first_bucket, job.overlap, job.coding_unit, job.grad_accumulation)
    held = tuple(owners(scenario, one) for one in (scenario.scheme, *optimizer.schemes))
    goal = (train.target_of, train.target, train.max_epochs, train.every, train.schedule)
    timed = None if adapted(scenario) is None else replace(scenario, name="", about="", swept=())
    return (
        scenario.workload,
        scenario.scheme,
        optimizer,
        split,
        goal,
        scenario.seed,
        scenario.topology.num_workers,
        held,
        timed,
    )


def learn(scenario: Scenario, train: Train, file: Path | None = None, every_s: float | None = None) -> Learned:
    """Train to the target, to the last epoch, or until it diverges.

    Arithmetic runs on one thread so that results are the same whatever the number of processes. In `file`, where given,
    the training is kept at its end and now and then before, and goes on from there another time.

    Raises:
        InputError: `file` holds something that is no training.
    """
    assert isinstance(scenario.workload, Live)
    # Numbers that overflow are what divergence looks like; it is found and reported.
    with one_thread(), np.errstate(over="ignore", invalid="ignore"):
        problem = scenario.workload.problem(scenario.topology.num_workers, scenario.seed)
        learner = Learner(scenario, train, problem)
        if file is not None and file.exists():
            learner.restore(load(file))
        saved_s, every_s = time.monotonic(), SAVED_EVERY_S if every_s is None else every_s
        while not learner.over:
            learner.turn()
            if file is not None and (
                learner.over or time.monotonic() - saved_s >= (SAVED_EVERY_S if every_s is None else every_s)
            ):
                save(file, learner.kept())
                saved_s = time.monotonic()
        return learner.learned()


class Learner:
    """A training under way."""

    def __init__(self, scenario: Scenario, train: Train, problem: Objective) -> None:
        assert isinstance(train.optimizer, Synchronous)
        self.scenario, self.train, self.problem = scenario, train, problem
        self.optimizer = train.optimizer.accumulating(scenario.job.grad_accumulation)
        self.progress = Progress(train, problem)
        self.state = self.optimizer.init(problem, scenario.seed)
        self.channels: dict[ChannelKey, Channel] = {}
        self.parts: dict[PartKey, PartUnderWay] = {}
        self.turns: list[tuple[tuple[int, int], ...]] = []
        self.scores: list[Score] = []
        policy = adapted(scenario)
        self.guide = None if policy is None else Guide(scenario, train, policy, problem.tensors)
        self.over = self.progress.note(self.optimizer.model(self.state), 0)

    def turn(self) -> None:
        """Run a turn of the optimizer."""
        self._adjust()
        running = self._scheduled().turn(self.problem, self.state)
        known: Any = None
        sent: list[tuple[int, int]] = []
        score = Score()
        try:
            while True:
                exchange = running.send(known)
                self.progress.evaluations += exchange.evaluations * self.problem.workers
                known, place = self._exchange(exchange, score)
                sent.append(place)
        except StopIteration as end:
            self.state = end.value
        except NonFiniteGradient:
            self.progress.stop("diverged")
        if sent:
            self.turns.append(tuple(sent))
            self.scores.append(score)
            self._guided(self.turns[-1])
        self.over = self.progress.note(self.optimizer.model(self.state), len(self.turns))

    def _scheduled(self) -> Synchronous:
        """Return the optimizer with the learning rate of now."""
        share, optimizer = self.train.schedule.share(self.progress.epoch), cast("Any", self.optimizer)
        return cast("Synchronous", optimizer if share == 1 else replace(optimizer, lr=share * optimizer.lr))

    def _adjust(self) -> None:
        """Set what the policy has chosen."""
        if self.guide is None:
            return
        if self.guide.policy.sets == "steps":
            self.state = self.optimizer.lasting(self.state, int(self.guide.setting))
        for (scheme, own, *_), channel in self.channels.items():
            channel.coder.scheme = self._adjusted(scheme, own=own)

    def _adjusted(self, scheme: Scheme, *, own: bool) -> Scheme:
        """Return a channel's scheme with the ratio that the policy has chosen, where it sets one."""
        if self.guide is None or self.guide.policy.sets != "ratio" or own:
            return scheme
        return scheme.keeping(self.guide.setting) or scheme

    def _guided(self, turn: tuple[tuple[int, int], ...]) -> None:
        """Let the policy see a turn that is over."""
        if self.guide is not None:
            keys = list(self.parts)
            self.guide.after((place, self._part(keys[place], step), 0) for place, step in turn)

    def _part(self, key: PartKey, step: int | None = None) -> Part:
        return self.parts[key].finished(key, self.channels[key[0]], step)

    def _exchange(self, exchange: Exchange, score: Score) -> tuple[NDArray[Any] | None, tuple[int, int]]:
        """Return what all know afterwards, and the part and step of the exchange."""
        name, channel = self._channel(exchange)
        result, stages = channel.exchange(exchange, score)
        variants = coding_at(channel.coder.scheme, channel.count - 1) if stages else ()
        passes = exchange.passes * self.scenario.job.grad_accumulation
        key = (name, passes, exchange.evaluations / passes, exchange.updates, exchange.overlaps, bool(stages))
        part = self.parts.setdefault(key, PartUnderWay(len(self.parts)))
        part.stages.append(stages)
        part.variants.append(variants)
        return result, (part.number, len(part.stages) - 1)

    def _channel(self, exchange: Exchange) -> tuple[ChannelKey, Channel]:
        """Return what carries an exchange, with its states, and the key of it."""
        scheme, own = exchange.code, True
        if isinstance(scheme, str):
            own, scheme = False, self.scenario.scheme if scheme == "scenario" else schemes.get("none")()
        key = (scheme, own, exchange.fused, exchange.buffers)
        if key not in self.channels:
            self.channels[key] = self._opened(key)
        return key, self.channels[key]

    def _opened(self, key: ChannelKey) -> Channel:
        scheme, own, fused, _ = key
        return Channel(self.scenario, self._adjusted(scheme, own=own), self.problem, own=own, fused=fused)

    def kept(self) -> dict[str, Any]:
        """Return all that changes while it trains, for `checkpoint.save`."""
        return {
            "state": self.state,
            "channels": {
                key: (one.count, one.coder.states, one.coder.update.sums) for key, one in self.channels.items()
            },
            "parts": {key: (one.stages, one.variants) for key, one in self.parts.items()},
            "turns": self.turns,
            "scores": [(one.error2, one.mean2, one.estimate2, one.dot) for one in self.scores],
            "progress": self.progress.kept(),
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Go on where `kept` was taken."""
        self.state, self.turns = kept["state"], kept["turns"]
        for key, (count, states, sums) in kept["channels"].items():
            channel = self.channels[key] = self._opened(key)
            channel.count, channel.coder.states, channel.coder.update.sums = count, states, sums
        for key, (stages, variants) in kept["parts"].items():
            part = self.parts[key] = PartUnderWay(len(self.parts))
            part.stages, part.variants = stages, variants
        self.scores = [Score(*one) for one in kept["scores"]]
        self.progress.restore(kept["progress"])
        for turn in self.turns:  # a clock is not kept: what it told is told again
            self._guided(turn)
        self.over = bool(self.progress.status)

    def learned(self) -> Learned:
        """Return what the training has come to so far."""
        update = Score()
        for channel in self.channels.values():
            update.join(channel.coder.update.score())
        return Learned(
            learned_key(self.scenario, self.train),
            self.problem.label,
            self.problem.tensors,
            tuple(self.progress.curve),
            self.progress.status,
            tuple(self._part(key) for key in self.parts),
            tuple(self.turns),
            tuple(one.rel_error for one in self.scores),
            tuple(one.cosine for one in self.scores),
            update.rel_error,
            update.cosine,
            () if self.guide is None else tuple(self.guide.settings),
        )
