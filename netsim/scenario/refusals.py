"""What no single field can tell: points that cannot be simulated, and why."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from netsim.conditions.packet_loss import PacketLoss
from netsim.errors import InputError
from netsim.optim.base import Asynchronous, Synchronous, optimizers
from netsim.scenario.rules import learns
from netsim.sync.base import syncs
from netsim.sync.parameter_server import ParameterServer
from netsim.workload.live import Live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netsim.compress.base import Scheme
    from netsim.optim.base import Optimizer
    from netsim.scenario.schema import Scenario
    from netsim.sync.base import Sync
    from netsim.topology.base import TopologyKind
    from netsim.workload.base import Workload


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
