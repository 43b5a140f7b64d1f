"""Buckets of gradients, as DistributedDataParallel makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.scenario.schema import Job
    from netsim.workload.base import Tensor

FLOAT32_BYTES = 4


class Bucket(NamedTuple):
    """Tensors first..last-1 of the model, in backward order: they are exchanged together."""

    first: int
    last: int


def make_buckets(tensors: Sequence[Tensor], job: Job) -> list[Bucket]:
    """Return the buckets of a model (Li et al. 2020, VLDB, 3.2.3; c10d's compute_bucket_assignment_by_size).

    Tensors join a bucket in backward order until it has reached its size; the first bucket is smaller, so that the
    first exchange starts early. A tensor is never cut.
    """
    if job.overlap == "per_tensor":
        return [Bucket(i, i + 1) for i in range(len(tensors))]
    buckets: list[Bucket] = []
    first, filled_bytes = 0, 0
    for place, tensor in enumerate(tensors):
        filled_bytes += tensor.numel * FLOAT32_BYTES
        if filled_bytes >= (job.bucket if buckets else job.first_bucket):
            buckets.append(Bucket(first, place + 1))
            first, filled_bytes = place + 1, 0
    if first < len(tensors):
        buckets.append(Bucket(first, len(tensors)))
    return buckets
