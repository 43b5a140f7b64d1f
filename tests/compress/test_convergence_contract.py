"""Convergence over the registry: with 8 workers, what claims to converge does, and what is known not to does not.

Two problems, 400 steps of plain SGD at a constant rate: a noisy quadratic whose workers have minima of their own, and
logistic regression on data that is split unevenly. To be reached is a loss within 5 % of uncompressed SGD's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch

from netsim.compress import OneShot, Peer, Scheme, Wrapper, schemes
from netsim.compress.drive import exchange

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS, ROWS, COLUMNS = 8, 12, 10
STEPS = 400


@dataclass(frozen=True)
class Problem:
    """A loss of x [ROWS, COLUMNS], the gradient of each worker at a step, and the rate of plain SGD."""

    loss: Callable[[torch.Tensor], float]
    gradients: Callable[[torch.Tensor, int], list[torch.Tensor]]
    rate: float


@cache
def _quadratic() -> Problem:
    """Curvatures from 0.3 to 1; workers' minima differ, so that their gradients do not vanish at the optimum."""
    draw = torch.Generator().manual_seed(0)
    shape = (ROWS, COLUMNS)
    curvature = torch.linspace(0.3, 1, ROWS * COLUMNS)[torch.randperm(ROWS * COLUMNS, generator=draw)].reshape(shape)
    minima = 3 + torch.randn(WORKERS, *shape, generator=draw)
    best = minima.mean(0)
    floor = float((curvature * (minima - best).square()).sum()) / (2 * WORKERS)

    def gradients(x: torch.Tensor, step: int) -> list[torch.Tensor]:
        noise = torch.randn(WORKERS, *shape, generator=torch.Generator().manual_seed(1 + step))
        return list(curvature * (x - minima) + 0.1 * noise)

    return Problem(lambda x: floor + 0.5 * float((curvature * (x - best).square()).sum()), gradients, 0.05)


@cache
def _logistic() -> Problem:
    """Each worker's 64 examples lie about a centre of its own; a little weight decay makes the minimum unique."""
    draw = torch.Generator().manual_seed(2)
    size = ROWS * COLUMNS
    truth = torch.randn(size, generator=draw)
    centres = torch.randn(WORKERS, 1, size, generator=draw)
    examples = (centres + torch.randn(WORKERS, 64, size, generator=draw)) / size**0.5
    labels = (examples @ truth + 0.3 * torch.randn(WORKERS, 64, generator=draw) > 0).float()

    def loss(x: torch.Tensor) -> float:
        flat = x.flatten()
        value = torch.nn.functional.binary_cross_entropy_with_logits(examples @ flat, labels)
        return float(value + 5e-3 * flat.square().sum())

    def gradients(x: torch.Tensor, step: int) -> list[torch.Tensor]:
        flat = x.flatten()
        off = torch.sigmoid(examples @ flat) - labels
        each = torch.einsum("wi,wid->wd", off, examples) / 64 + 1e-2 * flat
        return [one.reshape(ROWS, COLUMNS) for one in each]

    return Problem(loss, gradients, 1.0)


PROBLEMS = {"quadratic": _quadratic, "logistic": _logistic}

SETTINGS: dict[str, dict[str, object]] = {
    "topk": {"ratio": 0.1},
    "topk_quantized": {"ratio": 0.1},
    "adaptive_threshold": {"ratio": 0.1},
    "block_topk": {"ratio": 0.1, "block": 4},
    "randomk": {"ratio": 0.1},
    "threshold": {"threshold": 0.5},
    "gtopk": {"ratio": 0.1},
    "oktopk": {"ratio": 0.1, "period": 8},
    "dgc": {"ratio": 0.1, "sample": 0.5, "momentum": 0.5},
    "skip_small": {"below": 10},
    "local_clipping": {"norm": 100.0},
    "momentum_correction": {"momentum": 0.5},
    "pactrain": {"pruned": 0.0},
}
"""Parameters that suit a tensor of 120 elements; a scheme without an entry runs with its example's."""

ALONE = {"compressed_all_reduce", "dgc", "pactrain", "omnireduce", "sparcml", "zen", "none", "fp16", "bf16"}
"""Converge by themselves: exact, nearly so, or with a memory of their own."""

BIASED = ("topk", "topk_quantized", "adaptive_threshold", "block_topk", "threshold", "scaled_sign", "rms_sign")
"""Known not to converge by themselves where workers' gradients do not vanish at the optimum."""


WITHOUT_CLAIM: dict[str, dict[str, object]] = {
    "sign_majority": {},
    "count_sketch": {"counters": 1.0, "rows": 3, "recovered": 0.1},
}
"""Say that they do not: a majority's sign has no scale, and a sketch no larger than the gradient is mostly noise."""


def _example(kind: str) -> Scheme:
    member = schemes.get(kind)
    if issubclass(member, Wrapper):
        return member.example()
    return member(**SETTINGS.get(kind, {}))  # type: ignore[arg-type]


def _run(scheme: Scheme, problem: Problem) -> float:
    """Return the mean loss of the last tenth of the steps."""
    x = torch.zeros(ROWS, COLUMNS)
    states = [scheme.init(x.shape, Peer(rank, WORKERS, WORKERS, seed=3)) for rank in range(WORKERS)]
    losses = []
    rate = problem.rate * (1 - getattr(scheme, "momentum", 0.0))
    for step in range(STEPS):
        outcome = exchange(scheme, problem.gradients(x, step), states)
        x, states = x - rate * outcome.mean, outcome.states
        if step >= STEPS * 0.9:
            losses.append(problem.loss(x))
    return sum(losses) / len(losses)


@cache
def _uncompressed(problem: str) -> float:
    return _run(schemes.get("none").example(), PROBLEMS[problem]())


def _claims() -> list[Scheme]:
    """Return each member as it claims to converge: alone, under error feedback, or as a wrapper around top-k."""
    found = []
    for kind in schemes:
        member = schemes.get(kind)
        if kind in WITHOUT_CLAIM:
            continue
        if kind in ALONE:
            found.append(_example(kind))
        elif not issubclass(member, Wrapper):
            found.append(schemes.get("error_feedback")(inner=_example(kind)))  # type: ignore[call-arg]
        else:
            found.append(_wrapped(kind))
    return found


def _wrapped(kind: str) -> Scheme:
    """Return a wrapper around top-k, with error feedback where it brings none of its own."""
    inner: Scheme = _example("topk")
    fields = {**({"steps": 5} if kind == "warm_up" else {}), **SETTINGS.get(kind, {})}
    member = schemes.get(kind)
    if kind in {"error_feedback", "ef21", "momentum_correction"}:
        return member(inner=inner, **fields)  # type: ignore[call-arg]
    if kind in {"warm_up", "local_clipping"}:
        return member(inner=schemes.get("error_feedback")(inner=inner), **fields)  # type: ignore[call-arg]
    return schemes.get("error_feedback")(inner=member(inner=inner, **fields))  # type: ignore[call-arg]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("scheme", _claims(), ids=lambda one: one.label)
def test_reaches_the_uncompressed_loss(scheme: Scheme, problem: str) -> None:
    assert _run(scheme, PROBLEMS[problem]()) < 1.05 * _uncompressed(problem)


@pytest.mark.parametrize("kind", BIASED)
def test_does_not_without_error_feedback(kind: str) -> None:
    reached = [_run(_example(kind), PROBLEMS[problem]()) / _uncompressed(problem) for problem in PROBLEMS]
    assert max(reached) > 1.05
    assert isinstance(_example(kind), OneShot)


@pytest.mark.parametrize("kind", WITHOUT_CLAIM)
def test_what_claims_nothing_does_not_reach_it(kind: str) -> None:
    scheme = schemes.get(kind)(**WITHOUT_CLAIM[kind])  # type: ignore[arg-type]
    if kind == "count_sketch":
        scheme = schemes.get("error_feedback")(inner=scheme)  # type: ignore[call-arg]
    assert _run(scheme, _quadratic()) > 1.05 * _uncompressed("quadratic")


def test_the_problems_can_tell() -> None:
    for problem, make in PROBLEMS.items():
        assert make().loss(torch.zeros(ROWS, COLUMNS)) > 1.5 * _uncompressed(problem)
