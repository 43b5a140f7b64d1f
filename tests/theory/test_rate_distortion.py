"""Against the values that follow by hand, and against samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from netsim.codebooks import lloyd_max
from netsim.theory import rate_distortion as rd
from netsim.theory.sources import GeneralizedGaussian, fit, least_rate

TOP_K = ((1e-3, 0.98730, 0.04341, 0.98737), (0.01, 0.91551, 0.40079, 0.91637), (0.1, 0.56071, 3.6690, 0.57452))


@pytest.mark.parametrize(("ratio", "exact", "rate", "ternary"), TOP_K)
def test_top_k(ratio: float, exact: float, rate: float, ternary: float) -> None:
    assert rd.top_k_distortion(ratio) == pytest.approx(exact, abs=6e-6)
    assert rd.top_k_rate(ratio) == pytest.approx(rate, rel=2e-4)
    assert rd.ternary_top_k_distortion(ratio) == pytest.approx(ternary, abs=6e-6)


def test_everything_kept_is_nothing_lost() -> None:
    assert rd.top_k_distortion(1.0) == 0
    assert rd.ternary_top_k_distortion(1.0) == pytest.approx(rd.SCALED_SIGN_DISTORTION)


def test_shannon_is_its_own_inverse_and_below_every_scheme() -> None:
    for rate in (0.1, 0.5, 1.0, 4.0):
        assert rd.shannon_rate(rd.shannon_distortion(rate)) == pytest.approx(rate)
    assert rd.shannon_distortion(1.0) == 0.25 < rd.SCALED_SIGN_DISTORTION < rd.RMS_SIGN_DISTORTION
    for ratio, exact, rate, ternary in TOP_K:
        assert rd.shannon_distortion(rate) < exact
        assert rd.shannon_distortion(rd.binary_entropy(ratio) + ratio) < ternary


def test_samples_agree() -> None:
    x = np.random.default_rng(0).standard_normal(1_000_000)
    assert np.mean((x - np.abs(x).mean() * np.sign(x)) ** 2) == pytest.approx(rd.SCALED_SIGN_DISTORTION, rel=5e-3)
    assert np.mean((x - np.sqrt(np.mean(x**2)) * np.sign(x)) ** 2) == pytest.approx(rd.RMS_SIGN_DISTORTION, rel=5e-3)
    kept = np.abs(x) >= np.quantile(np.abs(x), 0.9)
    assert np.mean(np.where(kept, 0, x) ** 2) == pytest.approx(rd.top_k_distortion(0.1), rel=5e-3)
    ternary = np.where(kept, np.sign(x) * np.abs(x[kept]).mean(), 0)
    assert np.mean((x - ternary) ** 2) == pytest.approx(rd.ternary_top_k_distortion(0.1), rel=5e-3)
    random = np.random.default_rng(1).random(len(x)) < 0.25
    assert np.mean(np.where(random, 0, x) ** 2) == pytest.approx(rd.random_k_distortion(0.25), rel=5e-3)
    assert np.mean((np.where(random, 4 * x, 0) - x) ** 2) == pytest.approx(3.0, rel=2e-2)
    assert rd.random_k_distortion(0.25, rescaled=True) == 3.0


INDEX_RATES = ((1e-4, 0.00147, 0.0020), (0.01, 0.08079, 0.20), (0.22, 0.76017, 4.4))


@pytest.mark.parametrize(("ratio", "entropy", "naive"), INDEX_RATES)
def test_every_index_accounting(ratio: float, entropy: float, naive: float) -> None:
    assert rd.index_rate(ratio) == pytest.approx(entropy, rel=5e-3)
    assert rd.index_rate(ratio, "naive", 10**6) == pytest.approx(naive)
    assert rd.index_rate(ratio, "enumerative", 10**9) == pytest.approx(entropy, rel=5e-3)
    assert rd.index_rate(ratio, "enumerative", 1000) <= rd.index_rate(ratio)
    assert rd.index_rate(ratio, "bitmap") == 1
    assert rd.index_rate(ratio, "free") == 0
    with pytest.raises(ValueError, match="number of elements"):
        rd.index_rate(ratio, "naive")


def test_gamma_coded_gaps_take_what_they_take() -> None:
    # Adikari's slides show 7.209 and 3.768 bits for 32-bit values at these ratios.
    assert rd.top_k_rate(0.2, index="elias") == pytest.approx(7.209, rel=3e-3)
    assert rd.top_k_rate(0.1, index="elias") == pytest.approx(3.768, rel=3e-3)
    gaps = np.random.default_rng(0).geometric(0.1, 400_000)
    assert rd.index_rate(0.1, "elias") == pytest.approx(0.1 * np.mean(2 * np.floor(np.log2(gaps)) + 1), rel=5e-3)


# Distortion, and entropy where it is published (Max 1960).
LLOYD_MAX = {2: 0.363380, 3: 0.190174, 4: 0.117482, 5: 0.079941, 6: 0.057978, 7: 0.044000, 8: 0.034548, 16: 0.009501}
ENTROPY = {2: 1.0, 3: 1.5358, 4: 1.9111, 8: 2.8249, 16: 3.7653, 32: 4.7298}


def test_lloyd_max() -> None:
    for levels, distortion in (LLOYD_MAX | {32: 0.002505}).items():
        assert rd.lloyd_max(levels).distortion == pytest.approx(distortion, abs=6e-7)
    for levels, entropy in ENTROPY.items():
        assert rd.lloyd_max(levels).entropy == pytest.approx(entropy, abs=6e-5)
    # Panter and Dite: D -> (pi sqrt(3) / 2) 2^-2R at high rate.
    assert rd.lloyd_max(256).distortion * 256**2 == pytest.approx(np.pi * 3**0.5 / 2, rel=0.02)


def test_entropy_coded_uniform_is_a_quarter_bit_from_the_limit() -> None:
    for step in (0.05, 0.3, 1.0, 2.0, 4.0):
        point = rd.uniform(step)
        assert 0 < point.entropy - rd.shannon_rate(point.distortion) < 0.26
    fine = rd.uniform(0.05)
    assert fine.entropy - rd.shannon_rate(fine.distortion) == pytest.approx(0.5 * np.log2(np.pi * np.e / 6), abs=1e-3)


def test_quantized_values_lie_between_ternary_and_exact() -> None:
    for ratio in (1e-3, 0.05, 0.5):
        assert rd.quantized_top_k_distortion(ratio, 1) == pytest.approx(rd.ternary_top_k_distortion(ratio), rel=1e-9)
        falling = [rd.quantized_top_k_distortion(ratio, bits) for bits in (1, 2, 3, 4, 6, 8)]
        assert falling == sorted(falling, reverse=True)
        assert falling[-1] == pytest.approx(rd.top_k_distortion(ratio), rel=1e-3)
    assert rd.quantized_top_k_distortion(1.0, 3) == pytest.approx(rd.lloyd_max(8).distortion)


RATIOS = (1e-3, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)


def _rounded(x: np.ndarray, points: np.ndarray) -> float:
    edges = (points[1:] + points[:-1]) / 2
    return float(np.mean((x - points[np.searchsorted(edges, x)]) ** 2))


def test_a_million_samples_meet_every_closed_form() -> None:
    # Quantiles drawn one from each of a million equal cells: Gaussian samples whose tails have their exact share.
    # Plain samples scatter too much: as many have standard errors of 0.15 to 0.6 %, most for what top-k cuts off.
    size, draw = 1_000_000, np.random.default_rng(7)
    _meets_closed_forms(ndtri((np.arange(size) + draw.random(size)) / size), draw)


@pytest.mark.slow
def test_ten_million_plain_samples_meet_every_closed_form() -> None:
    draw = np.random.default_rng(7)
    _meets_closed_forms(draw.standard_normal(10_000_000), draw)


def _meets_closed_forms(x: np.ndarray, draw: np.random.Generator) -> None:
    size, within = len(x), {"rel": 5e-3}
    assert np.mean((x - np.abs(x).mean() * np.sign(x)) ** 2) == pytest.approx(rd.SCALED_SIGN_DISTORTION, **within)
    assert np.mean((x - np.sqrt(np.mean(x**2)) * np.sign(x)) ** 2) == pytest.approx(rd.RMS_SIGN_DISTORTION, **within)
    rising = np.sort(np.abs(x))
    for ratio in RATIOS:
        kept = np.abs(x) >= rising[size - round(ratio * size)]
        assert np.mean(np.where(kept, 0, x) ** 2) == pytest.approx(rd.top_k_distortion(ratio), **within)
        ternary = np.where(kept, np.sign(x) * np.abs(x[kept]).mean(), 0)
        assert np.mean((x - ternary) ** 2) == pytest.approx(rd.ternary_top_k_distortion(ratio), **within)
        points = lloyd_max(4, -ndtri(ratio / 2))
        tail = _rounded(np.abs(x[kept]), points) * ratio + np.mean(np.where(kept, 0, x) ** 2)
        assert tail == pytest.approx(rd.quantized_top_k_distortion(ratio, 3), **within)
        random = draw.random(size) < ratio
        assert np.mean(np.where(random, 0, x) ** 2) == pytest.approx(1 - ratio, **within)
    for levels in (2, 3, 4, 8, 16, 32):
        assert _rounded(x, lloyd_max(levels)) == pytest.approx(rd.lloyd_max(levels).distortion, **within)
    for step in (0.3, 1.0, 2.0):
        code = np.round(x / step).astype(int)
        cell = code - code.min()
        count = np.bincount(cell)
        means = np.bincount(cell, x) / np.maximum(count, 1)
        assert np.mean((x - means[cell]) ** 2) == pytest.approx(rd.uniform(step).distortion, **within)
        assert rd.entropy(count / size) == pytest.approx(rd.uniform(step).entropy, **within)


VECTORS = {
    (1, 2): 0.3647,
    (2, 4): 0.3633,
    (4, 16): 0.3415,
    (2, 2): 0.6818,
    (4, 4): 0.6463,
    (8, 16): 0.6035,
    (8, 4): 0.8209,
}


@pytest.mark.parametrize(("dimension", "codewords"), VECTORS)
def test_trained_vector_quantizers(dimension: int, codewords: int) -> None:
    found = rd.vector_quantizer_distortion(dimension, codewords)
    assert found == pytest.approx(VECTORS[dimension, codewords], abs=4e-3)
    assert found > rd.shannon_distortion(np.log2(codewords) / dimension)


@pytest.mark.slow
def test_vector_quantizer_of_dimension_8_at_one_bit() -> None:
    assert rd.vector_quantizer_distortion(8, 256) == pytest.approx(0.3242, abs=4e-3)


def test_bounds_of_a_gaussian_source_are_shannon_s() -> None:
    gaussian = GeneralizedGaussian(2.0)
    assert gaussian.entropy_bits == pytest.approx(0.5 * np.log2(2 * np.pi * np.e))
    for distortion in (0.9, 0.5, 0.1, 0.01, 1e-4):
        rate = rd.shannon_rate(distortion)
        assert rd.shannon_lower_bound(gaussian.entropy_bits, distortion) == pytest.approx(rate)
        assert least_rate(gaussian, distortion) == pytest.approx(rate, rel=5e-3, abs=1e-3)
    share, values = gaussian.on_grid()
    assert rd.blahut_arimoto(share, values, slope=2.0) == pytest.approx((1.0, 0.25), rel=2e-3)


def test_bounds_of_a_laplace_source() -> None:
    laplace = GeneralizedGaussian(1.0)
    assert laplace.entropy_bits == pytest.approx(np.log2(2 * np.e / 2**0.5))
    for distortion in (0.7, 0.3, 0.05):
        lower = rd.shannon_lower_bound(laplace.entropy_bits, distortion)
        assert lower <= least_rate(laplace, distortion) * 1.001 <= rd.shannon_rate(distortion)
    # At small distortion Shannon's lower bound is tight (Linkov 1965).
    assert least_rate(laplace, 0.01) == pytest.approx(rd.shannon_lower_bound(laplace.entropy_bits, 0.01), rel=2e-3)


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0])
def test_fit_finds_the_source(shape: float) -> None:
    draw = np.random.default_rng(0)
    values = draw.choice([-1, 1], 200_000) * draw.gamma(1 / shape, size=200_000) ** (1 / shape)
    assert fit(values).shape == pytest.approx(shape, abs=0.05)
    assert fit(7 * values) == fit(values)
    assert fit(np.zeros(10)).shape == 2.0
    assert fit(np.ones(10)).shape == 8.0
