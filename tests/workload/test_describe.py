from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from netsim.errors import TraceError
from netsim.workload.base import Tensor, Timing
from netsim.workload.describe import describe
from netsim.workload.trace import TraceFacts, write_trace

if TYPE_CHECKING:
    from pathlib import Path


def described(path: Path, facts: TraceFacts, *workers: torch.Tensor) -> dict[str, object]:
    """Describe a trace of one tensor and one step."""
    facts = dataclasses.replace(
        facts,
        tensors=(Tensor("weight", tuple(workers[0].shape)),),
        timing=Timing(0.5, 1.0, 0.25, (0.5,)),
        steps=(3,),
        num_workers=len(workers),
        losses=((None,) * len(workers),),
    )
    write_trace(path, facts, workers)
    return describe(path)["steps"][0]


def test_norms_losses_and_zeros_by_hand(tmp_path: Path, facts: TraceFacts) -> None:
    row = described(tmp_path / "a", facts, torch.tensor([3.0, 4.0, 0.0, 0.0]), torch.tensor([-3.0, 4.0, 0.0, 12.0]))
    assert row["norm"] == pytest.approx((5 + 13) / 2)
    assert row["mean_norm"] == pytest.approx(math.sqrt(0 + 4**2 + 6**2))
    assert row["zero_fraction"] == 3 / 8
    assert row["loss"] is None
    assert row["step"] == 3


@pytest.mark.parametrize("scale", [1e-6, 1.0])
def test_fits_tell_a_gaussian_from_a_laplace_distribution(scale: float, tmp_path: Path, facts: TraceFacts) -> None:
    rng = np.random.default_rng(0)
    normal = torch.from_numpy((scale * rng.normal(size=400_000)).astype(np.float32))
    laplace = torch.from_numpy((scale * rng.laplace(size=400_000)).astype(np.float32))
    a = described(tmp_path / "a", facts, normal)
    b = described(tmp_path / "b", facts, laplace)
    # The entropies: ln(2 pi e) / 2 of a unit Gaussian, ln(2 e) of a unit Laplace distribution.
    assert a["gaussian_nats"] == pytest.approx(-0.5 * math.log(2 * math.pi * math.e) - math.log(scale), abs=5e-3)
    assert b["laplace_nats"] == pytest.approx(-math.log(2 * math.e) - math.log(scale), abs=5e-3)
    assert a["gaussian_nats"] > a["laplace_nats"]
    assert b["laplace_nats"] > b["gaussian_nats"]
    assert a["excess_kurtosis"] == pytest.approx(0, abs=0.05)
    assert b["excess_kurtosis"] == pytest.approx(3, abs=0.3)


def test_values_that_do_not_vary_have_no_fit(tmp_path: Path, facts: TraceFacts) -> None:
    row = described(tmp_path / "a", facts, torch.zeros(5, 2))
    assert (row["zero_fraction"], row["norm"], row["gaussian_nats"], row["excess_kurtosis"]) == (1.0, 0.0, None, None)


def test_facts_and_tensors_are_listed(tmp_path: Path, facts: TraceFacts) -> None:
    write_trace(tmp_path / "a", facts, [torch.ones(tensor.shape) for _, tensor in facts.entries()])
    found = describe(tmp_path / "a")
    assert (found["device"], found["task"], found["batch"], found["workers"]) == ("a device", "test", 4, 2)
    assert (found["parameters"], found["gradient_bytes"]) == (3 + 15 + 1, 4 * 19)
    assert found["tensors"][1] == {"name": "fc.weight", "shape": [3, 5], "numel": 15, "ready_s": 0.5}
    assert [row["loss"] for row in found["steps"]] == [1.375, 0.5, 0.1875]


def test_damage_anywhere_is_found(trace: Path) -> None:
    data = bytearray(trace.read_bytes())
    data[-3] ^= 8
    trace.write_bytes(data)
    with pytest.raises(TraceError, match="is damaged"):
        describe(trace)
