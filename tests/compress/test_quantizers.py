"""Bits an element of the quantizers as their authors count them, and distortion on a Gaussian source."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from netsim.codebooks import lloyd_max
from netsim.compress import (
    QSGD,
    THC,
    CountSketch,
    Drive,
    Eden,
    Fp8,
    Int8,
    LloydMax,
    Natural,
    NaturalDithering,
    OneBitColumns,
    Peer,
    Scheme,
    SignMajority,
    TernGrad,
    VectorQuantizer,
    compress,
    eden,
    schemes,
)
from netsim.compress.drive import exchange
from netsim.errors import InputError

ROWS, COLUMNS = 1024, 1024
NUMEL = ROWS * COLUMNS
GAUSSIAN = torch.randn(1, ROWS, COLUMNS, generator=torch.Generator().manual_seed(1))

BITS: list[tuple[Scheme, float]] = [
    (Fp8(), 8 * NUMEL + 32),
    (Int8(), 8 * NUMEL + 32 * NUMEL / 2048),
    (OneBitColumns(), NUMEL + 64 * COLUMNS),
    (SignMajority(), 2 * NUMEL),
    (TernGrad(), 46 * math.ceil(NUMEL / 29) + 32),
    (TernGrad(scale="shared"), 2 * NUMEL + 32),
    (Natural(), 9 * NUMEL),
    (NaturalDithering(levels=8), 31 + NUMEL * (2 + 3)),
    (NaturalDithering(levels=32), 31 + NUMEL * (2 + 5)),
    (LloydMax(levels=16), 4 * NUMEL + 32),
    (VectorQuantizer(dimension=8, codewords=4), NUMEL / 8 * 2 + 32),
    (Drive(), NUMEL + 64),
    (Eden(bits=1), NUMEL + 64),
    (Eden(bits=4), 4 * NUMEL + 64),
    (Eden(bits=0.25), NUMEL / 4 + 64),
    (THC(), (4 + 8) * NUMEL + 32),
    (CountSketch(counters=0.1, rows=4), 32 * 4 * round(0.1 * NUMEL / 4)),
]


@pytest.mark.parametrize(("scheme", "nbits"), BITS, ids=[scheme.label for scheme, _ in BITS])
def test_bits_on_the_wire(scheme: Scheme, nbits: float) -> None:
    assert compress(scheme, GAUSSIAN).nbits_per_worker == nbits


def test_ternary_digits_are_packed_close_to_their_entropy() -> None:
    assert compress(TernGrad(), GAUSSIAN).nbits_per_worker / NUMEL == pytest.approx(math.log2(3), rel=1e-3)


def test_shared_scale_and_thc_widen_their_sums_with_the_workers() -> None:
    def width(scheme: Scheme, workers: int, place: int) -> int:
        grads = [torch.ones(8)] * workers
        states = [scheme.init(torch.Size([8]), Peer(rank, workers, workers, 0)) for rank in range(workers)]
        return exchange(scheme, grads, states).messages[place][0].layout[0].width

    assert [width(TernGrad(scale="shared"), workers, 1) for workers in (1, 3, 4, 16)] == [2, 3, 4, 6]
    assert [width(THC(), workers, 2) for workers in (1, 8, 9)] == [8, 8, 9]


def test_elias_code_of_as_many_levels_as_the_root_of_the_bucket_takes_2_8_bits() -> None:
    # Alistarh et al.: 2.8 d + 32 for a norm of d values and sqrt(d) levels.
    for bucket in (64, 256, 1024):
        scheme = QSGD(levels=math.isqrt(bucket), bucket=bucket, norm="l2", code="elias")
        nbits = compress(scheme, GAUSSIAN).nbits_per_worker
        assert 2.0 * NUMEL < nbits <= (2.8 * bucket + 32) * NUMEL / bucket


def test_the_codes_of_qsgd_say_the_same() -> None:
    fixed = compress(QSGD(), GAUSSIAN)
    elias = compress(QSGD(code="elias"), GAUSSIAN)
    assert torch.equal(fixed.mean, elias.mean)


@pytest.mark.parametrize("levels", [2, 3, 8, 32])
def test_entropy_coded_levels_take_their_entropy(levels: int) -> None:
    scheme = LloydMax(levels=levels, code="entropy")
    coded = compress(scheme, GAUSSIAN)
    points = torch.unique(coded.mean, return_counts=True)[1] / NUMEL
    entropy = float(-(points * points.log2()).sum())
    assert coded.nbits_per_worker / NUMEL == pytest.approx(entropy, rel=0.002)
    assert torch.equal(coded.mean, compress(replace(scheme, code="fixed"), GAUSSIAN).mean)


# Distortion over variance of a Gaussian source, from the closed forms of rounding it.
DISTORTION: list[tuple[Scheme, float]] = [
    (OneBitColumns(), 1 - 2 / math.pi),
    (LloydMax(levels=2), 0.363380),
    (LloydMax(levels=4), 0.117482),
    (LloydMax(levels=8), 0.034548),
    (LloydMax(levels=32), 0.002505),
    (VectorQuantizer(dimension=4, codewords=16), 0.3415),
    (VectorQuantizer(dimension=2, codewords=2), 0.6818),
    # With the unbiased scale D becomes D / (1 - D) for a quantizer whose points are the means of their cells.
    (Drive(), math.pi / 2 - 1),
    (Drive(scale="least_error"), 1 - 2 / math.pi),
    (Eden(bits=1), math.pi / 2 - 1),
    (Eden(bits=2), 0.117482 / (1 - 0.117482)),
    (Eden(bits=0.5), math.pi - 1),
]


@pytest.mark.parametrize(("scheme", "expected"), DISTORTION, ids=[scheme.label for scheme, _ in DISTORTION])
def test_distortion_on_a_gaussian_source(scheme: Scheme, expected: float) -> None:
    assert compress(scheme, GAUSSIAN).rel_error ** 2 == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("bits", [0.5, 0.25])
def test_eden_of_less_than_a_bit_has_the_mean_of_one_bit_and_its_length(
    bits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over all windows that may be sent; |x'| = |x| |x|_2 / |Rx|_1 d / sqrt(m) is at most |x| d / sqrt(m)."""
    grads = GAUSSIAN[0, :1, :64]
    estimates = []
    for start in range(64):
        monkeypatch.setattr(eden, "_first", lambda *_, start=start: start)
        estimates.append(compress(Eden(bits=bits), grads).mean)
    assert torch.allclose(torch.stack(estimates).mean(0), compress(Eden(bits=1), grads).mean, atol=1e-5)
    monkeypatch.undo()
    for values in ([0.3, -0.3], [1.0] * 4, [1.0, 0.0, 0.0, -1.0], [1.0] * 8, [0.0] * 3, [7.0]):
        exact = torch.tensor([values])
        most = float(exact.norm()) * len(values) / math.sqrt(max(1, round(bits * len(values))))
        for seed in range(20):
            assert float(compress(Eden(bits=bits), exact, seed=seed).mean.norm()) <= 1.001 * most


def test_a_rotation_helps_where_one_value_is_large() -> None:
    spike = torch.zeros(1, 4096)
    spike[0, 7] = 5.0
    assert compress(Drive(), spike).rel_error < 1e-3  # all rotated values have one magnitude
    assert compress(LloydMax(levels=2), spike).rel_error > 0.5


def test_natural_compression_has_a_variance_of_an_eighth_at_most() -> None:
    # The worst value is 4/3 between two powers: (4/3 - 1)(2 - 4/3) / (4/3)^2 = 1/8.
    worst = torch.full((1, NUMEL), 4 / 3)
    assert compress(Natural(), worst).rel_error ** 2 == pytest.approx(1 / 8, rel=0.01)
    assert compress(Natural(), GAUSSIAN).rel_error ** 2 < 1 / 8
    powers = torch.tensor([[1.0, -0.5, 0.25, -8.0, 0.0, 2.0**-126]])
    assert torch.equal(compress(Natural(), powers).mean, powers[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # the compiled loop, and what other devices run
@pytest.mark.parametrize("levels", [4, 8])
def test_natural_dithering_leaves_its_levels_and_zero_as_they_are(levels: int, dtype: torch.dtype) -> None:
    scheme, powers = NaturalDithering(levels=levels, norm="max"), torch.tensor([1, -0.5, 0.25, 0, -0.125], dtype=dtype)
    key = scheme.init(powers.shape, Peer(0, workers=1, owners=1, seed=0))
    assert torch.equal(scheme.decode(scheme.encode(powers, key).parts, powers.shape, key), powers.float())


@pytest.mark.parametrize("levels", [2, 8, 16])
def test_natural_dithering_is_within_its_bound(levels: int) -> None:
    rows = GAUSSIAN.reshape(-1, 256)[:64]
    least = math.sqrt(256) * 2.0 ** (1 - levels)
    bound = 1 / 8 + least * min(1, least)
    for row in rows:
        assert compress(NaturalDithering(levels=levels), row[None]).rel_error ** 2 <= 1.3 * bound  # one sample of it


def test_terngrad_matches_its_closed_form() -> None:
    # Kept with probability |x| / scale, an error of scale |x| - x^2 each.
    flat = GAUSSIAN.double().flatten()
    top = flat.abs().max()
    expected = float((top * flat.abs() - flat**2).sum() / (flat**2).sum())
    assert compress(TernGrad(clip=None), GAUSSIAN).rel_error ** 2 == pytest.approx(expected, rel=0.01)
    digits = torch.unique(compress(TernGrad(), GAUSSIAN).mean)
    assert digits.tolist() == pytest.approx([-2.5, 0.0, 2.5], rel=0.01)


@pytest.mark.parametrize("scale", ["own", "shared"])
@pytest.mark.parametrize("shape", [(), (1,), (6,), (1000,)])
def test_terngrad_sends_what_does_not_vary_exactly(scale: str, shape: tuple[int, ...]) -> None:
    """No element is an outlier; the deviation is 0, or what rounding of the mean leaves of it."""
    for value in (0.25, -0.1, 3e-30):
        grads = torch.full((2, *shape), value)
        assert torch.allclose(compress(TernGrad(scale=scale), grads).mean, grads[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("format", "mantissa_bits"), [("e4m3", 3), ("e5m2", 2)])
def test_fp8_rounds_to_its_mantissa(format: str, mantissa_bits: int) -> None:
    found = compress(Fp8(format=format), GAUSSIAN)
    error = ((found.mean - GAUSSIAN[0]) / GAUSSIAN[0]).abs()[GAUSSIAN[0].abs() > 0.1]
    half = 2.0 ** -(mantissa_bits + 1)  # of the distance to the next number; worst just above a power of two
    assert float(error.max()) == pytest.approx(half / (1 + half), rel=1e-3)


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_half_precision_is_that_of_the_library_and_never_infinite(kind: str) -> None:
    # Random bits are floats of all exponents; around the smallest and largest halves everything counts, and ties do.
    bits = torch.randint(-(2**31), 2**31, (10**6,), generator=torch.Generator().manual_seed(0)).int()
    halves = torch.arange(-(2**15), 2**15).short().view(torch.float16).float()
    values = torch.cat([bits.view(torch.float32), halves, halves.nextafter(halves * 2), (halves + halves.roll(1)) / 2])
    values = values[values.isfinite()]
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[kind]
    largest = torch.finfo(dtype).max
    expected = values.clamp(-largest, largest).to(dtype).float()
    scheme = schemes.get(kind).example()
    found = compress(scheme, values[None]).mean
    assert torch.equal(found.view(torch.int32), expected.view(torch.int32))


def test_majority_of_signs_and_momentum() -> None:
    grads = [
        torch.tensor([1.0, -2.0, 3.0, -1.0]),
        torch.tensor([1.0, 5.0, -3.0, -1.0]),
        torch.tensor([-9.0, -1, -1, 1]),
    ]
    scheme = SignMajority(momentum=0.5)
    states = [scheme.init(torch.Size([4]), Peer(rank, 3, 3, 0)) for rank in range(3)]
    first = exchange(scheme, grads, states)
    assert first.mean.tolist() == [1, -1, -1, -1]
    # Momentum 0.25 g - 0.5 h: a gradient half as large in the other direction leaves zeros, of which the sign is plus.
    assert exchange(scheme, [-grad / 2 for grad in grads], first.states).mean.tolist() == [1, 1, 1, 1]
    assert exchange(scheme, [-grad / 3 for grad in grads], first.states).mean.tolist() == [1, -1, -1, -1]


def test_columns_have_values_of_their_own() -> None:
    grad = torch.tensor([[1.0, -10.0], [3.0, 20.0], [-6.0, 40.0]])
    assert compress(OneBitColumns(), grad[None]).mean.tolist() == [[2.0, -10.0], [2.0, 30.0], [-6.0, 30.0]]


def test_sketch_recovers_the_few_large_values() -> None:
    draw = torch.Generator().manual_seed(0)
    grads = torch.randn(2, 20_000, generator=draw) * 0.01
    grads[:, ::1000] += 10 * torch.randn(20, generator=draw)
    exact = grads.mean(0)
    found = compress(CountSketch(counters=0.2, recovered=0.001), grads)
    assert int(found.mean.count_nonzero()) == 20
    assert found.rel_error < 0.1
    assert float((found.mean - exact)[::1000].norm() / exact[::1000].norm()) < 0.05


def test_the_range_of_thc_is_a_number_even_for_the_largest_gradients() -> None:
    """Its limit is above the root mean square: infinity times the zeros of a rotated tensor would be no number."""
    assert not compress(THC(), torch.full((2, 300), torch.finfo(torch.float32).max)).mean.isnan().any()


def test_thc_is_nearly_unbiased_and_adds_without_decoding() -> None:
    grads = torch.randn(4, 4096, generator=torch.Generator().manual_seed(2))
    found = [compress(THC(), grads, seed=seed) for seed in range(20)]
    assert found[0].rel_error < 0.25
    bias = torch.stack([one.mean for one in found]).mean(0) - grads.mean(0)
    assert float(bias.norm() / grads.mean(0).norm()) < 0.09  # clipping, and what 20 draws leave of the noise
    uniform = compress(THC(bits=8, granularity=255, clipped=1e-4), grads)
    assert uniform.rel_error < 0.05


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="power of two"):
        VectorQuantizer(codewords=10)
    with pytest.raises(InputError, match=r"2\.5 bits"):
        Eden(bits=2.5)
    with pytest.raises(InputError, match="16 points"):
        THC(granularity=14)


def test_lloyd_max_points_are_the_means_of_their_cells() -> None:
    values = torch.randn(4_000_000, generator=torch.Generator().manual_seed(4)).double().numpy()
    for levels in (3, 8):
        points = lloyd_max(levels)
        cell = abs(values[:, None] - points).argmin(axis=1)
        means = [values[cell == one].mean() for one in range(levels)]
        assert means == pytest.approx(points.tolist(), abs=4e-3)
