"""DeepSpeed's compressed all-reduce: one bit an element each way, errors kept at the worker and at the owner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netsim.compress.base import Exchange, Message, Op, Parts, Peer, Scheme, nothing, schemes
from netsim.compress.scaled_sign import signed
from netsim.compress.shards import owned
from netsim.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Buffers:
    """A worker, its error [padded elements], and the errors [elements of a chunk] of the chunks that it owns."""

    peer: Peer
    worker_error: torch.Tensor
    server_errors: tuple[torch.Tensor, ...]


def padded(numel: int, owners: int) -> int:
    """Return the elements of the padded buffer, of which every owner's chunk is a whole number of bytes."""
    multiple = owners * (8 * owners // math.gcd(owners, 8))
    return -(-numel // multiple) * multiple


@schemes.register(
    "compressed_all_reduce", paper="Tang et al., ICML 2021 (arXiv:2102.02888); DeepSpeed, NCCL backend at 38327e0"
)
@dataclass(frozen=True, kw_only=True)
class CompressedAllReduce(Scheme):
    """The exchange of 1-bit Adam, 1-bit LAMB and 0/1 Adam: signs and one root mean square up, the same a chunk down.

    The flat tensor is padded with zeros so that each of n owners has a chunk of whole bytes, and the padding takes part
    in everything. A worker adds its error, sends signs (of zero: plus) and the root mean square of the whole buffer,
    and keeps what is missing. An owner averages its chunk, adds its own error, sends signs and the chunk's root mean
    square, and keeps what is missing. As [error_feedback, two_way, rms_sign] but for the padding. Wire: d + 32 bits up,
    d + 32 n bits down.
    """

    feeds_back: ClassVar[bool] = True
    ops: ClassVar[frozenset[Op]] = frozenset({"owner", "shard"})

    def init(self, shape: torch.Size, peer: Peer) -> Buffers:
        """Return errors of zeros."""
        size = padded(shape.numel(), peer.owners)
        chunk = torch.zeros(size // peer.owners)
        return Buffers(peer, nothing((size,)), tuple(chunk for _ in owned(peer, peer.rank)))

    def exchange(self, grad: torch.Tensor, state: Buffers) -> Exchange:
        """Send the signs to the owners, then the owners' signs to everyone."""
        peer, error = state.peer, state.worker_error.to(grad.device)
        buffer = torch.nn.functional.pad(grad.flatten(), (0, len(error) - grad.numel())) + error
        scale, signs, sent = _signs(buffer)
        up = yield Message.of("owner", (scale, 32), (signs, 1))
        mean = up.once(lambda: _average(up.parts))
        chunks = mean.tensor_split(peer.owners)
        coded, left = [], []
        for chunk, before in zip(owned(peer, peer.rank), state.server_errors, strict=True):
            compensated = chunks[chunk] + before.to(grad.device)
            coded.append(_signs(compensated))
            left.append(compensated.sub_(coded[-1][2]))
        fields = [field for scale_of, signs_of, _ in coded for field in ((scale_of, 32), (signs_of, 1))]
        down = yield Message.of("shard", *fields)
        estimate = down.once(lambda: _joined(down.parts, peer)[: grad.numel()].reshape(grad.shape))
        return estimate, sent[: grad.numel()].reshape(grad.shape), Buffers(peer, buffer.sub_(sent), tuple(left))


def _signs(buffer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the root mean square [1], the signs, and both together."""
    norm = buffer.norm()
    if torch.isinf(norm):  # only the squares are too large
        largest = buffer.abs().max()
        norm = largest * (buffer / largest).norm()
    scale = (norm / math.sqrt(max(len(buffer), 1))).reshape(1)
    signs = buffer >= 0
    return scale, signs, signed(signs, scale)


def _average(parts: Sequence[Parts]) -> torch.Tensor:
    """Return the mean of what all workers sent, each scale divided before it is used, as DeepSpeed's owners do."""
    shares = [signed(signs, scale * (1 / len(parts))) for scale, signs in parts]
    return torch.stack(shares).sum(0) if len(shares) > 1 else shares[0]


def _joined(replies: Sequence[Parts], peer: Peer) -> torch.Tensor:
    """Return the buffer whose chunks all owners have sent."""
    chunks: dict[int, torch.Tensor] = {}
    for rank, parts in enumerate(replies):
        for place, chunk in enumerate(owned(peer, rank)):
            scale, signs = parts[2 * place : 2 * place + 2]
            chunks[chunk] = signed(signs, scale)
    return torch.cat([chunks[chunk] for chunk in range(peer.owners)]) if peer.owners > 1 else chunks[0]
