"""PyTorch's communication hooks, run by a worker alone: what they hand to collectives, and what they return."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook, quantization_hooks

from netsim.compress import AsShipped, Bf16, Fp16, Int8, PowerSGD, Scheme, compress

GROUP: Any = SimpleNamespace(rank=lambda: 0, size=lambda: 1)


class Bucket:
    """What hooks ask of a bucket."""

    def __init__(self, *grads: torch.Tensor) -> None:
        self.shapes = [grad.shape for grad in grads]
        self.flat = torch.cat([grad.flatten() for grad in grads])

    def buffer(self) -> torch.Tensor:
        """Return all gradients."""
        return self.flat

    def gradients(self) -> list[torch.Tensor]:
        """Return views of them."""
        parts = self.flat.split([shape.numel() for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def index(self) -> int:
        """Return the bucket's number."""
        return 0

    def is_last(self) -> bool:
        """Return whether no bucket follows."""
        return True


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list to which every collective adds the bits that its worker, the only one, contributes."""
    bits: list[int] = []

    def done(own: torch.Tensor, value: object) -> SimpleNamespace:
        bits.append(8 * own.nbytes)
        future: torch.futures.Future[Any] = torch.futures.Future()
        future.set_result([value])
        return SimpleNamespace(get_future=lambda: future)

    def all_gather(out: list[torch.Tensor], own: torch.Tensor, **_: object) -> SimpleNamespace:
        for one in out:
            one.copy_(own)
        return done(own, torch.stack(out))  # which NCCL returns

    monkeypatch.setattr(dist, "all_gather", all_gather)
    monkeypatch.setattr(dist, "all_reduce", lambda own, **_: done(own, own))
    return bits


def _gradient(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _sent(scheme: Scheme, grad: torch.Tensor) -> Any:
    return compress(AsShipped(scheme, "pytorch"), grad[None])


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-9])
@pytest.mark.parametrize("numel", [1, 511, 1000, 1024])
def test_int8_is_the_quantization_hooks(sent: list[int], numel: int, scale: float) -> None:
    """A bucket that holds the tensor is the hook of a tensor, a smaller one that of channels of so many elements."""
    grad = _gradient(numel, scale=scale)
    for hook, bucket in ((quantization_hooks.quantization_pertensor_hook, numel), (_channels, 100)):
        if bucket == 100 and numel <= 100:
            continue
        sent.clear()
        theirs = hook(GROUP, Bucket(grad)).wait()  # type: ignore[arg-type]
        ours = _sent(Int8(bucket=bucket), grad)
        assert ours.nbits_per_worker == sum(sent)
        assert torch.equal(ours.mean, theirs)


def _channels(group: Any, bucket: Any) -> Any:
    return quantization_hooks.quantization_perchannel_hook(group, bucket, bucket_size=100)


@pytest.mark.parametrize("shape", [(8, 8), (9, 9), (64, 6, 8), (3, 400), (50,), (2, 2)])
@pytest.mark.parametrize("rank", [1, 2, 4])
def test_powersgd_sends_what_the_hook_does(sent: list[int], shape: tuple[int, ...], rank: int) -> None:
    grad = _gradient(*shape)
    state = powerSGD_hook.PowerSGDState(GROUP, matrix_approximation_rank=rank, start_powerSGD_iter=2)
    state.iter = 2
    powerSGD_hook.powerSGD_hook(state, Bucket(grad)).wait()  # type: ignore[arg-type]
    assert _sent(PowerSGD(rank=rank), grad).nbits_per_worker == sum(sent)


@pytest.mark.parametrize(
    ("scheme", "hook"), [(Fp16(), default_hooks.fp16_compress_hook), (Bf16(), default_hooks.bf16_compress_hook)]
)
def test_half_precision_is_the_hooks(sent: list[int], scheme: Scheme, hook: Any) -> None:
    grad = _gradient(1000)
    ours, theirs = _sent(scheme, grad), hook(GROUP, Bucket(grad)).wait()
    assert ours.nbits_per_worker == sum(sent)
    assert torch.equal(ours.mean, theirs)
