"""Shards of a flat tensor: who owns which, and putting them together again."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, TypeAlias

from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netsim.compress.base import Peer


def shard_sizes(numel: int, owners: int) -> list[int]:
    """Return the elements of each shard as torch.tensor_split cuts them: the first ones hold one more."""
    return [numel // owners + (shard < numel % owners) for shard in range(owners)]


Cut: TypeAlias = "Sequence[torch.Tensor | slice]"
"""The indices of the elements of each owner, as a slice where they follow one another."""


def ranges(ends: Sequence[int], numel: int) -> list[slice]:
    """Return the ranges that end at `ends`, and the one after the last of them."""
    return [slice(*both) for both in pairwise((0, *ends, numel))]


def equal_ranges(numel: int, owners: int) -> list[slice]:
    """Return the ranges of equal shards."""
    return ranges(list(accumulate(shard_sizes(numel, owners)))[:-1], numel)


def size_of(part: torch.Tensor | slice) -> int:
    """Return the elements of one owner."""
    return part.stop - part.start if isinstance(part, slice) else len(part)


def owned(peer: Peer, rank: int) -> range:
    """Return the shards that a worker owns."""
    return range(rank, peer.owners, peer.workers)


def own_shards(flat: torch.Tensor, peer: Peer) -> torch.Tensor:
    """Return the values of the shards that this worker owns."""
    shards = flat.tensor_split(peer.owners)
    return torch.cat([shards[shard] for shard in owned(peer, peer.rank)] or [flat[:0]])


def join_shards(replies: Sequence[torch.Tensor], numel: int, peer: Peer) -> torch.Tensor:
    """Return the tensor [d] of which every worker, in order of rank, has sent what it owns."""
    sizes = shard_sizes(numel, peer.owners)
    shards = [replies[0][:0]] * peer.owners
    for rank, sent in enumerate(replies):
        mine = owned(peer, rank)
        for shard, values in zip(mine, torch.split(sent, [sizes[one] for one in mine]), strict=True):
            shards[shard] = values
    return torch.cat(shards)
