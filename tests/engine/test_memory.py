"""What is held of states and errors: no zeros that nobody has written to, no float64 copies of whole gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from netsim.compress.base import Peer, schemes
from netsim.compress.drive import relative_error
from netsim.engine import coder, measure, sparsity
from netsim.engine.score import Score
from netsim.engine.simulate import simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from netsim.scenario.schema import Scenario

SHAPE = torch.Size([1000, 10])


def _tensors(state: Any) -> Iterator[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, tuple):
        for one in state:
            yield from _tensors(one)


@pytest.mark.parametrize("kind", ["error_feedback", "dgc", "ef21", "sign_majority"])
def test_a_first_state_takes_no_memory_and_is_zeros(kind: str) -> None:
    state = list(_tensors(schemes.get(kind).example().init(SHAPE, Peer(0, 4, 4, 1))))
    assert state
    for one in state:
        assert torch.equal(one, torch.zeros(SHAPE))
        assert one.untyped_storage().nbytes() == 4


def test_a_majority_has_a_direction_and_no_error(scenario: Callable[..., Scenario]) -> None:
    result = simulate(scenario(schemes="[sign_majority]", sync="all_to_all"))
    row = result.runs.iloc[0]
    assert np.isnan(row["rel_error"])
    assert result.steps["rel_error"].isna().all()
    assert 0 < row["cosine"] < 1


def test_an_error_of_nothing_is_infinite() -> None:
    score, zeros = Score(), torch.zeros(3, dtype=torch.float64)
    score.add(zeros, zeros)
    assert score.rel_error == relative_error(zeros, zeros) == 0
    score.add(zeros + 1, zeros)
    assert score.rel_error == relative_error(zeros + 1, zeros) == np.inf


@pytest.mark.parametrize("scheme", ["{kind: topk, ratio: 0.1}", "{kind: qsgd}"])
def test_blocks_change_nothing(scheme: str, scenario: Callable[..., Scenario], monkeypatch: pytest.MonkeyPatch) -> None:
    one = scenario(schemes=f"[{scheme}]")
    one = replace(one, job=replace(one.job, steps=1))
    whole = measure.measure(one)
    monkeypatch.setattr(coder, "JUDGED", 7)
    monkeypatch.setattr(sparsity, "COUNTED", 7)
    blocks = measure.measure(one)
    assert blocks.rel_error == pytest.approx(whole.rel_error, rel=1e-12)
    assert blocks.cosine == pytest.approx(whole.cosine, rel=1e-12)
    for some, other in zip(blocks.stages[0], whole.stages[0], strict=True):
        assert [stage.held.tolist() for stage in some] == [stage.held.tolist() for stage in other]
