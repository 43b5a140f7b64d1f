"""Bits on the wire and distortion, against the closed forms of the papers."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch

import netsim
from netsim.compress import (
    QSGD,
    Bf16,
    ErrorFeedback,
    Fp16,
    LocalClipping,
    Peer,
    PowerSGD,
    RandomK,
    RmsSign,
    ScaledSign,
    Scheme,
    SignMajority,
    TopK,
    TwoWay,
    Uncompressed,
    WarmUp,
    compress,
)
from netsim.compress.drive import exchange
from netsim.errors import InputError

ROWS, COLUMNS = 512, 2048
NUMEL = ROWS * COLUMNS  # 2^20, so an index takes 20 bits
GAUSSIAN = torch.randn(1, ROWS, COLUMNS, generator=torch.Generator().manual_seed(1))

# Bits a worker sends for 2^20 elements, from what each method's authors put on the wire.
BITS: list[tuple[Scheme, float]] = [
    (Uncompressed(), 32 * NUMEL),
    (Fp16(), 16 * NUMEL),
    (Bf16(), 16 * NUMEL),
    (ScaledSign(), NUMEL + 32),
    (RmsSign(), NUMEL + 32),
    (TwoWay(RmsSign()), 2 * (NUMEL + 32)),
    (TopK(ratio=0.001), 1049 * (32 + 20)),
    (TopK(ratio=1.0), NUMEL * (32 + 20)),
    (RandomK(ratio=0.01), 10486 * 32),
    (QSGD(), 4 * NUMEL + 32 * NUMEL / 512),
    (QSGD(levels=127, bucket=128), 8 * NUMEL + 32 * NUMEL / 128),
    (QSGD(levels=1), 2 * NUMEL + 32 * NUMEL / 512),
    (PowerSGD(rank=4), 32 * 4 * (ROWS + COLUMNS)),
    (ErrorFeedback(TopK()), 10486 * 52),
    (WarmUp(TopK(), 1), 32 * NUMEL),
]


@pytest.mark.parametrize(("scheme", "nbits"), BITS, ids=[scheme.label for scheme, _ in BITS])
def test_bits_on_the_wire(scheme: Scheme, nbits: float) -> None:
    assert compress(scheme, GAUSSIAN).nbits_per_worker == nbits


@pytest.mark.parametrize(("rank", "published"), [(2, 0.0074), (7, 0.0236)])
def test_powersgd_of_resnet18_is_as_small_as_published(rank: int, published: float) -> None:
    """Relative to the gradient of CIFAR's ResNet-18 (Horvath et al., MSML 2022); at a rate of 2 rank 7 has 2.37 %."""
    blocks = [(64, 64), (64, 128), (128, 256), (256, 512)]
    convolutions = [(64, 3, 3, 3), *((wide, narrow, 1, 1) for narrow, wide in blocks[1:])]
    for narrow, wide in blocks:
        convolutions += [(wide, narrow, 3, 3), *[(wide, wide, 3, 3)] * 3]
    shapes = [*convolutions, (10, 512), (10,), *[(one[0],) for one in convolutions] * 2]
    assert sum(map(math.prod, shapes)) == 11_173_962
    scheme, floats = PowerSGD(rank=rank), 0
    for shape in shapes:
        coded = scheme.init(torch.Size(shape), Peer(0, 1, 1, 0)) is not None
        floats += rank * (shape[0] + math.prod(shape[1:])) if coded else math.prod(shape)
    assert floats / 11_173_962 == pytest.approx(published, abs=0.00005)


def _relative_energy_of_error(scheme: Scheme) -> float:
    return compress(scheme, GAUSSIAN).rel_error ** 2


# Distortion over variance of a Gaussian source. t is the quantile that keeps the ratio, phi the density there.
DISTORTION: list[tuple[Scheme, float]] = [
    (ScaledSign(), 1 - 2 / math.pi),
    (RmsSign(), 2 - 2 * math.sqrt(2 / math.pi)),
    (TopK(ratio=0.01), 0.91551),
    (TopK(ratio=0.1), 0.56071),
    (TopK(ratio=0.5), 0.07133),
    (RandomK(ratio=0.1), 0.9),
    (RandomK(ratio=0.1, rescale=True), 9.0),
]


@pytest.mark.parametrize(("scheme", "expected"), DISTORTION, ids=[scheme.label for scheme, _ in DISTORTION])
def test_distortion_on_a_gaussian_source(scheme: Scheme, expected: float) -> None:
    # A million samples: random-k keeps 10^5 of them, whose energy spreads by 0.45 %.
    assert _relative_energy_of_error(scheme) == pytest.approx(expected, rel=0.01, abs=2e-4)


def test_rescaled_one_bit_scales_are_the_published_ones() -> None:
    assert _relative_energy_of_error(RmsSign()) == pytest.approx(0.40423, abs=1e-3)
    assert _relative_energy_of_error(ScaledSign()) == pytest.approx(0.36338, abs=1e-3)


@pytest.mark.parametrize("levels", [1, 4, 22, 100])
def test_qsgd_variance_is_within_its_bound(levels: int) -> None:
    size = 512
    found = _relative_energy_of_error(QSGD(levels=levels, bucket=size, norm="l2"))
    assert 0 < found <= min(size / levels**2, math.sqrt(size) / levels)


def test_qsgd_with_few_levels_of_the_norm_matches_the_closed_form() -> None:
    # One level: x is kept with probability |x| / norm, so E error = norm |x|_1 - |x|^2 in each bucket.
    rows = GAUSSIAN.double().reshape(-1, 512)
    norms = rows.norm(dim=1)
    expected = float((norms * rows.abs().sum(1) - norms**2).sum() / (norms**2).sum())
    assert _relative_energy_of_error(QSGD(levels=1, norm="l2")) == pytest.approx(expected, rel=0.01)


def test_topk_keeps_the_largest_magnitudes() -> None:
    grads = torch.tensor([[0.5, -9.0, 0.0, 3.0, -2.0, 8.0]])
    assert compress(TopK(ratio=0.5), grads).mean.tolist() == [0.0, -9.0, 0.0, 3.0, 0.0, 8.0]


def test_sign_of_zero_is_plus() -> None:
    assert compress(RmsSign(), torch.tensor([[0.0, -2.0, 2.0, 0.0]])).mean.tolist() == pytest.approx(
        [math.sqrt(2), -math.sqrt(2), math.sqrt(2), math.sqrt(2)]
    )
    assert compress(ScaledSign(), torch.tensor([[0.0, -2.0, 2.0, 0.0]])).mean.tolist() == [1.0, -1.0, 1.0, 1.0]


def test_half_precision_saturates_and_rounds_to_nearest() -> None:
    values = torch.tensor([[1e6, -1e6, 1 + 2**-11, 1 + 3 * 2**-11, 3.4e38]])
    assert compress(Fp16(), values).mean.tolist() == [65504.0, -65504.0, 1.0, 1 + 2**-9, 65504.0]
    assert compress(Bf16(), values).mean[4] == torch.finfo(torch.bfloat16).max


def test_random_indices_are_shared_and_change_every_step() -> None:
    scheme = RandomK(ratio=0.1)
    peers = [Peer(rank, workers=2, owners=2, seed=4) for rank in range(2)]
    grads = [torch.ones(1000), torch.ones(1000)]
    states, supports = [scheme.init(torch.Size([1000]), peer) for peer in peers], []
    for _ in range(20):
        outcome = exchange(scheme, grads, states)
        states = outcome.states
        assert torch.equal(outcome.own[0], outcome.own[1])
        supports.append(tuple(outcome.mean.nonzero().flatten().tolist()))
        assert len(supports[-1]) == 100
    assert len(set(supports)) == 20
    # Each element is drawn with probability 0.1: over 20 steps the union holds 1 - 0.9^20 = 88 % of them.
    assert len(set().union(*supports)) == pytest.approx(878, abs=40)


def test_stochastic_rounding_differs_between_workers() -> None:
    scheme = QSGD(levels=1)
    peers = [Peer(rank, workers=2, owners=2, seed=4) for rank in range(2)]
    states = [scheme.init(torch.Size([1000]), peer) for peer in peers]
    outcome = exchange(scheme, [torch.linspace(-1, 1, 1000)] * 2, states)
    assert not torch.equal(outcome.own[0], outcome.own[1])


def test_importing_the_schemes_does_not_load_torch() -> None:
    # The module that stands for torch is registered at once; torch itself would bring its submodules along.
    code = "import sys, netsim.compress, netsim.workload.cost; sys.exit('torch.nn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_package_can_be_called() -> None:
    called, named = netsim.compress(TopK(), GAUSSIAN), compress(TopK(), GAUSSIAN)
    assert called.rel_error == named.rel_error
    assert called.mean.shape == (ROWS, COLUMNS)


def test_relative_error_is_that_of_the_mean() -> None:
    opposite = torch.tensor([[1.0, 4.0], [1.0, -4.0]])
    assert compress(Uncompressed(), opposite).rel_error == 0.0
    assert compress(TopK(ratio=0.5), opposite).rel_error == pytest.approx(1.0)
    assert compress(Uncompressed(), torch.zeros(2, 3)).rel_error == 0.0
    for grads in (opposite, torch.zeros(2, 3)):  # what has no size has no error
        assert math.isnan(compress(LocalClipping(SignMajority()), grads).rel_error)


@pytest.mark.parametrize("grads", [torch.ones(2, 3, dtype=torch.int64), torch.ones(0, 3), torch.tensor(1.0)])
def test_what_cannot_be_compressed_is_refused_with_the_remedy(grads: torch.Tensor) -> None:
    with pytest.raises(InputError, match="stacked along a first dimension of workers"):
        compress(TopK(), grads)


def test_arrays_are_taken_as_tensors_are_and_a_name_is_no_scheme():
    grads = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    given, same = (netsim.compress(netsim.scheme("topk"), one) for one in (grads, grads.numpy()))
    assert torch.equal(given.mean, same.mean)
    with pytest.raises(InputError, match=r"'topk' is no scheme; build one"):
        netsim.compress("topk", grads)


def test_labels_show_what_is_not_default() -> None:
    assert Uncompressed().label == "none"
    assert ErrorFeedback(TopK(ratio=0.001)).label == "topk(ratio=0.001)+error_feedback"
    assert ErrorFeedback(TwoWay(RmsSign())).label == "rms_sign+two_way+error_feedback"
    assert [one.kind for one in ErrorFeedback(TwoWay(RmsSign())).chain()] == ["error_feedback", "two_way", "rms_sign"]
    assert WarmUp(RandomK(rescale=True), 5).label == "randomk(rescale=true)+warm_up(steps=5)"
    assert QSGD(levels=127, norm="l2").label == "qsgd(levels=127, norm=l2)"


def test_wrappers_take_their_abilities_from_the_inner_scheme() -> None:
    assert ErrorFeedback(PowerSGD()).ops == {"sum"}
    assert WarmUp(TopK(), 1).ops == {"sum", "gather"}
    assert TwoWay(TopK()).ops == {"owner", "shard"}
    assert WarmUp(QSGD(), 1).unbiased
    assert not ErrorFeedback(QSGD()).unbiased
