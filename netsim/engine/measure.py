"""Runs the real gradients of a workload through a scheme: what every worker sends, and what is lost. No clock here."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from netsim.compress.base import Peer
from netsim.compress.drive import exchange
from netsim.compress.none import Uncompressed
from netsim.engine.buckets import FLOAT32_BYTES, Bucket, make_buckets
from netsim.engine.sparsity import count_holders
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from numpy.typing import NDArray

    from netsim.compress.base import Message, Scheme
    from netsim.compress.drive import Outcome
    from netsim.scenario.schema import Scenario
    from netsim.sync.base import Collective
    from netsim.workload.base import Gradients, Tensor


@dataclass(frozen=True, eq=False)
class Stage:
    """One collective of one bucket: messages of all its coded units, fused.

    Attributes:
        op: how the messages travel.
        up_bytes: [m] bytes of every measured worker's message.
        down_bytes: bytes of the re-encoded aggregate (`owner`), else 0.
        units: [u] elements of each coded unit whose messages are fused here.
        held: [u, m + 1] for `gather`, elements of each unit to which exactly 0..m workers have contributed.
        up_shares: [m, owners] which part of each message goes to each owner (`owner`); None: equal parts.
        down_shares: [owners] which part of the aggregate each owner hands out; None: equal parts.
    """

    op: Collective
    up_bytes: NDArray[np.float64]
    down_bytes: float
    units: NDArray[np.int64]
    held: NDArray[np.int64]
    up_shares: NDArray[np.float64] | None = None
    down_shares: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Measurement:
    """What a scheme makes of a workload.

    Attributes:
        buckets: the job's buckets.
        sizes: for each bucket, elements of each tensor.
        units: for each bucket, elements of each unit that is coded by itself.
        stages: [steps][buckets] the collectives of each bucket at each simulated step, in order.
        captured: the captured step behind each simulated one.
        kinds: [steps] the kinds of scheme and wrappers that code at each simulated step, outermost first.
        rel_error: [steps] norm of (estimate - mean gradient) over that of the mean gradient, over the whole model.
        cosine: [steps] cosine of the angle between estimate and mean gradient.
        update_error, update_cosine: the same of estimates and mean gradients added up over all steps: what the model
            has received of what it should have, older residuals included.
        workers: the number of workers whose gradients were compressed.
    """

    buckets: tuple[Bucket, ...]
    sizes: tuple[NDArray[np.int64], ...]
    units: tuple[NDArray[np.int64], ...]
    stages: tuple[tuple[tuple[Stage, ...], ...], ...]
    captured: tuple[int, ...]
    kinds: tuple[tuple[str, ...], ...]
    rel_error: tuple[float, ...]
    cosine: tuple[float, ...]
    update_error: float
    update_cosine: float
    workers: int


def measurement_key(scenario: Scenario) -> Hashable:
    """Return what a measurement depends on; scenarios with equal keys can share one."""
    job, scheme = scenario.job, scenario.scheme
    split = (job.overlap == "per_tensor", job.bucket, job.first_bucket, job.coding_unit, job.skip_steps, job.steps)
    return (scenario.workload, scheme, split, scenario.seed, scenario.topology.num_workers, owners(scenario, scheme))


def owners(scenario: Scenario, scheme: Scheme) -> int:
    """Return the number of shard owners where a scheme has any, else 0: what travels does not depend on it."""
    return scenario.sync.owners(scenario.topology.num_workers) if "owner" in scheme.ops else 0


def measure(scenario: Scenario) -> Measurement:
    """Compress the captured gradients, step after step, carrying every worker's state on.

    The captured steps are taken in turn; the first `skip_steps` only bring every state under way. Where the cluster has
    more workers than were captured, the captured ones stand for all, and the result is marked as extrapolated.
    Arithmetic runs on one thread so that results are the same whatever the number of processes. What is sent
    uncompressed needs no arithmetic.
    """
    gradients = scenario.workload.open()
    if isinstance(scenario.scheme, Uncompressed):
        return dense(scenario, gradients)
    with one_thread():
        return replay(scenario, gradients)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def replay(scenario: Scenario, gradients: Gradients) -> Measurement:
    """Return what the scheme makes of the gradients, with the number of threads that torch has."""
    job = scenario.job
    workers = min(scenario.topology.num_workers, gradients.num_workers)
    buckets = tuple(make_buckets(gradients.tensors, job))
    coder = Coder(scenario, scenario.scheme, gradients.tensors, range(workers), flat=job.coding_unit == "bucket")
    stages, captured, scores = [], [], list[Score | None]()
    coder.adds_up = job.steps > 1
    for step in range(job.skip_steps + job.steps):
        coder.ends = step == job.skip_steps + job.steps - 1
        captured.append(step % gradients.num_steps)
        of_step = []
        scores.append(Score() if step >= job.skip_steps else None)
        for bucket in buckets:
            read = [gradients.read(captured[-1], rank, bucket.first, bucket.last) for rank in coder.ranks]
            coded, _ = coder.code(bucket, read, f"at step {step}", scores[-1])
            of_step.append(coded)
        stages.append(tuple(of_step))
    told = slice(job.skip_steps, None)
    kinds = _kinds(scenario.scheme, job.skip_steps + job.steps)[told]
    known = [one for one in scores if one is not None]
    return measurement(buckets, gradients.tensors, coder, stages[told], tuple(captured[told]), kinds, known)


def measurement(
    buckets: tuple[Bucket, ...],
    tensors: Sequence[Tensor],
    coder: Coder,
    stages: Sequence[tuple[tuple[Stage, ...], ...]],
    captured: tuple[int, ...],
    kinds: tuple[tuple[str, ...], ...],
    scores: Sequence[Score],
) -> Measurement:
    """Return what a coder has made of some steps."""
    sizes = _sizes(tensors, buckets)
    update = coder.update.score() if coder.adds_up else scores[0]
    return Measurement(
        buckets,
        sizes,
        tuple(one.sum(keepdims=True) for one in sizes) if coder.flat else sizes,
        tuple(stages),
        captured,
        kinds,
        tuple(one.rel_error for one in scores),
        tuple(one.cosine for one in scores),
        update.rel_error,
        update.cosine,
        len(coder.ranks),
    )


def _kinds(scheme: Scheme, steps: int) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(scheme.chain_at(step)) for step in range(steps))


def _sizes(tensors: Sequence[Tensor], buckets: Sequence[Bucket]) -> tuple[NDArray[np.int64], ...]:
    numel = np.array([one.numel for one in tensors], dtype=np.int64)
    return tuple(numel[bucket.first : bucket.last] for bucket in buckets)


class Score:
    """Sums, over tensors, what relative error and cosine are made of, in float64."""

    def __init__(self, error2: float = 0.0, mean2: float = 0.0, estimate2: float = 0.0, dot: float = 0.0) -> None:
        self.error2, self.mean2, self.estimate2, self.dot = error2, mean2, estimate2, dot

    def add(self, estimate: torch.Tensor, mean: torch.Tensor) -> None:
        """Add a tensor."""
        error = estimate - mean
        self.error2 += float(error @ error)
        self.mean2 += float(mean @ mean)
        self.estimate2 += float(estimate @ estimate)
        self.dot += float(estimate @ mean)

    def join(self, other: Score) -> None:
        """Add the sums of another score."""
        self.error2 += other.error2
        self.mean2 += other.mean2
        self.estimate2 += other.estimate2
        self.dot += other.dot

    @property
    def rel_error(self) -> float:
        """Return the norm of the error over that of the mean."""
        return float(np.sqrt(self.error2 / self.mean2)) if self.mean2 else 0.0

    @property
    def cosine(self) -> float:
        """Return the cosine of the angle between estimate and mean."""
        norms = np.sqrt(self.mean2 * self.estimate2)
        return float(self.dot / norms) if norms else 0.0


class _Update:
    """Estimates and mean gradients added up over the steps, for each coded unit."""

    def __init__(self) -> None:
        self.sums: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def add(self, key: int, estimate: torch.Tensor, mean: torch.Tensor) -> None:
        if key in self.sums:
            before = self.sums[key]
            before[0].add_(estimate)
            before[1].add_(mean)
        else:
            self.sums[key] = estimate.clone(), mean

    def score(self) -> Score:
        score = Score()
        for estimate, mean in self.sums.values():
            score.add(estimate, mean)
        return score


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
        self.update = _Update()
        self.adds_up = True
        """Whether there are several steps, the sums of which have to be kept."""
        self.ends = False
        """Whether this is the last step, after which nobody asks for a state."""

    def code(
        self, bucket: Bucket, of_worker: Sequence[Sequence[torch.Tensor]], when: str, score: Score | None
    ) -> tuple[tuple[Stage, ...], list[torch.Tensor]]:
        """Exchange the tensors of one bucket; return its collectives, and the estimates of its units.

        Nobody asks what a step without a `score` loses.
        """
        if self.flat:
            of_worker = [[torch.cat([one.reshape(-1) for one in tensors])] for tensors in of_worker]
        outcomes = []
        for place, grads in enumerate(zip(*of_worker, strict=True)):
            key, name = bucket.first + place, self.tensors[bucket.first + place].name
            states = self.states.get(key) or self._states(grads[0].shape, key)
            outcome = exchange(self.scheme, grads, states, f"gradient of {name!r} {when}")
            if self.ends:
                self.states.pop(key, None)
            else:
                self.states[key] = outcome.states
            outcomes.append(outcome)
            if score is not None:
                self._judge(key, outcome.mean.reshape(-1).double(), _mean(grads), score)
        return _fuse(outcomes, self.owners), [outcome.mean for outcome in outcomes]

    def _judge(self, key: int, estimate: torch.Tensor, mean: torch.Tensor, score: Score) -> None:
        score.add(estimate, mean)
        if self.adds_up:
            self.update.add(key, estimate, mean)

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


def _fuse(outcomes: Sequence[Outcome], owners: int) -> tuple[Stage, ...]:
    """Join the messages of a bucket's units: those with the same place and op travel together."""
    joined: dict[tuple[int, str], list[tuple[list[Message], Outcome]]] = {}
    for outcome in outcomes:
        for place, messages in enumerate(outcome.messages):
            joined.setdefault((place, messages[0].op), []).append((messages, outcome))
    stages = []
    for (place, op), units in sorted(joined.items()):
        if op == "shard":
            continue
        sent = [messages for messages, _ in units]
        down_bytes, up_shares, down_shares = 0.0, None, None
        if op == "owner":
            back = [messages for messages, _ in joined[place + 1, "shard"]]
            down_bytes = sum(_bytes(one) for messages in back for one in messages)
            up_shares, down_shares = _shares(_pushed(sent, owners)), _shares(_pulled(back, owners))
        up_bytes = np.array([[_bytes(one) for one in messages] for messages in sent], np.float64).sum(axis=0)
        held = [count_holders(outcome.own) for _, outcome in units] if op == "gather" else []
        sizes = np.array([outcome.mean.numel() for _, outcome in units], dtype=np.int64)
        held_by = np.array(held, dtype=np.int64)
        stages.append(Stage(cast("Collective", op), up_bytes, down_bytes, sizes, held_by, up_shares, down_shares))
    return tuple(stages)


def _pushed(units: Sequence[Sequence[Message]], owners: int) -> NDArray[np.float64] | None:
    """Return [m, owners] the bytes of each worker's messages that go to each owner, or None where all get alike."""
    if not any(one.weigh for messages in units for one in messages):
        return None
    return sum(np.stack([_parts(one, owners) for one in messages]) for messages in units)  # type: ignore[return-value]


def _pulled(units: Sequence[Sequence[Message]], owners: int) -> NDArray[np.float64] | None:
    """Return [owners] the bytes that each owner hands out, or None where all hand out alike."""
    if not any(one.weigh for messages in units for one in messages):
        return None
    nbytes = np.zeros(owners)
    for messages in units:
        for rank, one in enumerate(messages):
            mine = nbytes[rank :: len(messages)]
            mine += _parts(one, len(mine))
    return nbytes


def _parts(message: Message, parts: int) -> NDArray[np.float64]:
    """Return [parts] the bytes of each part of a message."""
    weights = np.array(message.weigh() if message.weigh else np.ones(parts), dtype=np.float64)
    total = weights.sum()
    return _bytes(message) * (weights / total if total else np.full(parts, 1 / max(parts, 1)))


def _shares(nbytes: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Return bytes [..., owners] as shares of their sums."""
    if nbytes is None:
        return None
    total = nbytes.sum(axis=-1, keepdims=True)
    return np.where(total > 0, nbytes / np.where(total > 0, total, 1.0), 1 / nbytes.shape[-1])


def _bytes(message: Message) -> int:
    return -(-message.nbits // 8)


def dense(scenario: Scenario, gradients: Gradients) -> Measurement:
    """Return the measurement of scheme `none`, from the sizes of the tensors alone."""
    buckets = tuple(make_buckets(gradients.tensors, scenario.job))
    workers = min(scenario.topology.num_workers, gradients.num_workers)
    sizes, none = _sizes(gradients.tensors, buckets), np.zeros(0, dtype=np.int64)
    step = tuple((Stage("sum", np.full(workers, float(one.sum() * FLOAT32_BYTES)), 0.0, one, none),) for one in sizes)
    skipped, steps = scenario.job.skip_steps, scenario.job.steps
    captured = tuple((skipped + one) % gradients.num_steps for one in range(steps))
    kinds = (("none",),) * steps
    return Measurement(
        buckets, sizes, sizes, (step,) * steps, captured, kinds, (0.0,) * steps, (1.0,) * steps, 0.0, 1.0, workers
    )
