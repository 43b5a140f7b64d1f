"""Cases of the learning rate over a training."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]

GIVEN = {"workload": "{kind: ridge, samples: 60, features: 8}"}


def _train(schedule: str) -> dict[str, str]:
    given = "optimizer: {kind: sgd, lr: 0.1, batch: 6}, max_epochs: 2, target: 1.0e-9"
    return {"train": f"{{{given}, schedule: {{{schedule}}}}}"}


CASES: dict[str, Case] = {
    "train.schedule.rise": (GIVEN | _train("begin: 0.1, rise: 1"), _train("begin: 0.1, rise: 2")),
    "train.schedule.begin": (GIVEN | _train("begin: 0.1, rise: 1"), _train("begin: 0.2, rise: 1")),
    "train.schedule.every": (GIVEN | _train("every: 1"), _train("every: 0.5")),
    "train.schedule.factor": (GIVEN | _train("every: 1"), _train("every: 1, factor: 0.5")),
}
