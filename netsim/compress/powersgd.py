"""PowerSGD: a low-rank approximation found by one step of power iteration over the workers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from netsim.compress.base import Exchange, Key, Message, Op, Peer, Scheme, schemes
from netsim.compress.cpu import empty, on_cpu
from netsim.lazy import torch

HOOK_RATE = 2.0
"""What PyTorch's hook takes for `min_compression_rate` where it is not told."""


@schemes.register("powersgd", paper="Vogels et al., NeurIPS 2019 (arXiv:1905.13727)")
@dataclass(frozen=True, kw_only=True)
class PowerSGD(Scheme):
    """Rank-r approximation G = P Q^T of a matrix, warm-started. Biased: wrap in error_feedback.

    Wire, for a tensor seen as a matrix m x k (first dimension against the rest): 32 r m bits, then 32 r k bits, both
    summable. Vectors, and matrices of which (m + k) r `min_compression_rate` >= m k, travel raw: 32 d bits. The default
    compresses wherever that is shorter, as sizes published of ResNet-18 say; PyTorch's hook has a rate of 2. As in the
    paper, what a worker has contributed is the common estimate, so under error feedback gradient = average + residual.
    With `rows: height` a convolution's kernel is cut after its height and always compressed, as GRACE does with
    TensorFlow's kernels: 3 x 3 ones become 3 rows, and of 1 x 1 ones nothing is saved.
    """

    rank: Annotated[int, Ge(1)] = 2
    min_compression_rate: Annotated[float, Ge(1)] = 1.0
    rows: Literal["outputs", "height"] = "outputs"
    ops: ClassVar[frozenset[Op]] = frozenset({"sum"})
    agrees: ClassVar[bool] = True

    def shipped(self, framework: str) -> PowerSGD:
        """Return the scheme with GRACE's matrices, for TensorFlow, or with the rate that PyTorch's hook asks for."""
        if framework == "pytorch":
            return replace(self, min_compression_rate=max(self.min_compression_rate, HOOK_RATE))
        return replace(self, rows="height") if framework == "grace_tensorflow" else self

    def init(self, shape: torch.Size, peer: Peer) -> torch.Tensor | None:
        """Return an orthonormal Q [k, r], the same on all workers, or None for a tensor that travels raw."""
        if not self._saves(shape):
            return None
        rows = shape[self._first(shape)]
        columns = shape.numel() // rows
        drawn = Key(peer.seed, peer.rank).shared().standard_normal((columns, min(self.rank, rows, columns)))
        return _orthonormal(torch.from_numpy(drawn.astype(np.float32)))

    def exchange(self, grad: torch.Tensor, state: torch.Tensor | None) -> Exchange:
        """Average P = G Q, then Q = G^T P; the estimate is P Q^T and Q is kept for the next step."""
        if state is None:
            reply = yield Message.of("sum", (grad, 32))
            return reply.once(lambda: reply.mean()[0]), grad, None
        moved = grad.movedim(self._first(grad.shape), 0)
        matrix = moved.reshape(len(moved), -1)
        first = yield Message.of("sum", (matrix @ state.to(grad.device), 32))
        p = first.once(lambda: _orthonormal(first.mean()[0]))
        # As rows, (G^T P)^T = P^T G: the product with G transposed takes 50 times as long on a CPU.
        second = yield Message.of("sum", ((p.T @ matrix).T.contiguous(), 32))
        product, q = second.once(lambda: _product(p, second.mean()[0]))
        mean = product.reshape(moved.shape).movedim(0, self._first(grad.shape))
        return mean, mean, q

    def _first(self, shape: torch.Size) -> int:
        """Return the dimension that becomes the rows."""
        return 2 if self.rows == "height" and len(shape) > 2 else 0

    def _saves(self, shape: torch.Size) -> bool:
        if len(shape) < 2 or not shape.numel():
            return False
        if self.rows == "height":
            return True
        rows, columns = shape[0], shape.numel() // shape[0]
        return (rows + columns) * self.rank * self.min_compression_rate < rows * columns


def _orthonormal(matrix: torch.Tensor) -> torch.Tensor:
    """Return an orthonormal basis of the columns; any basis where they are zero."""
    basis: torch.Tensor = torch.linalg.qr(matrix).Q
    return basis


def _product(p: torch.Tensor, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return P Q^T, and the basis from which the next step starts."""
    out = empty((len(p), len(q)), p.dtype) if on_cpu(p) else None
    return torch.mm(p, q.T, out=out), _orthonormal(q)
