"""Rate and distortion measured on samples and traces: against closed forms, and never better than the bound."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import torch

from netsim.compress import BlockTopK, Int8, LloydMax, ScaledSign, Threshold, TopK, VectorQuantizer
from netsim.engine.rate_distortion import GAUSSIAN, SIDE, layer_kind, measure, measured_schemes, write
from netsim.errors import NetsimError
from netsim.report.rate_distortion import gaps, rate_distortion
from netsim.theory import rate_distortion as rd
from netsim.workload.base import Tensor

if TYPE_CHECKING:
    from pathlib import Path

SCHEMES = [ScaledSign(), TopK(ratio=0.1), LloydMax(levels=8, code="entropy"), VectorQuantizer(dimension=2, codewords=2)]


@pytest.fixture(scope="module")
def measured(small_trace: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return measure([small_trace], SCHEMES)


def test_gaussian_samples_meet_the_closed_forms(measured: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    points = measured[0]
    found = points[points["source"] == GAUSSIAN].set_index("scheme")
    expected = {
        "scaled_sign": (1.0, rd.SCALED_SIGN_DISTORTION),
        "topk(ratio=0.1)": (rd.top_k_rate(0.1), rd.top_k_distortion(0.1)),
        "lloyd_max(levels=8, code=entropy)": rd.lloyd_max(8)[1:],
        "vector_quantizer(dimension=2, codewords=2)": (0.5, rd.vector_quantizer_distortion(2, 2)),
    }
    for scheme, (rate, distortion) in expected.items():
        assert found.loc[scheme, "coded_bits"] == pytest.approx(rate, rel=2e-3)
        assert found.loc[scheme, "distortion"] == pytest.approx(distortion, rel=2e-2)
        assert found.loc[scheme, "gap_bits"] == pytest.approx(rate - rd.shannon_rate(distortion), abs=0.02)
        assert found.loc[scheme, "gap_db"] > 0
    # As packed, an index into 2^18 samples takes 18 bits.
    assert found.loc["topk(ratio=0.1)", "rate_bits"] == pytest.approx(0.1 * (32 + 18), rel=1e-4)


def test_a_set_of_indices_takes_its_entropy_whatever_holds_it() -> None:
    drawn = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(0)).abs().flatten()
    edge = math.nextafter(float(drawn.topk(round(0.01 * len(drawn))).values[-1]), 0)  # what top-k keeps is above it
    points, _ = measure([], [TopK(ratio=0.01), BlockTopK(ratio=0.01, block=1), Threshold(threshold=edge)])
    top, blocks, above = points["coded_bits"]
    assert top == pytest.approx(rd.top_k_rate(0.01), rel=2e-3)
    assert blocks == pytest.approx(top)
    assert above == pytest.approx(top + 64 / len(drawn))  # two counts


def test_symbols_of_a_short_tensor_are_not_coded_below_what_tells_them(small_trace: Path) -> None:
    points, _ = measure([small_trace], [Int8(), LloydMax(levels=16)])
    short = points[points["elements"] < 100]
    assert len(short)
    # 255 or 16 symbols of which each comes once or twice: nothing is learnt of how often they come.
    assert (short["coded_bits"] > short["rate_bits"] - 0.5).all()
    assert (points["coded_bits"] <= points["rate_bits"]).all()
    gaussian = points[points["source"] == GAUSSIAN].set_index("scheme")["coded_bits"]
    assert gaussian["lloyd_max(levels=16)"] == pytest.approx(rd.lloyd_max(16).entropy, rel=2e-3)


def test_every_tensor_and_step_is_measured(measured: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    points, sources = measured
    traced = points[points["source"] != GAUSSIAN]
    assert len(traced) == 5 * 3 * len(SCHEMES)
    assert sorted(traced["step"].unique()) == [0, 5, 10]
    assert len(sources) == 5 * 3 + 1
    # Drawn from a Gaussian: the fit says so where there are enough values.
    large = sources[sources["elements"] > 1000]
    assert large["shape"].between(1.8, 2.3).all()
    assert (large["excess_kurtosis"].abs() < 0.5).all()
    assert (large["gaussian_distance"] < large["laplace_distance"]).all()
    assert (large["modes"] >= 1).all()


def test_tables_figure_and_files(measured: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    points, sources = measured
    text = gaps(points)
    assert "scaled_sign" in text
    assert max(map(len, text.splitlines())) <= 136
    figure = rate_distortion(points, sources)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Gaussian source", "small, step 0", "small, step 5", "small, step 10"]
    files = write(points, sources, tmp_path / "out")
    assert [file.name for file in files] == ["points.csv", "points.parquet", "sources.csv", "sources.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(files[1]), points)


def test_schemes_are_named_as_in_a_scenario() -> None:
    named = measured_schemes(["scaled_sign,rms_sign", "{kind: topk, ratio: 0.1}", "[error_feedback, topk]"])
    assert [one.label for one in named] == ["scaled_sign", "rms_sign", "topk(ratio=0.1)", "topk+error_feedback"]
    for wrong in ("topq", "{kind: topk, ratio: 3}", "[unclosed", "[as_shipped, sign_majority]"):
        with pytest.raises(NetsimError):
            measured_schemes([wrong])
    every = measured_schemes()
    assert len({one.label for one in every}) == len(every) > 25


def test_layers_are_told_apart_by_shape_and_name() -> None:
    kinds = {"conv1.weight": (8, 3, 3, 3), "fc.weight": (10, 64), "wte.weight": (99, 64), "bn.bias": (8,)}
    assert [layer_kind(Tensor(*one)) for one in kinds.items()] == ["conv", "linear", "embedding", "vector"]
