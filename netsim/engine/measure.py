"""Runs the real gradients of a workload through a scheme: what every worker sends, and what is lost. No clock here."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.compress.none import Uncompressed
from netsim.engine.buckets import FLOAT32_BYTES, Bucket, make_buckets
from netsim.engine.coder import Coder, owners
from netsim.engine.score import Score
from netsim.engine.stage import Stage
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from numpy.typing import NDArray

    from netsim.compress.base import Scheme
    from netsim.registry import Variant
    from netsim.scenario.schema import Scenario
    from netsim.workload.base import Gradients, Tensor

TOGETHER = 2**22
"""Elements of the buckets of which states are held at once: more of them cost memory, fewer repeat the reading."""


@dataclass(frozen=True)
class Measurement:
    """What a scheme makes of a workload.

    Attributes:
        buckets: the job's buckets.
        sizes: for each bucket, elements of each tensor.
        units: for each bucket, elements of each unit that is coded by itself.
        stages: [steps][buckets] the collectives of each bucket at each simulated step, in order.
        captured: the captured step behind each simulated one.
        variants: [steps] the scheme and wrappers that code at each simulated step, outermost first.
        rel_error: [steps] norm of (estimate - mean gradient) over that of the mean gradient, over the whole model; NaN
            where estimates have no size.
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
    variants: tuple[tuple[Variant, ...], ...]
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
    steps = range(job.skip_steps + job.steps)
    captured = [step % gradients.num_steps for step in steps]
    scores = [Score() if step >= job.skip_steps else None for step in steps]
    stages: list[list[tuple[Stage, ...]]] = [[] for _ in steps]
    coder.adds_up = job.steps > 1
    # Units know nothing of one another: states are held only of those that go through all steps together.
    for together in _groups(buckets, gradients.tensors):
        for step in steps:
            coder.ends = step == steps[-1]
            for bucket in together:
                of_worker = [_read(gradients, captured[step], rank, bucket) for rank in coder.ranks]
                coded, _ = coder.code(bucket, of_worker, f"at step {step}", scores[step])
                stages[step].append(coded)
        coder.update.settle()
    told = slice(job.skip_steps, None)
    variants = tuple(coding_at(scenario.scheme, step) for step in steps)[told]
    known = [one for one in scores if one is not None]
    of_steps = [tuple(one) for one in stages[told]]
    return measurement(buckets, gradients.tensors, coder, of_steps, tuple(captured[told]), variants, known)


def _read(gradients: Gradients, step: int, rank: int, bucket: Bucket) -> Iterator[torch.Tensor]:
    """Yield a worker's tensors of a bucket, each read when it is asked for: all at once may be a whole model."""
    for index in range(bucket.first, bucket.last):
        yield from gradients.read(step, rank, index, index + 1)


def _groups(buckets: Sequence[Bucket], tensors: Sequence[Tensor]) -> Iterator[list[Bucket]]:
    """Yield buckets in their order, as many together as have `TOGETHER` elements."""
    together: list[Bucket] = []
    for bucket in buckets:
        together.append(bucket)
        if sum(one.numel for one in tensors[together[0].first : bucket.last]) >= TOGETHER:
            yield together
            together = []
    if together:
        yield together


def measurement(
    buckets: tuple[Bucket, ...],
    tensors: Sequence[Tensor],
    coder: Coder,
    stages: Sequence[tuple[tuple[Stage, ...], ...]],
    captured: tuple[int, ...],
    variants: tuple[tuple[Variant, ...], ...],
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
        variants,
        tuple(one.rel_error for one in scores),
        tuple(one.cosine for one in scores),
        update.rel_error,
        update.cosine,
        len(coder.ranks),
    )


def coding_at(scheme: Scheme, step: int) -> tuple[Variant, ...]:
    """Return the scheme and wrappers that code at a step, outermost first."""
    return tuple(one.variant for one in scheme.chain_at(step))


def _sizes(tensors: Sequence[Tensor], buckets: Sequence[Bucket]) -> tuple[NDArray[np.int64], ...]:
    numel = np.array([one.numel for one in tensors], dtype=np.int64)
    return tuple(numel[bucket.first : bucket.last] for bucket in buckets)


def dense(scenario: Scenario, gradients: Gradients) -> Measurement:
    """Return the measurement of scheme `none`, from the sizes of the tensors alone."""
    buckets = tuple(make_buckets(gradients.tensors, scenario.job))
    workers = min(scenario.topology.num_workers, gradients.num_workers)
    sizes, none = _sizes(gradients.tensors, buckets), np.zeros(0, dtype=np.int64)
    step = tuple((Stage("sum", np.full(workers, float(one.sum() * FLOAT32_BYTES)), 0.0, one, none),) for one in sizes)
    skipped, steps = scenario.job.skip_steps, scenario.job.steps
    captured = tuple((skipped + one) % gradients.num_steps for one in range(steps))
    variants = (coding_at(Uncompressed(), 0),) * steps
    return Measurement(
        buckets, sizes, sizes, (step,) * steps, captured, variants, (0.0,) * steps, (1.0,) * steps, 0.0, 1.0, workers
    )
