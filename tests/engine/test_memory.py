"""What large tensors are spared: zeros that nobody has written to, and float64 copies of whole gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from netsim.compress.base import Peer, schemes
from netsim.engine import coder, measure, sparsity

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
