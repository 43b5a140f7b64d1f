"""What no single field can tell: keys that are written and change nothing."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from netsim.conditions.packet_loss import PacketLoss
from netsim.optim.base import Synchronous
from netsim.scenario.schema import Job, Schedule
from netsim.sync.parameter_server import ParameterServer
from netsim.workload.problems import LiveTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.compress.base import Scheme
    from netsim.policy import Policy
    from netsim.scenario.schema import Scenario


@dataclass(frozen=True)
class Rule:
    """A written key that changes nothing where `idle` holds: an error unless some point of the file uses it.

    `allowed` are values that say what holds anyway.
    """

    key: str
    idle: Callable[[Scenario], bool]
    problem: str
    remedy: str
    allowed: tuple[str, ...] = ()


RULES = (
    Rule(
        "job.bucket",
        lambda one: one.job.overlap == "per_tensor",
        "has no effect with `overlap: per_tensor`, which exchanges every tensor by itself",
        "remove it, or choose `overlap: ddp`",
    ),
    Rule(
        "job.first_bucket",
        lambda one: one.job.overlap == "per_tensor",
        "has no effect with `overlap: per_tensor`, which exchanges every tensor by itself",
        "remove it, or choose `overlap: ddp`",
    ),
    Rule(
        "job.coding_unit",
        lambda one: one.job.overlap == "per_tensor",
        "has no effect with `overlap: per_tensor`, where a bucket is a tensor",
        "remove it, or choose `overlap: ddp`",
    ),
    Rule(
        "job.straggler.spread",
        lambda one: one.job.straggler.distribution == "none",
        "has no effect without a distribution",
        "add `distribution: lognormal` beside it, or remove it",
        allowed=("0", "0.0"),
    ),
    Rule(
        "job.straggler.distribution",
        lambda one: one.job.straggler.distribution != "none" and not one.job.straggler.spread,
        "has no effect with a spread of 0",
        "add for example `spread: 0.2` beside it, or remove it",
    ),
    Rule(
        "job.checkpoint.every",
        lambda one: not one.job.checkpoint.write and not any(it.touches_workers for it in one.conditions),
        "has no effect where saving takes no time and no node fails",
        "add for example `write: 1 s` beside it, or a `node_failure` to `conditions`, or remove it",
        allowed=("0",),
    ),
    Rule(
        "job.checkpoint.write",
        lambda one: not one.job.checkpoint.every,
        "has no effect without checkpoints",
        "add for example `every: 100` beside it, or remove it",
        allowed=("0", "0 s", "0 ns"),
    ),
    Rule(
        "job.checkpoint.restart",
        lambda one: not one.job.checkpoint.every or not any(it.touches_workers for it in one.conditions),
        "has no effect without checkpoints, or where no node fails",
        "add `every: 100` beside it and a `node_failure` to `conditions`, or remove it",
        allowed=("0", "0 s", "0 ns"),
    ),
    Rule(
        "network.transport",
        lambda one: one.network.kind == "ideal",
        "has no effect on the `ideal` network, where every transfer takes no time",
        "remove it, or choose `kind: flow`",
        allowed=("ideal", "{kind: ideal}"),
    ),
    Rule(
        "network.transport.congestion",
        lambda one: one.network.kind != "packet" and not any(isinstance(it, PacketLoss) for it in one.conditions),
        "has no effect where no packet is lost",
        "add a `packet_loss` to `conditions`, or remove it",
        allowed=("cubic",),
    ),
    Rule(
        "network.transport.congestion",
        lambda one: one.network.kind == "packet",
        "has no effect on the `packet` network, which has a congestion control of its own",
        "write it beside `kind: packet`",
    ),
    *(
        Rule(
            key,
            lambda one: one.network.kind == "packet",
            "has no effect on the `packet` network, where rounds wait for whole chunks",
            "remove it, or choose `kind: flow`",
            allowed=("null",),
        )
        for key in ("network.transport.slice", "network.transport.slices_in_flight")
    ),
    *(
        Rule(
            key,
            lambda one: one.transport.segment is None,
            "has no effect: the transport of this scenario has no windows",
            "remove it, or choose a transport over TCP: tcp, nccl, gloo or mpi",
            allowed=("[]",),
        )
        for key in ("topology.windows", "topology.cluster.windows")
    ),
    Rule(
        "topology.server_bandwidth",
        lambda one: not one.sync.dedicated_servers,
        "has no effect: no architecture of this scenario has dedicated servers",
        "remove it, or add a parameter_server with dedicated servers to `sync`",
        allowed=("null",),
    ),
    Rule(
        "job.credit",
        lambda one: not isinstance(one.sync, ParameterServer),
        "has no effect: no architecture of this scenario is a parameter server",
        "remove it, or add a parameter_server to `sync`",
        allowed=("null",),
    ),
    Rule(
        "topology.cards_per_server",
        lambda one: not one.sync.dedicated_servers,
        "has no effect: no architecture of this scenario has dedicated servers",
        "remove it, or add a parameter_server with dedicated servers to `sync`",
        allowed=("1",),
    ),
    *(
        Rule(
            f"job.{key.name}",
            lambda one: one.train is not None and not learns(one),
            "has no effect with optimizers for linear models, or asynchronous ones",
            "remove it; `job.straggler` is what they use",
        )
        for key in fields(Job)
        if key.name not in {"straggler", "steps", "skip_steps"}
    ),
    *(
        Rule(
            key,
            lambda one: one.train is not None,
            "has no effect on training, which goes on until its target",
            "remove it, or set `train.max_epochs`",
        )
        for key in ("job.steps", "job.skip_steps")
    ),
    Rule(
        "train.policy",
        lambda one: adapted(one) is None and not _sets(one, "ratio"),
        "has no effect: nothing here does local steps that it could set",
        "use `optimizer: {kind: local_sgd}`, or remove it",
        allowed=("null",),
    ),
    Rule(
        "train.policy",
        lambda one: adapted(one) is None and not _sets(one, "steps"),
        "has no effect: no scheme here has a ratio that it could set",
        "add one to `schemes` that keeps a `ratio` of the elements, such as topk, or remove it",
        allowed=("null",),
    ),
    Rule(
        "train.gradient_time",
        lambda one: isinstance(one.workload, LiveTask) and one.workload.timing is not None,
        "has no effect where the workload's `timing` gives the seconds of a pass",
        "remove one of them",
    ),
    Rule(
        "train.slow_workers",
        lambda one: one.train is not None and one.train.speed_spread == 1,
        "has no effect where all workers are equally fast",
        "add for example `speed_spread: 5` beside it, or remove it",
        allowed=("null",),
    ),
    *(
        Rule(
            f"train.schedule.{key.name}",
            lambda one: not learns(one),
            "has no effect with optimizers for linear models, or asynchronous ones",
            "remove it, or train with another optimizer; see `netsim list optimizers`",
        )
        for key in fields(Schedule)
    ),
    Rule(
        "train.schedule.rise",
        lambda one: one.train is not None and one.train.schedule.begin == 1,
        "has no effect where the learning rate begins as it is",
        "add for example `begin: 0.1` beside it, or remove it",
        allowed=("0", "0.0"),
    ),
    Rule(
        "train.schedule.begin",
        lambda one: one.train is not None and not one.train.schedule.rise,
        "has no effect where the learning rate does not rise",
        "add for example `rise: 1` beside it, or remove it",
        allowed=("1", "1.0"),
    ),
    Rule(
        "train.schedule.factor",
        lambda one: one.train is not None and one.train.schedule.every is None,
        "has no effect where the learning rate does not fall",
        "add for example `every: 1` beside it, or remove it",
    ),
    Rule(
        "cost",
        lambda one: one.scheme.kind == "none" and "owner" not in one.sync.carries,
        "has no effect: nothing is encoded, and no owner or server adds messages",
        "remove it, or add a scheme that compresses",
    ),
)


def learns(scenario: Scenario) -> bool:
    """Return whether a point's training does not depend on time, and so is measured once for all clusters."""
    train = scenario.train
    return train is not None and isinstance(train.optimizer, Synchronous) and not train.optimizer.linear


def adapted(scenario: Scenario) -> Policy | None:
    """Return the policy of a point whose training depends on time in that it sets something, or None."""
    train = scenario.train
    if train is None or train.policy is None or not learns(scenario):
        return None
    assert isinstance(train.optimizer, Synchronous)
    able = train.optimizer.adjustable if train.policy.sets == "steps" else _keeps(scenario.scheme)
    return train.policy if able else None


def _keeps(scheme: Scheme) -> bool:
    return scheme.keeping(1.0) is not None


def _sets(scenario: Scenario, what: str) -> bool:
    train = scenario.train
    return train is not None and train.policy is not None and train.policy.sets == what
