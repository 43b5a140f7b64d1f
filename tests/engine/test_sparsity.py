"""Measured sparsity against brute force and closed forms, and the growth curve against workers it has not seen."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from netsim.engine.coding import Coding
from netsim.engine.job import run_job
from netsim.engine.measure import Measurement, measure
from netsim.engine.sparsity import Growth, count_holders, fit_growth, measure_sparsity, supports, union_densities
from netsim.sync import Payload
from netsim.workload.base import Timing
from netsim.workload.trace import open_trace, write_trace
from tests.traces import small_facts

TRACE = Path(__file__).parents[2] / "scenarios" / "traces" / "resnet20-digits.trace"


def _sparse(workers: int, numel: int, common: float, alone: float) -> list[torch.Tensor]:
    """Return tensors whose supports share some elements, the rest being of each one's own choice."""
    draw = torch.Generator().manual_seed(4)
    both = torch.rand(numel, generator=draw) < common
    return [(both | (torch.rand(numel, generator=draw) < alone)).float() for _ in range(workers)]


def test_union_is_the_mean_over_all_choices() -> None:
    supports = _sparse(5, 400, 0.1, 0.1)
    densities = union_densities(count_holders(supports))
    for size in range(1, 6):
        unions = [torch.stack([supports[one] for one in chosen]).any(dim=0) for chosen in combinations(range(5), size)]
        brute = np.mean([float(one.double().mean()) for one in unions])
        assert densities[size - 1] == pytest.approx(brute, rel=1e-9)


def test_ends_of_the_growth_curve() -> None:
    assert Growth(0.1, 1e9)(16) == pytest.approx(1 - 0.9**16, rel=1e-5)
    assert Growth(0.1, 1e-6)(16) == pytest.approx(0.1, rel=1e-4)
    for densities, expected in (([0.1, 0.19, 0.271], 1 - 0.9**64), ([0.1, 0.1, 0.1], 0.1)):
        assert fit_growth(np.array(densities))(64) == pytest.approx(expected, rel=0.01)


def test_the_curve_grows_as_its_law_says() -> None:
    # Few features, so that unions are their sums: with c = 0 and s = 1/2, 1 + 1/2 + 3/8 + ..., as 2 / sqrt(pi) sqrt(k).
    rare = Growth(1e-9, 0.0, 0.5)
    assert [rare(workers) for workers in (1, 2, 3)] == pytest.approx([1e-9, 1.5e-9, 1.875e-9])
    assert rare(10_000) == pytest.approx(1e-9 * 2 / np.sqrt(np.pi) * 100, rel=1e-3)


@pytest.mark.parametrize(("concentration", "discount"), [(3.0, 0.0), (0.5, 0.6), (-0.2, 0.7)])
def test_the_curve_is_found_again(concentration: float, discount: float) -> None:
    law = Growth(0.05, concentration, discount)
    found = fit_growth(np.array([law(workers) for workers in range(1, 5)]))
    assert (found.concentration, found.discount) == pytest.approx((concentration, discount), rel=0.02, abs=0.005)
    assert [found(workers) for workers in (8, 64)] == pytest.approx([law(8), law(64)], rel=1e-3)


@pytest.mark.parametrize("ratio", [0.001, 0.01, 0.1])
def test_growth_fitted_on_four_workers_predicts_eight(ratio: float) -> None:
    # Top-k of a layer's gradients; two steps of a trace of four workers stand for eight workers.
    trace = open_trace(TRACE)
    each = [one for step in range(2) for one in supports(trace, step, ratio)]
    densities = union_densities(count_holders(each))
    curve = fit_growth(densities[:4])
    for workers, density in enumerate(densities.tolist(), start=1):
        assert curve(workers) == pytest.approx(density, rel=0.05)


@pytest.mark.parametrize("size", [32, 256, 1000])
def test_blocks_equal_a_brute_force_count(size: int) -> None:
    gradients = _sparse(3, 5003, 0.001, 0.002)
    mine, union = measure_sparsity(gradients, (size,)).blocks[size]
    starts = range(0, 5003, size)
    counts = [sum(bool(one[start : start + size].any()) for start in starts) for one in gradients]
    both = sum(any(bool(one[start : start + size].any()) for one in gradients) for start in starts)
    assert mine == pytest.approx(np.mean(counts) / len(starts))
    assert union == pytest.approx(both / len(starts))


def test_hashing_balances_what_contiguous_shards_do_not() -> None:
    # Non-zeros in the first quarter only, as in an embedding whose frequent rows come first.
    gradients = [torch.zeros(200_000) for _ in range(4)]
    for worker, one in enumerate(gradients):
        one[worker:50_000:3] = 1
    found = measure_sparsity(gradients)
    assert found.hash_imbalance < 1.1
    assert found.shard_skew == pytest.approx(4)


def test_ring_chunks_grow_from_one_worker_to_the_union() -> None:
    found = measure_sparsity(_sparse(4, 40_000, 0.02, 0.03))
    assert list(found.ring) == sorted(found.ring)
    assert found.ring[0] == pytest.approx(found.union[0], rel=0.1)
    assert found.ring[-1] == pytest.approx(found.union[-1], rel=0.1)


def test_overlap_of_equal_and_of_independent_supports() -> None:
    same = torch.tensor([1.0, 0, 0, 2, 0, 0])
    assert measure_sparsity([same, same * 3]).overlap == pytest.approx(1)
    assert measure_sparsity(_sparse(6, 100_000, 0, 0.1)).overlap == pytest.approx(0.1, rel=0.05)


@pytest.fixture
def clustered(tmp_path: Path) -> Path:
    """Return a trace of 4 workers whose non-zeros lie in the first quarter of each tensor."""
    shapes = (("head", (10, 64)), ("body", (64, 64)), ("stem", (30,)))
    facts = small_facts(shapes, Timing(0.0, 0.3, 0.0, (0.1, 0.2, 0.3)), steps=(0,), losses=((1.0,) * 4,))
    draw = torch.Generator().manual_seed(1)
    firsts = [torch.arange(one.numel).reshape(one.shape) < one.numel / 4 for _, one in facts.entries()]
    grads = [torch.randn(one.shape, generator=draw) * (torch.rand(one.shape, generator=draw) < 0.5) for one in firsts]
    path = tmp_path / "clustered.trace"
    write_trace(path, facts, [grad * first for grad, first in zip(grads, firsts, strict=True)])
    return path


@pytest.mark.parametrize("workers", [2, 4, 5])
def test_owners_of_ranges_get_what_lies_in_them(scenario, clustered: Path, workers: int) -> None:
    """Bytes of each range by brute force, over all tensors of a bucket; the captured workers stand for all."""
    one = scenario(
        topology=f"{{kind: star, workers: {workers}, bandwidth: 1 Mbit/s}}",
        workload=f"{{kind: recorded, trace: {clustered}}}",
        sync="all_to_all",
        schemes="[sparcml]",
    )
    gradients, measured = one.workload.open(), measure(one)
    for bucket, (stage,) in zip(measured.buckets, measured.stages[0], strict=True):
        rows = [gradients.read(0, rank, bucket.first, bucket.last) for rank in range(measured.workers)]
        sent = [sum(_range_bytes(tensor.flatten(), workers) for tensor in tensors) for tensors in rows]
        np.testing.assert_allclose(stage.up_bytes[:, None] * stage.up_shares, np.stack(sent), rtol=1e-6)
        assert stage.down_shares.shape == (workers,)
        assert stage.down_shares[0] > 1.5 / workers
    both = (run_job(one, each, gradients.timing).steps[0]["exposed_comm_s"] for each in (measured, _even(measured)))
    skewed_s, even_s = both
    assert skewed_s > 1.5 * even_s


@pytest.fixture
def scattered(tmp_path: Path) -> Path:
    """Return a trace of 4 workers, each of which has a hundredth of the elements, by chance."""
    facts = small_facts((("body", (1000, 200)),), Timing(0.0, 0.1, 0.0, (0.1,)), steps=(0,), losses=((1.0,) * 4,))
    draw = torch.Generator().manual_seed(2)
    path = tmp_path / "scattered.trace"
    write_trace(
        path,
        facts,
        [torch.ones(one.shape) * (torch.rand(one.shape, generator=draw) < 0.01) for _, one in facts.entries()],
    )
    return path


def _payload(scenario, trace: Path, workers: int, **more: str) -> Payload:
    one = scenario(
        topology=f"{{kind: star, workers: {workers}, bandwidth: 1 Mbit/s}}",
        workload=f"{{kind: recorded, trace: {trace}}}",
        **more,
    )
    ((found,),) = [Coding(one, measure(one)).exchanges(0, 0)]
    return found.payload


@pytest.mark.parametrize("workers", [2, 4, 16])
def test_sums_grow_as_workers_join(scenario, scattered: Path, workers: int) -> None:
    """What n workers hold together, each a hundredth by chance: 1 - 0.99^n; of sixteen, four have been captured."""
    held = 200_000 * (1 - 0.99 ** np.arange(1, workers + 1))
    met = _payload(scenario, scattered, workers, schemes="[{kind: sparcml, form: recursive}]", sync="halving_doubling")
    np.testing.assert_allclose(met.union_bytes, 8 * held + 8, rtol=0.02)
    zen = _payload(scenario, scattered, workers, schemes="[zen]", sync="all_to_all")
    assert zen.down_bytes == pytest.approx(200_000 / 8 + 4 * held[-1] + 4 * workers, rel=0.02)
    blocks = 12_500 * (1 - 0.99 ** (16 * workers))
    omnireduce = _payload(scenario, scattered, workers, schemes="[{kind: omnireduce, block: 16}]", sync="all_to_all")
    assert omnireduce.down_bytes == pytest.approx(blocks * 17 * 4 + 8 * workers, rel=0.02)


def _range_bytes(flat: torch.Tensor, owners: int) -> np.ndarray:
    """Return [owners] bytes of a SparCML stream: in proportion to what lies in each range."""
    count = int(flat.count_nonzero())
    dense = 2 * count > len(flat)
    parts = flat.tensor_split(owners)
    each = np.array([len(part) if dense else int(part.count_nonzero()) for part in parts], dtype=float)
    nbytes = 4 * len(flat) + 8 if dense else 8 * count + 8
    return nbytes * (each / each.sum() if each.sum() else np.full(owners, 1 / owners))


def _even(measured: Measurement) -> Measurement:
    stages = tuple(
        tuple(tuple(replace(one, up_shares=None, down_shares=None) for one in bucket) for bucket in step)
        for step in measured.stages
    )
    return replace(measured, stages=stages)
