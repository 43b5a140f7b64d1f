"""A scenario: everything one simulated point depends on, as a tree of frozen dataclasses. No YAML here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le

from netsim.optim.base import Optimizer
from netsim.policy.base import Policy
from netsim.units import Bytes, Seconds

if TYPE_CHECKING:
    from netsim.compress.base import Scheme
    from netsim.conditions.base import Condition
    from netsim.network.base import Fidelity
    from netsim.network.transport import Transport
    from netsim.sync.base import Sync
    from netsim.topology.base import TopologyKind
    from netsim.workload.base import Workload
    from netsim.workload.cost import CostModel


@dataclass(frozen=True, kw_only=True)
class Straggler:
    """How unequal the workers' compute times are: for good, and drawn anew for every worker and step.

    `lognormal`: factor exp(N(0, spread)), median 1. `uniform`: factor between 1 and 1 + spread. `normal`: 1 + N(0,
    spread), no less than 0. `exponential`: 1 and an exponential of mean `spread` on top (Dutta et al. 2018, AISTATS).
    `none`: all equal. `factors` are multiplied with these, and belong to the workers in turn: [1, 1, 1, 2] makes every
    fourth one half as fast.
    """

    distribution: Literal["none", "lognormal", "uniform", "normal", "exponential"] = "none"
    spread: Annotated[float, Ge(0)] = 0.0
    factors: tuple[Annotated[float, Gt(0)], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """How much work a failure costs a job.

    Every so many steps (`every`, 0 for never) all workers stop for `write` to save what they have. When a worker or a
    server fails, the job stops at once, waits until all are back, takes `restart` to load the last checkpoint and does
    the steps since then again. Without checkpoints it waits, and goes on where it was: a machine that hung, or moved.

    Of an asynchronous job, a worker that fails loses its step alone, and begins it anew after `restart` with the model
    that it gets from the servers. These save after every so many steps of all workers, taking in no message for
    `write`; if one of them fails, all go back to that.
    """

    every: Annotated[int, Ge(0)] = 0
    write: Seconds = 0.0
    restart: Seconds = 0.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """How a training step is run: DistributedDataParallel's semantics by default.

    `overlap`: `ddp` exchanges a bucket as soon as its last gradient is ready; `none` waits for the whole backward pass;
    `per_tensor` gives every tensor its own exchange. `bucket` and `first_bucket` are DDP's bucket sizes. `steps` is the
    number of simulated steps; the captured steps are taken in turn. `skip_steps` are coded before and not told, for
    schemes that begin otherwise than they go on. `grad_accumulation` micro-batches share one exchange.
    `coding_unit`: a scheme codes each `tensor` (as papers do) or the flat `bucket` (as DDP hooks do).
    `scheduling`: exchanges with servers and collectives begin in the `order` in which they are ready, or by `priority`:
    those of the layers that the next forward pass needs first overtake, and it waits for each layer by itself. What is
    under way is not interrupted; the `partition` of `sync` bounds it. `credit` is how many bytes a worker may have
    under way to its servers; without one, a message to each.
    """

    overlap: Literal["ddp", "none", "per_tensor"] = "ddp"
    bucket: Bytes = 25 * 2.0**20
    first_bucket: Bytes = 2.0**20
    steps: Annotated[int, Ge(1)] = 3
    skip_steps: Annotated[int, Ge(0)] = 0
    grad_accumulation: Annotated[int, Ge(1)] = 1
    coding_unit: Literal["tensor", "bucket"] = "tensor"
    scheduling: Literal["order", "priority"] = "order"
    credit: Annotated[Bytes, Gt(0)] | None = None
    straggler: Straggler = field(default_factory=Straggler)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The learning rate over a training, as in 1-bit LAMB's (arXiv:2104.06069): up exponentially, then down in stairs.

    Within `rise` epochs it goes from `begin` times `lr` to `lr`; every `every` epochs after these it is `factor` times
    what it was. It holds for a whole round of local steps.
    """

    rise: Annotated[float, Ge(0)] = 0.0
    begin: Annotated[float, Gt(0), Le(1)] = 1.0
    every: Annotated[float, Gt(0)] | None = None
    factor: Annotated[float, Gt(0), Le(1)] = 0.9

    def share(self, epoch: float) -> float:
        """Return which part of `lr` the learning rate is after some epochs."""
        if epoch < self.rise:
            return float(self.begin ** (1 - epoch / self.rise))
        stairs = 0 if self.every is None else int((epoch - self.rise) / self.every + 1e-9)
        return float(self.factor**stairs)


@dataclass(frozen=True, kw_only=True)
class Train:
    """Training in simulated time: which optimizer solves the live workload, and when it is over.

    `target` is a value of `target_of`: the norm of the exact gradient over that at the start, the loss or the accuracy,
    of networks on the samples held out. `until` (simulated) and `max_epochs` (gradient
    evaluations over all samples) end what does not reach it. `gradient_time` is what a worker takes for the gradient of
    one sample; the slowest worker takes `speed_spread` times as long as the fastest. Where `slow_workers` is given, so
    many are as slow and all others as fast; else workers lie between in equal ratios. `every` is the epochs between two
    points of the curve. A `policy` chooses local steps or a scheme's ratio anew after every round, by measured times.
    A `schedule` makes the learning rate of a network's training rise and fall.
    """

    optimizer: Optimizer
    target: Annotated[float, Gt(0)] = 1e-5
    target_of: Literal["gradient_norm", "loss", "accuracy"] = "gradient_norm"
    until: Seconds = 3600.0
    max_epochs: Annotated[float, Gt(0)] = 100.0
    gradient_time: Seconds = 1e-6
    speed_spread: Annotated[float, Ge(1)] = 1.0
    slow_workers: Annotated[int, Ge(1)] | None = None
    every: Annotated[float, Gt(0)] = 1.0
    policy: Policy | None = None
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One point: one scheme over one architecture on one cluster.

    `swept` names what this point changes against the others of its file: ((key, value as written), ...).
    """

    name: str
    about: str = ""
    seed: int = 0
    topology: TopologyKind
    network: Fidelity
    transport: Transport
    workload: Workload
    scheme: Scheme
    sync: Sync
    job: Job = field(default_factory=Job)
    cost: CostModel
    conditions: tuple[Condition, ...] = ()
    train: Train | None = None
    swept: tuple[tuple[str, str], ...] = ()
