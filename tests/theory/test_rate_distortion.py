"""Against the values that follow by hand, and against samples."""

from __future__ import annotations

import numpy as np
import pytest
from netsim.theory import rate_distortion as rd

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
