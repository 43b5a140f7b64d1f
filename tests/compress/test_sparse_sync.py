"""Lossless sparse synchronisation, Ok-Topk and PacTrain: exact results, sizes by hand, masks that stay shared."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from netsim.compress import AsShipped, ErrorFeedback, GTopK, OkTopK, OmniReduce, PacTrain, Peer, Scheme, SparCML, Zen
from netsim.compress.base import Message
from netsim.compress.drive import Outcome, exchange
from netsim.compress.lossless import Lossless

WORKERS, NUMEL = 4, 6000
LOSSLESS = [
    *[OmniReduce(block=16), Zen(), Zen(pull="coo")],
    *[SparCML(), SparCML(form="dsar"), SparCML(form="recursive")],
]


def _sparse(density: float, seed: int = 0, numel: int = NUMEL) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(numel, generator=draw) * (torch.rand(numel, generator=draw) < density) for _ in range(WORKERS)]


def _run(scheme: Scheme, steps: list[list[torch.Tensor]], owners: int = WORKERS) -> list[Outcome]:
    states = [scheme.init(steps[0][0].shape, Peer(rank, WORKERS, owners, seed=1)) for rank in range(WORKERS)]
    outcomes = []
    for grads in steps:
        outcomes.append(exchange(scheme, grads, states))
        states = outcomes[-1].states
    return outcomes


@pytest.mark.parametrize("owners", [1, 3, 4, 9])
@pytest.mark.parametrize("density", [0.0, 0.01, 0.4, 1.0])
@pytest.mark.parametrize("scheme", LOSSLESS, ids=lambda one: one.label)
def test_lossless_schemes_give_the_mean(scheme: Scheme, density: float, owners: int) -> None:
    grads = _sparse(density)
    assert torch.allclose(_run(scheme, [grads], owners)[0].mean, torch.stack(grads).mean(0), atol=1e-7)


@pytest.mark.parametrize("density", [0.0, 0.01, 0.4, 1.0])
@pytest.mark.parametrize("scheme", LOSSLESS, ids=lambda one: one.label)
def test_the_size_of_a_sum_follows_from_what_messages_hold(scheme: Lossless, density: float) -> None:
    grads = _sparse(density)
    supports = [message.support() for message in _run(scheme, [grads], owners=1)[0].messages[0]]
    held, (_, fixed, item, most) = torch.stack([one.present for one in supports]).any(dim=0), supports[0]
    coded = scheme.code(torch.stack(grads).sum(0), pull=True)
    assert min(fixed + item * int(held.sum()), most) == Message.of("shard", *coded).nbits


def test_sizes_of_zen() -> None:
    grads = _sparse(0.02)
    push, pull = _run(Zen(), [grads])[0].messages
    for message, grad in zip(push, grads, strict=True):
        assert message.nbits == 64 * int(grad.count_nonzero()) + 2 * 32
    union = int(torch.stack(grads).mean(0).count_nonzero())
    # A bit for every element whatever the number of owners, and a count for each of them.
    assert sum(message.nbits for message in pull) == NUMEL + 32 * union + 32 * WORKERS
    plain = NUMEL * WORKERS  # what bitmaps over all elements from every owner would take
    assert sum(message.nbits for message in pull) - 32 * union - 32 * WORKERS == plain / WORKERS


def test_sizes_of_omnireduce_are_those_of_a_count_of_blocks() -> None:
    grads = _sparse(0.01)
    push, _ = _run(OmniReduce(block=16), [grads])[0].messages
    for message, grad in zip(push, grads, strict=True):
        blocks = sum(bool(grad[start : start + 16].any()) for start in range(0, NUMEL, 16))
        assert message.nbits == blocks * (16 * 32 + 32) + 2 * 32


def test_streams_turn_dense_where_that_is_shorter() -> None:
    sparse, dense = (_run(SparCML(), [_sparse(density)])[0].messages[0][0].nbits for density in (0.1, 0.9))
    assert sparse < 0.25 * 32 * NUMEL
    assert dense == 32 * NUMEL + 2 * 32


@pytest.mark.parametrize("owners", [1, 3, 4, 9])
@pytest.mark.parametrize(
    "scheme", [OmniReduce(block=1), Zen(), SparCML(), OkTopK(ratio=0.01)], ids=lambda one: one.label
)
def test_owners_weigh_what_they_are_sent_and_what_they_hand_out(scheme: Scheme, owners: int) -> None:
    """Non-zeros lie in the first half, so that ranges are skewed; hashed and balanced parts are not."""
    grads = [grad * (torch.arange(NUMEL) < NUMEL // 2) for grad in _sparse(0.05)]
    outcome = _run(scheme, [grads], owners)[0]
    push, pull = outcome.messages[-2:]
    ranged = isinstance(scheme, OmniReduce | SparCML)
    cut = scheme.cut(NUMEL, owners, torch.device("cpu")) if isinstance(scheme, Lossless) else None
    weights = torch.tensor([message.weigh() for message in push])
    assert weights.shape == (WORKERS, owners)
    if cut is not None:
        assert weights.tolist() == [[int(grad[part].count_nonzero()) for part in cut] for grad in grads]
    total = weights.sum(dim=0)
    if ranged:
        assert owners == 1 or total[-1] == 0
    else:
        assert total.max() <= (1 + 4 * math.sqrt(owners / total.sum())) * total.sum() / owners
    held = [message.weigh() for message in pull]
    assert [len(one) for one in held] == [len(range(rank, owners, WORKERS)) for rank in range(WORKERS)]
    assert [sum(one) for one in held] == [message.nbits for message in pull]


@pytest.mark.parametrize("owners", [1, 3, 9])
def test_wider_messages_weigh_as_much_of_each_part(owners: int) -> None:
    """With bytes for bits a shard of Zen's takes 8 bits an element, 32 a non-zero and 32 of count."""
    grads = [grad * (torch.arange(NUMEL) < NUMEL // 2) for grad in _sparse(0.05)]
    for inner in (OmniReduce(block=1), Zen(), SparCML(), OkTopK(ratio=0.01)):
        plain, wide = (_run(one, [grads], owners)[0].messages for one in (inner, AsShipped(inner)))
        assert [one.weigh() for one in wide[-2]] == [one.weigh() for one in plain[-2]]
        for rank, (message, before) in enumerate(zip(wide[-1], plain[-1], strict=True)):
            assert sum(message.weigh()) == message.nbits
            if message.nbits == before.nbits:
                assert message.weigh() == before.weigh()
            if isinstance(inner, Zen):
                mean, cut = sum(grads), inner.cut(NUMEL, owners, torch.device("cpu"))[rank::WORKERS]
                sizes = [8 * len(part) + 32 * int(mean[part].count_nonzero()) + 32 for part in cut]
                assert list(message.weigh()) == sizes


def test_a_dense_stream_weighs_elements_and_blocks_weigh_where_they_begin() -> None:
    grads = [grad * (torch.arange(NUMEL) < 0.9 * NUMEL) for grad in _sparse(0.9)]
    assert _run(SparCML(), [grads])[0].messages[0][0].weigh() == [NUMEL // WORKERS] * WORKERS
    one = torch.zeros(NUMEL)
    one[[1497, 1503]] = 1.0  # the second range begins at 1500, inside the block from 1488 to 1503
    assert _run(OmniReduce(block=16), [[one] * WORKERS])[0].messages[0][0].weigh() == [1, 0, 0, 0]


def test_zen_spreads_clustered_non_zeros_evenly() -> None:
    parts = Zen().cut(100_000, 16, torch.device("cpu"))
    assert torch.equal(torch.cat(list(parts)).sort().values, torch.arange(100_000))
    counts = [int((part < 25_000).sum()) for part in parts]
    assert max(counts) / (25_000 / 16) < 1.1


def test_oktopk_stays_near_k_and_below_its_bound() -> None:
    # All workers see much the same gradient, so that thresholds of 32 steps ago still fit.
    common = torch.randn(NUMEL, generator=torch.Generator().manual_seed(3))
    steps = [[common + 0.1 * grad for grad in _sparse(1.0, seed)] for seed in range(8)]
    outcomes = _run(OkTopK(ratio=0.02, period=4), steps)
    kept = round(0.02 * NUMEL)
    for outcome in outcomes:
        assert 0.5 * kept <= int(outcome.mean.count_nonzero()) <= 1.5 * kept
    for outcome in (outcomes[1], outcomes[6]):
        push, pull = outcome.messages
        sent = max(message.nbits for message in push) + sum(message.nbits for message in pull)
        assert sent / 64 < 6 * kept  # the paper's 6 k values and indices


def test_oktopk_balances_regions_every_so_often_and_makes_thresholds_anew_at_other_times() -> None:
    steps = [[grad * (seed + 1) for grad in _sparse(0.5, seed)] for seed in range(7)]
    outcomes = _run(OkTopK(ratio=0.02, period=2, balance=3), steps)
    assert [[one[0].op for one in outcome.messages] for outcome in outcomes] == [
        ["sum", "owner", "shard"] if step % 3 == 0 else ["owner", "shard"] for step in range(7)
    ]
    states = [outcome.states[0] for outcome in outcomes]
    assert [one.ends != other.ends for one, other in pairwise(states)] == [step % 3 == 0 for step in range(1, 7)]
    kept = round(0.02 * NUMEL)
    exact = [float(grads[0].abs().topk(kept).values[-1]) for grads in steps]
    anew = [one.local == least for one, least in zip(states, exact, strict=True)]
    assert anew == [step % 2 == 0 for step in range(7)]
    assert (OkTopK().period, OkTopK().balance) == (32, 64)


def test_oktopk_follows_what_error_feedback_holds_back() -> None:
    # Gradients have nothing in common: thresholds that stayed would let 9 k through.
    scheme, kept = ErrorFeedback(OkTopK(ratio=0.02)), round(0.02 * NUMEL)
    outcomes = _run(scheme, [_sparse(1.0, 10 * step) for step in range(128)])
    sent = [len(outcome.messages[-2][0].parts[0]) / kept for outcome in outcomes]
    handed_on = [sum(len(message.parts[0]) for message in outcome.messages[-1]) / kept for outcome in outcomes]
    assert sent[::32] == [1.0] * 4
    assert max(sent) < 4
    assert all(2 / 3 < one < 3 / 2 for one in sent[8:])
    assert all(2 * (up + down) < 6 for up, down in zip(sent[97:], handed_on[97:], strict=True))  # the paper's 6 k


def test_oktopk_gives_the_largest_sums_when_thresholds_are_new() -> None:
    common = torch.randn(NUMEL, generator=torch.Generator().manual_seed(5))
    mean = _run(OkTopK(ratio=0.02), [[common] * WORKERS])[0].mean
    assert torch.allclose(mean, common * (mean != 0))
    assert set(mean.nonzero().flatten().tolist()) == set(common.abs().topk(120).indices.tolist())


def _masked(seed: int, mask: torch.Tensor) -> list[torch.Tensor]:
    return [grad * mask for grad in _sparse(1.0, seed)]


def test_pactrain_packs_what_a_stable_mask_keeps() -> None:
    mask = torch.rand(NUMEL, generator=torch.Generator().manual_seed(7)) < 0.2
    outcomes = _run(PacTrain(pruned=0.0), [_masked(seed, mask) for seed in range(3)])
    sizes = [[messages[0].nbits for messages in outcome.messages] for outcome in outcomes]
    assert sizes == [[32 * NUMEL]] + [[8, 32 * int(mask.sum())]] * 2
    for seed, outcome in enumerate(outcomes):
        assert torch.allclose(outcome.mean, torch.stack(_masked(seed, mask)).mean(0), atol=1e-7)


def test_one_worker_outside_the_mask_makes_everyone_synchronise() -> None:
    mask = torch.rand(NUMEL, generator=torch.Generator().manual_seed(7)) < 0.2
    grads = _masked(1, mask)
    grads[2][int((~mask).nonzero()[0])] = 3.0
    outcomes = _run(PacTrain(pruned=0.0), [_masked(0, mask), grads, _masked(2, mask)])
    sizes = [[messages[0].nbits for messages in outcome.messages] for outcome in outcomes]
    assert sizes[1:] == [[8, 32 * NUMEL], [8, 32 * (int(mask.sum()) + 1)]]
    assert torch.allclose(outcomes[1].mean, torch.stack(grads).mean(0), atol=1e-7)


@pytest.mark.parametrize(("ternary", "nbits"), [(False, 32), (True, 8)])
def test_pactrain_prunes_to_its_share(ternary: bool, nbits: int) -> None:
    outcome = _run(PacTrain(pruned=0.8, ternary=ternary), [_sparse(1.0, 0), _sparse(1.0, 1)])[1]
    assert outcome.messages[1][0].nbits == nbits * NUMEL * 0.2  # 5 times fewer bits, or 20 times
    assert int(outcome.mean.count_nonzero()) <= NUMEL * 0.2


def test_ternary_sums_are_exact_integers_and_unbiased() -> None:
    grads = _sparse(1.0, 2)
    scheme = PacTrain(pruned=0.0, ternary=True)
    total = torch.zeros(NUMEL)
    trials = 400
    states = _run(scheme, [grads])[0].states
    for _ in range(trials):
        outcome = exchange(scheme, grads, states)
        states = outcome.states
        codes = [message.parts[0] for message in outcome.messages[1]]
        assert {code.dtype for code in codes} == {torch.int8}
        total += outcome.mean
    peak = max(float(grad.abs().max()) for grad in grads)
    spread = peak / math.sqrt(trials * WORKERS)
    assert float((total / trials - torch.stack(grads).mean(0)).abs().max()) < 5 * spread


@pytest.mark.parametrize("workers", [2, 3, 4, 5, 8])
def test_gtopk_loses_nothing_and_keeps_k(workers: int) -> None:
    draw = torch.Generator().manual_seed(0)
    grads = [torch.randn(500, generator=draw) for _ in range(workers)]
    scheme = GTopK(ratio=0.02)
    states = [scheme.init(grads[0].shape, Peer(rank, workers, workers, seed=1)) for rank in range(workers)]
    outcome = exchange(scheme, grads, states)
    assert int(outcome.mean.count_nonzero()) == 10
    assert torch.allclose(torch.stack(outcome.own).sum(0), outcome.mean * workers, atol=1e-5)
    assert outcome.messages[0][0].nbits == 10 * (32 + 9)


def test_gtopk_of_equal_gradients_is_topk() -> None:
    grad = torch.randn(500, generator=torch.Generator().manual_seed(0))
    mean = _run(GTopK(ratio=0.02), [[grad] * WORKERS])[0].mean
    assert torch.allclose(mean, grad * (mean != 0), atol=1e-6)
    assert set(mean.nonzero().flatten().tolist()) == set(grad.abs().topk(10).indices.tolist())
