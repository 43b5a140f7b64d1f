"""1-bit LAMB and its rivals on a small transformer: who follows LAMB's loss, sample for sample (arXiv:2104.06069, 4).

Published, BERT-Large: LAMB 1.362 and 1-bit Adam 1.504 at batch 16K; LAMB 1.451, 1-bit LAMB 1.443 and "basic 1-bit"
1.494 at 64K and 32K: 1-bit Adam's way with LAMB, the variance and the mean factors of warm-up frozen (section 3.4). To
compress gradients instead of momentum was slower by far, without a figure (appendix A.4). Here: a transformer of one
layer, batches of 2,048 bytes, 1,500 steps, a sixth of them warm-up, bounds of the factors as published, and for each
the best of three learning rates half a decade apart. As in the paper, the variance remembers as long as the warm-up
lasts: 1 / (1 - beta2) steps. There all factors are at their upper bound when warm-up ends. What frozen ones cost shows
where they can grow: at a larger batch, with the published learning rate over a training, its peak between the best and
one too low to get anywhere.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netsim
from netsim.engine.learn import learn

STEPS, WARM_UP, POINTS = {"onebit-lamb": 1500, "onebit-lamb-large-batch": 990}, 1 / 6, 30
SCENARIOS = Path(__file__).parents[2] / "scenarios"


@cache
def losses(
    kind: str, corrected: bool = True, scheme: str = "none", name: str = "onebit-lamb", seed: int = 0
) -> np.ndarray:
    """Return the loss on held-out samples at the points of a training, from the end of warm-up on."""
    one = next(
        one
        for one in netsim.load(SCENARIOS / f"{name}.yaml")
        if one.train.optimizer.kind == kind
        and getattr(one.train.optimizer, "corrected", True) == corrected
        and one.scheme.chain()[-1].kind == scheme
    )
    learned = learn(replace(one, seed=seed), replace(one.train, target=0.01))
    assert len(learned.turns) == STEPS[name]
    assert len(learned.curve) == POINTS + 1
    return np.array([row["loss"] for row in learned.curve[round(POINTS * WARM_UP) :]])


def apart(kind: str, corrected: bool = True, scheme: str = "none", **of: Any) -> np.ndarray:
    """Return how far a loss is above LAMB's after the same samples, as shares of it."""
    return losses(kind, corrected, scheme, **of) / losses("lamb", **of) - 1


@pytest.mark.slow
def test_one_bit_lamb_follows_lamb_within_two_percent_all_the_way() -> None:
    assert np.abs(apart("onebit_lamb")).max() <= 0.02


@pytest.mark.slow
def test_one_bit_adam_does_not() -> None:
    """Above by more than 2 % in the mean over the curve, and at the end still above."""
    found = apart("onebit_adam")
    assert found.mean() > 0.02
    assert found[-1] > 0


@pytest.mark.slow
def test_lamb_on_compressed_gradients_is_worse() -> None:
    """The same 1-bit exchange after the same warm-up, of gradients: always above, and by more than 2 % at the end."""
    found = apart("lamb", scheme="compressed_all_reduce")
    print(f"apart by {np.abs(found).max():.3f} at most, {found[-1]:.3f} at the end")  # noqa: T201
    assert found[1:].min() > 0
    assert found[-1] > 0.02
    assert found.mean() > max(apart("onebit_lamb").mean(), 0.02)


@pytest.mark.slow
def test_with_factors_at_their_bound_the_naive_variant_follows_as_well() -> None:
    """What is frozen is what LAMB's factors stay at."""
    assert np.abs(apart("onebit_lamb", corrected=False)).max() <= 0.02


SEEDS = range(3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_where_factors_grow_one_bit_lamb_follows_lamb_all_the_way(seed: int) -> None:
    assert np.abs(apart("onebit_lamb", **_growing(seed))).max() <= 0.02


@pytest.mark.slow
def test_where_factors_grow_the_naive_variant_is_worse() -> None:
    """Published at the end: 1.494 for LAMB's 1.451, 3 % above, where 1-bit LAMB is 0.6 % below. Every seed agrees."""
    follows, naive = (
        np.array([apart("onebit_lamb", corrected, **_growing(seed)) for seed in SEEDS]) for corrected in (True, False)
    )
    assert (naive.mean(axis=1) > follows.mean(axis=1)).all()
    assert naive[:, -1].mean() > 0.01
    late = slice(-15, None)  # the second half of training
    assert (naive.mean(axis=0) > follows.mean(axis=0))[late].all()


def _growing(seed: int) -> dict[str, Any]:
    return {"name": "onebit-lamb-large-batch", "seed": seed}
