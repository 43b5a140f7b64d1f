"""What every registered scheme promises; a new member is tested here without an edit."""

from __future__ import annotations

import pickle
from contextlib import suppress
from dataclasses import FrozenInstanceError, fields, replace
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from netsim.compress import NonFiniteGradient, Peer, Scheme, Wrapper, compress, schemes, wire
from netsim.compress.base import Reply, check_finite
from netsim.compress.drive import Outcome, exchange
from netsim.compress.feedback import Feedback
from netsim.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = 3
SHAPES = [(0,), (1,), (2,), (), (99,), (100,), (101,), (511,), (512,), (513,), (0, 4), (24, 40), (6, 5, 3, 3), (1, 600)]


def _members() -> list[Scheme]:
    """Return every scheme by itself and every wrapper around every scheme that it accepts."""
    examples = [schemes.get(kind).example() for kind in schemes]
    plain = [one for one in examples if not isinstance(one, Wrapper)]
    wrapped = []
    for wrapper in (one for one in examples if isinstance(one, Wrapper)):
        for inner in examples:
            with suppress(InputError):  # a wrapper may refuse an inner scheme
                wrapped.append(replace(wrapper, inner=inner))
    return plain + wrapped


MEMBERS = _members()
every_scheme = pytest.mark.parametrize("scheme", MEMBERS, ids=lambda one: one.label)
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Keep the small tensors of these tests from waiting for threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def kinds(scheme: Scheme) -> list[str]:
    return [one.kind for one in scheme.chain()]


def _grads(shape: tuple[int, ...], step: int = 0, workers: int = WORKERS) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(step)
    return [torch.randn(shape, generator=draw) for _ in range(workers)]


def _states(scheme: Scheme, shape: tuple[int, ...], seed: int = 5, workers: int = WORKERS) -> list[object]:
    peers = [Peer(rank, workers=workers, owners=workers, seed=seed) for rank in range(workers)]
    return [scheme.init(torch.Size(shape), peer) for peer in peers]


def _steps(scheme: Scheme, shape: tuple[int, ...], count: int = 3, seed: int = 5) -> list[Outcome]:
    states, outcomes = _states(scheme, shape, seed), []
    for step in range(count):
        outcomes.append(exchange(scheme, _grads(shape, step), states))
        states = outcomes[-1].states
    return outcomes


@every_scheme
def test_messages_come_back_bit_for_bit_and_estimates_are_tensors_like_the_gradient(scheme: Scheme) -> None:
    for shape in SHAPES:
        for outcome in _steps(scheme, shape):
            for tensor in (outcome.mean, *outcome.own):
                assert tensor.shape == torch.Size(shape)
                assert tensor.dtype == torch.float32
                assert bool(torch.isfinite(tensor).all()), shape
            for message in (message for messages in outcome.messages for message in messages):
                data = message.pack()
                assert len(data) == ceil(message.nbits / 8), shape
                for part, back in zip(message.parts, wire.unpack(data, message.layout), strict=True):
                    assert part.shape == back.shape
                    assert part.dtype == back.dtype
                    assert torch.equal(part, back), shape


@every_scheme
def test_layout_is_known_without_the_gradient(scheme: Scheme) -> None:
    def layouts(grads: list[torch.Tensor]) -> list[list[tuple[wire.Field, ...]]]:
        outcome = exchange(scheme, grads, _states(scheme, shape))
        return [[message.layout for message in messages] for messages in outcome.messages]

    for shape in SHAPES:
        assert layouts(_grads(shape)) == layouts([torch.zeros(shape)] * WORKERS), shape


@every_scheme
@devices
def test_exchange_stays_on_the_device(scheme: Scheme, device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    grads = [grad.to(device) for grad in _grads((24, 40))]
    states = _states(scheme, (24, 40))
    for _ in range(2):
        outcome = exchange(scheme, grads, states)
        states = outcome.states
        parts = [part for messages in outcome.messages for message in messages for part in message.parts]
        assert {one.device.type for one in (outcome.mean, *outcome.own, *parts)} == {device}


@every_scheme
def test_all_workers_end_with_identical_tensors(scheme: Scheme) -> None:
    # Every worker gets a reply of its own here, so nothing can be shared but what was sent.
    for shape in SHAPES:
        states = _states(scheme, shape)
        for step in range(3):
            estimates, states = _each_with_its_own_reply(scheme, _grads(shape, step), states)
            assert all(torch.equal(one, estimates[0]) for one in estimates[1:]), shape


def _each_with_its_own_reply(
    scheme: Scheme, grads: list[torch.Tensor], states: list[object]
) -> tuple[list[torch.Tensor], list[object]]:
    running = [scheme.exchange(*pair) for pair in zip(grads, states, strict=True)]
    messages, ended = [next(worker) for worker in running], []
    while not ended:
        parts, messages = [message.parts for message in messages], []
        for worker in running:
            try:
                messages.append(worker.send(Reply(parts)))
            except StopIteration as end:
                ended.append(end.value)
    assert not messages
    return [estimate for estimate, _, _ in ended], [state for _, _, state in ended]


@every_scheme
def test_ops_are_as_declared(scheme: Scheme) -> None:
    rounds = [[messages[0].op for messages in outcome.messages] for outcome in _steps(scheme, (24, 40))]
    assert {op for ops in rounds for op in ops} <= scheme.ops
    collectives = max(sum(op != "shard" for op in ops) for ops in rounds)  # shards are an owner's answer
    assert (collectives > 1) == scheme.agrees or "skip_small" in kinds(scheme)


@every_scheme
def test_same_seed_same_bits(scheme: Scheme) -> None:
    for one, other in zip(_steps(scheme, (24, 40)), _steps(scheme, (24, 40)), strict=True):
        assert torch.equal(one.mean, other.mean)
        assert [[m.pack() for m in r] for r in one.messages] == [[m.pack() for m in r] for r in other.messages]


@every_scheme
def test_exchange_changes_neither_gradient_nor_state(scheme: Scheme) -> None:
    states = _steps(scheme, (24, 40), count=2)[-1].states
    grads = _grads((24, 40), step=9)
    before = [grad.clone() for grad in grads], pickle.dumps(states)
    first = exchange(scheme, grads, states)
    second = exchange(scheme, grads, states)
    assert torch.equal(first.mean, second.mean)
    assert all(torch.equal(*pair) for pair in zip(grads, before[0], strict=True))
    assert pickle.dumps(states) == before[1]


@every_scheme
def test_non_finite_gradient_is_rejected_by_name(scheme: Scheme) -> None:
    for value in (float("nan"), float("inf"), float("-inf")):
        grads = _grads((24, 40))
        grads[1][3, 7] = value
        with pytest.raises(NonFiniteGradient, match=r"layer1\.weight of worker 1: 1 of 960 values"):
            exchange(scheme, grads, _states(scheme, (24, 40)), what="layer1.weight")


def test_huge_finite_gradients_are_not_taken_for_infinite() -> None:
    check_finite(torch.full((5,), 3e38), "gradient")
    with pytest.raises(NonFiniteGradient, match="2 of 5 values"):
        check_finite(torch.tensor([float("inf"), 3e38, float("-inf"), 0, 1]), "gradient")


@every_scheme
def test_finite_gradients_give_finite_estimates(scheme: Scheme) -> None:
    for size in (0.0, 1e-42, 1e-30, 1e30):
        grads = [grad.clamp(-1, 1) * size for grad in _grads((24, 40))]
        outcome = exchange(scheme, grads, _states(scheme, (24, 40)))
        assert bool(torch.isfinite(outcome.mean).all()), size
        if not size and not scheme.scale_free:
            assert float(outcome.mean.abs().max()) == 0.0


@pytest.mark.parametrize("scheme", [one for one in MEMBERS if "shard" not in one.ops], ids=lambda one: one.label)
def test_mean_of_contributions_is_the_estimate(scheme: Scheme) -> None:
    # Where owners encode the mean again, only their error tells the two apart.
    for outcome in _steps(scheme, (24, 40)):
        assert torch.allclose(torch.stack(outcome.own).mean(0), outcome.mean, atol=1e-6)


@every_scheme
def test_one_worker_alone(scheme: Scheme) -> None:
    outcome = exchange(scheme, _grads((24, 40), workers=1), _states(scheme, (24, 40), workers=1))
    assert outcome.mean.shape == (24, 40)


@every_scheme
def test_what_contributes_of_older_gradients_says_so(scheme: Scheme) -> None:
    states = _steps(scheme, (24, 40), count=1)[-1].states
    later = exchange(scheme, [torch.zeros(24, 40)] * WORKERS, states).own
    if any(bool(own.any()) for own in later):
        assert scheme.feeds_back or scheme.scale_free


@pytest.mark.parametrize("wrapper", [kind for kind in schemes if issubclass(schemes.get(kind), Feedback)])
def test_nothing_is_fed_back_twice(wrapper: str) -> None:
    refused = [one for one in MEMBERS if one.feeds_back or one.scale_free]
    assert {"dgc", "ef21", "compressed_all_reduce", "sign_majority"} <= {one.kind for one in refused}
    for inner in refused:
        with pytest.raises(InputError, match=f"{wrapper} cannot wrap '.*; leave {wrapper} out, or"):
            replace(schemes.get(wrapper).example(), inner=inner)


def _fed_back() -> list[Scheme]:
    """Return error feedback around everything that it accepts."""
    found = []
    for inner in MEMBERS:
        with suppress(InputError):
            found.append(replace(schemes.get("error_feedback").example(), inner=inner))
    return [one for one in found if "warm_up" not in kinds(one)]


@pytest.mark.parametrize("scheme", _fed_back(), ids=lambda one: one.label)
def test_error_feedback_loses_nothing(scheme: Scheme) -> None:
    states = _states(scheme, (24, 40))
    for step in range(5):
        grads = _grads((24, 40), step)
        accumulated = [grad + state[1] for grad, state in zip(grads, states, strict=True)]
        outcome = exchange(scheme, grads, states)
        states = outcome.states
        for total, own, state in zip(accumulated, outcome.own, states, strict=True):
            # Where a code sends more than it was given, rounding is relative to what it sends.
            size = max(1.0, float(own.abs().max()))
            assert torch.allclose(own + state[1], total, rtol=1e-6, atol=1e-6 * size)


def _z_scores(scheme: Scheme, trials: int = 600) -> np.ndarray:
    """Return how many standard errors each element of the mean estimate is off, over independent seeds."""
    grad = torch.randn(2, 96, generator=torch.Generator().manual_seed(3))
    grad[:, ::8] = 0
    estimates = np.stack([compress(scheme, grad, seed=seed).mean.double().numpy() for seed in range(trials)])
    off = np.abs(estimates.mean(0) - grad.double().mean(0).numpy())
    # The floor is float32 rounding, for elements that every trial hits exactly.
    return off / np.maximum(estimates.std(0, ddof=1) / np.sqrt(trials), 1e-6)


def _variants() -> list[Scheme]:
    """Return unbiased members, with every choice of their switches and enumerations that leaves them unbiased."""
    found = []
    for member in MEMBERS:
        flags = [one.name for one in fields(member) if isinstance(getattr(member, one.name), bool)]
        found += [member, *(replace(member, **{flag: not getattr(member, flag)}) for flag in flags)]
    return [one for one in found if one.unbiased]


@pytest.mark.parametrize("scheme", _variants(), ids=lambda one: one.label)
def test_unbiased_schemes_are_unbiased(scheme: Scheme) -> None:
    # Of 96 elements none is 4.5 standard errors off but once in 1,500 runs; seeds are fixed.
    assert _z_scores(scheme).max() < 4.5


def test_the_test_of_bias_can_fail() -> None:
    assert _z_scores(schemes.get("scaled_sign").example(), trials=20).max() > 100


@pytest.mark.parametrize("levels", [1, 7, 128])
@pytest.mark.parametrize("norm", ["max", "l2"])
def test_qsgd_is_unbiased_at_any_setting(norm: str, levels: int) -> None:
    # Values near a level are rounded away so seldom that 600 trials are not normal: 4.8; 1,200: 3.9; 6,000: 2.5.
    scheme = replace(schemes.get("qsgd").example(), norm=norm, levels=levels, bucket=32)
    assert _z_scores(scheme, trials=1200).max() < 4.5


@pytest.mark.parametrize("scale", ["own", "shared"])
def test_terngrad_without_clipping_is_unbiased(scale: str) -> None:
    scheme = replace(schemes.get("terngrad").example(), scale=scale, clip=None)
    assert scheme.unbiased
    assert _z_scores(scheme).max() < 4.5


COARSE = {"topk_quantized", "adaptive_threshold"}
"""Sparsifiers that round the values they keep."""


@pytest.mark.parametrize(
    "scheme", [one for one in MEMBERS if hasattr(one, "ratio") and one.kind not in COARSE], ids=lambda one: one.label
)
def test_keeping_everything_is_the_identity(scheme: Scheme) -> None:
    grads = torch.stack(_grads((24, 40)))
    assert compress(replace(scheme, ratio=1.0), grads).rel_error < 1e-6


@every_scheme
def test_member_is_a_value(scheme: Scheme) -> None:
    assert pickle.loads(pickle.dumps(scheme)) == scheme
    assert hash(scheme) == hash(replace(scheme))
    for one in fields(scheme):
        with pytest.raises(FrozenInstanceError):
            setattr(scheme, one.name, None)


@pytest.mark.parametrize("kind", list(schemes))
def test_member_is_described_and_has_a_source(kind: str) -> None:
    summary, paper = schemes.summary(kind)
    assert summary.endswith(".")
    assert paper
