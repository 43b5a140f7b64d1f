"""What no single field can tell: keys without effect, and schemes that no collective of an architecture can carry."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from netsim.conditions.packet_loss import PacketLoss
from netsim.errors import InputError
from netsim.optim.base import Asynchronous, Synchronous, optimizers
from netsim.scenario.schema import Job
from netsim.sync.base import syncs
from netsim.sync.parameter_server import ParameterServer
from netsim.workload.live import Live
from netsim.workload.problems import LiveTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netsim.compress.base import Scheme
    from netsim.optim.base import Optimizer
    from netsim.policy import Policy
    from netsim.scenario.schema import Scenario
    from netsim.sync.base import Sync
    from netsim.topology.base import TopologyKind
    from netsim.workload.base import Workload


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
    Rule(
        "cost",
        lambda one: one.scheme.kind == "none" and "owner" not in one.sync.carries,
        "has no effect: nothing is encoded, and no owner or server adds messages",
        "remove it, or add a scheme that compresses",
    ),
)


def carries(sync: Sync, op: str) -> bool:
    """Return whether an architecture carries messages of an op, by itself or by its fallback.

    What owners reduce (`owner`, and `shard` on its way back) has no fallback: it needs the owners.
    """
    if op in {"owner", "shard"}:
        return "owner" in sync.carries
    return op in sync.carries or (bool(sync.fallback) and op in syncs.get(sync.fallback).carries)


def untrainable(scenario: Scenario) -> Iterator[InputError]:
    """Yield why a scenario cannot train, or why it must: a live workload is there for `train`, and `train` for it."""
    train = scenario.train
    if train is None:
        if isinstance(scenario.workload, Live):
            yield InputError(
                f"workload {scenario.workload.kind!r} is live: it holds no recorded gradients",
                "add `train: {optimizer: central_vr_sync}`, or replay a trace with `kind: recorded`",
                "workload",
            )
        return
    yield from _unfit(train.optimizer, scenario.workload)
    yield from _slowed(train.slow_workers or 0, scenario.topology)
    if scenario.conditions and learns(scenario) and isinstance(scenario.sync, ParameterServer):
        problem = f"conditions would come anew at every turn of optimizer {train.optimizer.kind!r}"
        remedy = "use a collective such as ring, or an asynchronous optimizer, whose events lie on one clock"
        yield InputError(f"{problem}: turns over a parameter server are timed one by one", remedy, "conditions")
    elif scenario.conditions and learns(scenario) and scenario.job.scheduling == "priority":
        problem = f"conditions would come anew at every turn of optimizer {train.optimizer.kind!r}"
        remedy = "use `scheduling: order`, or remove `conditions`"
        yield InputError(f"{problem}: turns by priority are timed one by one", remedy, "job.scheduling")
    if scenario.scheme.kind != "none" and not train.optimizer.coded:
        problem = f"scheme {scenario.scheme.kind!r} has no effect with optimizer {train.optimizer.kind!r}"
        yield InputError(problem, "remove `schemes:`", "schemes")
    yield from _misplaced(train.optimizer, scenario)


def _slowed(slow: int, topology: TopologyKind) -> Iterator[InputError]:
    """Yield that more workers are to be slow than there are."""
    with suppress(InputError):  # what is wrong with a topology is told of it
        if slow > topology.num_workers:
            problem = f"{slow} workers of {topology.num_workers} are to be slow"
            yield InputError(problem, "name no more than there are", "train.slow_workers")


def _unfit(optimizer: Optimizer, workload: Workload) -> Iterator[InputError]:
    """Yield why an optimizer has no meaning, or nothing to do, on a workload."""
    if not isinstance(workload, Live):
        problem = f"workload {workload.kind!r} is a recording, which cannot be trained"
        yield InputError(problem, "use a live workload such as `kind: ridge`, or remove `train:`", "workload")
    elif not workload.linear and optimizer.linear:
        problem = f"optimizer {optimizer.kind!r} is for linear models, and workload {workload.kind!r} is"
        able = ", ".join(name for name in optimizers if not optimizers.get(name).linear)
        yield InputError(f"{problem} none", f"use one of {able}", "train.optimizer")
    elif workload.linear and optimizer.matrices:
        problem = f"optimizer {optimizer.kind!r} has nothing to do in workload {workload.kind!r}"
        remedy = "use a network, `kind: live`, or another optimizer, such as momentum"
        yield InputError(f"{problem}, a linear model: its only tensor is a vector", remedy, "train.optimizer")


def unsaved(scenario: Scenario) -> Iterator[InputError]:
    """Yield that a job cannot keep checkpoints: its steps overlap, or its turns lie on no one clock."""
    if scenario.job.scheduling == "priority" and scenario.job.checkpoint.every:
        problem = "keeps no checkpoints: a step by priority begins before the one before it has been updated"
        yield InputError(problem, "use `scheduling: order`, or `checkpoint: {every: 0}`", "job.scheduling")
    sync = scenario.sync
    if isinstance(sync, ParameterServer) and learns(scenario) and scenario.job.checkpoint.every:
        problem = "no checkpoints of a training over a parameter server: its turns are timed one by one"
        yield InputError(problem, "use a collective such as ring, or `checkpoint: {every: 0}`", "job.checkpoint")
    goes_on = isinstance(sync, ParameterServer) and bool(sync.staleness) and sync.local_aggregation
    if goes_on and scenario.job.checkpoint.every:
        problem = "with `staleness`, the machine of a worker that fails cannot go on without it, nor add up for it"
        yield InputError(problem, "use `local_aggregation: false`, or `checkpoint: {every: 0}`", "sync")


def outlasted(scenario: Scenario) -> Iterator[InputError]:
    """Yield that a scheme's warm-up outlasts the job, so that nothing is ever compressed."""
    scheme, steps = scenario.scheme, scenario.job.skip_steps + scenario.job.steps
    if scenario.train is None and scheme.chain_at(steps - 1) != scheme.chain():
        problem = f"scheme {scheme.label!r} is still warming up when the job's {steps} steps are over"
        yield InputError(problem, "give it fewer `steps`, or the job more: `job: {steps: ...}`", "schemes")


def _misplaced(optimizer: Optimizer, scenario: Scenario) -> Iterator[InputError]:
    """Yield why an optimizer cannot run on a cluster."""
    sync = scenario.sync
    try:
        optimizer.check(scenario.topology.num_workers)
    except InputError as error:
        yield InputError(error.problem, error.remedy, "train.optimizer")
    if isinstance(optimizer, Asynchronous) and not sync.dedicated_servers:
        yield InputError(
            f"optimizer {optimizer.kind!r} is asynchronous, and sync {sync.kind!r} has no server of its own",
            "use `sync: {kind: parameter_server, servers: 1}` with dedicated placement",
            "train.optimizer",
        )
    yield from _unused(optimizer, sync)
    if isinstance(optimizer, Synchronous):
        for problem in filter(None, (impossible(one, sync) for one in optimizer.schemes)):
            yield InputError(f"of optimizer {optimizer.kind!r}, {problem.problem}", problem.remedy, "train.optimizer")


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


def misfits(scenario: Scenario) -> Iterator[tuple[int, InputError]]:
    """Yield the places of conditions that have no effect or no meaning on a network, and why."""
    for place, one in enumerate(scenario.conditions):
        network = scenario.network
        if not network.changes:
            problem = f"network {network.kind!r} knows nothing that changes with time"
            yield place, InputError(problem, "choose `network: flow`, or remove the condition", "kind")
        elif not (one.changes_links or network.shares):
            problem = f"plans never meet in network {network.kind!r}: the job would not feel this traffic"
            yield place, InputError(problem, "choose `network: flow` or `packet`, or remove the condition", "kind")
        elif isinstance(one, PacketLoss) and (deaf := network.deaf(scenario.transport)):
            yield place, InputError(deaf.problem, deaf.remedy, "kind")


def _unused(optimizer: Optimizer, sync: Sync) -> Iterator[InputError]:
    """Yield which fields of an architecture say what a training does not heed."""
    if not isinstance(sync, ParameterServer):
        if sync.partition is not None and optimizer.linear:
            problem = f"`partition` has no effect on optimizer {optimizer.kind!r}, whose vectors are not cut"
            yield InputError(problem, "remove it", "sync")
        return
    if sync.staleness:
        problem = "`staleness` has no effect on training, where the optimizer says who waits for whom"
        yield InputError(problem, "remove it; `optimizer: {kind: asgd, bound: 3}` has a bound", "sync")
    if isinstance(optimizer, Asynchronous) and (sync.partition is not None or sync.local_aggregation):
        problem = (
            "`partition` and `local_aggregation` have no effect on an asynchronous optimizer, which sends by itself"
        )
        yield InputError(problem, "remove them", "sync")


def impossible(scheme: Scheme, sync: Sync) -> InputError | None:
    """Return why a scheme cannot be exchanged over an architecture, or None where it can."""
    for op in sorted(scheme.ops):
        if refused := sync.refuses(op):
            return InputError(f"scheme {scheme.kind!r} sends messages of op {op!r}: {refused.problem}", refused.remedy)
        if carries(sync, op):
            continue
        able = [name for name in syncs if all(carries(_claims(name), one) for one in scheme.ops)]
        return InputError(
            f"scheme {scheme.kind!r} sends messages of op {op!r}, which sync {sync.kind!r} cannot carry",
            f"use a sync that can: {', '.join(able)}"
            if able
            else "no registered sync carries it; choose another scheme",
        )
    if scheme.agrees and isinstance(sync, ParameterServer) and sync.staleness:
        return InputError(
            f"workers agree on what scheme {scheme.kind!r} sends, and with `staleness` they do not wait for each other",
            "use staleness: 0, or a scheme of one message",
        )
    return None


def _claims(name: str) -> Sync:
    # The claims of an architecture belong to its class, so no instance is needed to read them.
    return syncs.get(name)  # type: ignore[return-value]
