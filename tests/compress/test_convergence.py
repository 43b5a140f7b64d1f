"""What happens over many steps: error feedback delivers everything, PowerSGD finds the dominant subspace."""

from __future__ import annotations

import pytest
import torch

from netsim.compress import ErrorFeedback, Peer, PowerSGD, RandomK, RmsSign, ScaledSign, Scheme, TopK, TwoWay, WarmUp
from netsim.compress.drive import Outcome, exchange

WORKERS = 3


def _run(scheme: Scheme, grads: list[torch.Tensor], steps: int) -> list[Outcome]:
    peers = [Peer(rank, WORKERS, WORKERS, seed=2) for rank in range(WORKERS)]
    states = [scheme.init(grads[0].shape, peer) for peer in peers]
    outcomes = []
    for _ in range(steps):
        outcomes.append(exchange(scheme, grads, states))
        states = outcomes[-1].states
    return outcomes


def _grads(seed: int = 0) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(30, 20, generator=draw) for _ in range(WORKERS)]


INNER = [TopK(ratio=0.05), ScaledSign(), RmsSign(), TwoWay(RmsSign()), RandomK(ratio=0.1), PowerSGD(rank=2)]


@pytest.mark.parametrize("inner", INNER, ids=lambda one: one.label)
def test_error_feedback_delivers_a_constant_gradient(inner: Scheme) -> None:
    grads = _grads()
    mean = torch.stack(grads).mean(0)
    outcomes = _run(ErrorFeedback(inner), grads, steps=400)
    delivered = torch.stack([outcome.mean for outcome in outcomes]).cumsum(0)

    def behind(step: int) -> float:
        return float((delivered[step - 1] - step * mean).norm() / (step * mean.norm()))

    assert behind(400) < 0.15
    assert behind(400) < 0.6 * behind(100)  # the backlog is bounded, so its share falls with the steps


def test_without_error_feedback_the_small_values_never_arrive() -> None:
    outcomes = _run(TopK(ratio=0.05), _grads(), steps=50)
    assert torch.equal(outcomes[0].mean, outcomes[-1].mean)


def test_powersgd_splits_the_gradient_into_average_and_residual() -> None:
    grads = _grads()
    outcome = _run(ErrorFeedback(PowerSGD(rank=2)), grads, steps=1)[0]
    for grad, (_, residual) in zip(grads, outcome.states, strict=True):
        assert torch.allclose(outcome.mean + residual, grad, atol=1e-6)


def test_powersgd_estimate_is_a_projection_of_the_mean() -> None:
    # P is orthonormal and Q = G^T P, so the estimate is P P^T G: of the rank asked for, and orthogonal to its error.
    grads = _grads()
    mean = torch.stack(grads).mean(0)
    estimate = _run(PowerSGD(rank=3), grads, steps=1)[0].mean
    assert int(torch.linalg.matrix_rank(estimate, tol=1e-4)) == 3
    assert float((estimate * (mean - estimate)).sum()) == pytest.approx(0.0, abs=1e-4)


def test_powersgd_warm_start_converges_to_the_best_approximation() -> None:
    draw = torch.Generator().manual_seed(1)
    left, _ = torch.linalg.qr(torch.randn(30, 5, generator=draw))
    right, _ = torch.linalg.qr(torch.randn(20, 5, generator=draw))
    mean = left @ torch.diag(torch.tensor([9.0, 6.0, 2.0, 1.0, 0.5])) @ right.T
    outcomes = _run(PowerSGD(rank=2), [mean] * WORKERS, steps=12)
    best = (4 + 1 + 0.25) ** 0.5  # Eckart and Young: the singular values left out
    errors = [float((outcome.mean - mean).norm()) for outcome in outcomes]
    assert errors[0] > best * 1.01
    assert errors[-1] == pytest.approx(best, rel=1e-4)


def test_powersgd_recovers_from_a_gradient_of_zeros() -> None:
    scheme = PowerSGD(rank=2)
    peer = Peer(0, 1, 1, seed=0)
    state = exchange(scheme, [torch.zeros(30, 20)], [scheme.init(torch.Size([30, 20]), peer)]).states
    for _ in range(12):
        outcome = exchange(scheme, [torch.ones(30, 20)], state)
        state = outcome.states
    assert torch.allclose(outcome.mean, torch.ones(30, 20), atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "nbits"),
    [((600,), 19200), ((2, 300), 19200), ((30, 20), 3200), ((8, 5, 3, 5), 2 * 32 * 83), ((), 32), ((0, 5), 0)],
    ids=str,
)
def test_powersgd_sends_raw_what_it_would_not_shrink(shape: tuple[int, ...], nbits: int) -> None:
    # 2 x 300 at rank 2 would take (2 + 300) 2 = 604 numbers for 600; 8 x 75 takes (8 + 75) 2.
    outcome = _run(PowerSGD(rank=2), [torch.randn(shape) for _ in range(WORKERS)], steps=1)[0]
    assert sum(messages[0].nbits for messages in outcome.messages) == nbits
    assert len(outcome.messages) == (1 if nbits in (19200, 32, 0) else 2)


def test_warm_up_is_dense_and_exact_until_it_is_over() -> None:
    grads = _grads()
    outcomes = _run(WarmUp(ErrorFeedback(TopK(ratio=0.05)), steps=3), grads, steps=5)
    sizes = [outcome.messages[0][0].nbits for outcome in outcomes]
    assert sizes == [32 * 600] * 3 + [30 * (32 + 10)] * 2
    assert torch.allclose(outcomes[2].mean, torch.stack(grads).mean(0))
