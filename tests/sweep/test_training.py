"""A sweep of trainings that was killed goes on from where its trainings are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netsim.engine import learn as learning
from netsim.sweep import sweep
from tests.engine.live import points

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_trained_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = points(schemes="[none, fp16, qsgd]", sweep="{topology.bandwidth: [1 Mbit/s, 1 Gbit/s]}")
    whole, turns, turn = sweep(given), [], learning.Learner.turn

    def counted(self: learning.Learner) -> None:
        if len(turns) == 12:
            raise KeyboardInterrupt
        turns.append(self)
        turn(self)

    monkeypatch.setattr(learning, "SAVED_EVERY_S", 0.0)
    monkeypatch.setattr(learning.Learner, "turn", counted)
    with pytest.raises(KeyboardInterrupt):
        sweep(given, out=tmp_path / "out")
    monkeypatch.setattr(learning.Learner, "turn", lambda self: (turns.append(self), turn(self)))
    resumed = sweep(given, out=tmp_path / "out", resume=True)
    assert len(turns) == 3 * 8  # three trainings of eight turns, none of them twice
    assert resumed.to_csv() == whole.to_csv()
    assert not list((tmp_path / "out" / "points").glob("*.half"))
