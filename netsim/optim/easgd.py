"""Elastic averaging SGD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Le

from netsim.optim.base import Asynchronous, Rows, Task, optimizers
from netsim.optim.walk import Walk, choices, walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsim.workload.live import Problem


class Centre(NamedTuple):
    """The centre [d], and what the last push found before it moved the centre [d]."""

    x: NDArray[np.float64]
    found: NDArray[np.float64]


@optimizers.register("easgd", paper="Zhang, Choromanska and LeCun, NeurIPS 2015 (arXiv:1412.6651), asynchronous")
@dataclass(frozen=True, kw_only=True)
class EASGD(Asynchronous):
    """Elastic averaging SGD: workers explore by themselves, tied to a common centre that follows them.

    Every `steps` local steps a worker and the centre move towards each other by `pull_strength` / W of what is between
    them. Wire: d floats up and d down; the worker sends its model and gets the centre as it was on arrival.
    """

    lr: Annotated[float, Gt(0)] = 0.1
    steps: Annotated[int, Ge(1)] = 16
    pull_strength: Annotated[float, Gt(0), Le(1)] = 0.9

    def serve(self, problem: Problem) -> Centre:
        """Return zeros."""
        return Centre(np.zeros(problem.size), np.zeros(problem.size))

    def begin(self, problem: Problem) -> Rows:
        """Return models of zeros."""
        return {"x": np.zeros((problem.workers, problem.size))}

    def pull(self, server: Centre) -> NDArray[np.float64]:
        """Return the centre as the last push found it."""
        return server.found

    def evaluations(self, problem: Problem, server: Centre) -> float:
        """Return the local steps."""
        return self.steps

    def compute(self, problem: Problem, task: Task) -> tuple[NDArray[np.float64], Rows]:
        """Move towards the centre, then go the local steps; push the model."""
        x = task.rows["x"]
        x = x - self.pull_strength / problem.workers * (x - task.pulled)
        none, zeros = np.zeros((len(x), problem.samples)), np.zeros_like(x)
        end = walk(
            problem, task.workers, Walk(x, none, zeros), choices(task.draws(), problem.samples, self.steps), self.lr
        )
        return end.x, {"x": end.x}

    def apply(self, problem: Problem, server: Centre, worker: int, push: NDArray[np.float64]) -> Centre:
        """Move the centre towards the worker's model."""
        return Centre(server.x + self.pull_strength / problem.workers * (push - server.x), server.x)

    def model(self, server: Centre) -> NDArray[np.float64]:
        """Return the centre."""
        return server.x

    def floats(self, problem: Problem, server: Centre) -> tuple[int, int]:
        """Return d each way."""
        return problem.size, problem.size
