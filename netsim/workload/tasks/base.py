"""What a built-in training task is: data found on any machine, a model, a loss, an optimizer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netsim.errors import InputError
from netsim.given import shown
from netsim.lazy import torch
from netsim.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, eq=False)
class Samples:
    """All samples of a task: inputs [samples, ...] and targets [samples, ...]."""

    inputs: torch.Tensor
    targets: torch.Tensor

    def micro_batch(
        self, step: int, worker: int, workers: int, batch: int, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the inputs and targets of one worker at one step, [batch, ...] each.

        Every epoch shuffles anew, from the seed. Each step takes the next `workers * batch` samples of the epoch, so
        that workers never share a sample; what is left at an epoch's end is dropped.

        Raises:
            InputError: the workers together ask for more samples than there are.
        """
        steps_per_epoch = len(self.inputs) // (workers * batch)
        if steps_per_epoch == 0:
            problem = f"{workers} workers with micro-batches of {batch} need more than the {len(self.inputs)} samples"
            raise InputError(problem, "lower workers or batch")
        epoch, position = divmod(step, steps_per_epoch)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.inputs), generator=generator)
        first = (position * workers + worker) * batch
        chosen = order[first : first + batch]
        return self.inputs[chosen], self.targets[chosen]


class Task(ABC):
    """A registered task: a frozen dataclass whose fields size its model; the defaults are what is captured."""

    kind: ClassVar[str]
    paper: ClassVar[str]
    default_batch: ClassVar[int]
    """Samples of one worker's micro-batch."""
    default_steps: ClassVar[tuple[int, ...]]
    """Captured steps: early, middle and late."""

    @abstractmethod
    def samples(self) -> Samples:
        """Return all samples; the same on every call."""

    @abstractmethod
    def model(self) -> torch.nn.Module:
        """Return the model, initialised from torch's global random state."""

    @abstractmethod
    def optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimizer that is usual for the model."""

    def loss(self, model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean cross entropy of the model's logits [..., classes] in nats."""
        return self.score(model, inputs, targets)[0]

    def score(
        self, model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss, and the share of targets to which the model gives the largest logit."""
        logits, wanted = model(inputs), targets.reshape(-1)
        flat = logits.reshape(-1, logits.shape[-1])
        right = (flat.detach().argmax(dim=1) == wanted).float().mean()
        return torch.nn.functional.cross_entropy(flat, wanted), right


tasks: Registry[Task] = Registry("task")


def differentiable(loss: object, task: Task) -> torch.Tensor:
    """Return a task's loss; raise InputError where no gradient can be had of it."""
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        what = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, torch.Tensor) else shown(loss)
        raise InputError(f"the loss of task {task.kind!r} is {what}", "return one number, such as the mean", "loss")
    if not loss.requires_grad:
        remedy = "compute it from the model's output without detach(), item() or no_grad()"
        raise InputError(f"the loss of task {task.kind!r} has no gradient", remedy, "loss")
    return loss
