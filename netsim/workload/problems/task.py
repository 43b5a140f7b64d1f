"""Networks of the built-in tasks, trained in simulated time by workers that share one module."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from netsim.errors import InputError
from netsim.lazy import torch
from netsim.registry import FileField
from netsim.workload.base import Tensor, Timing, workloads
from netsim.workload.live import Live, Objective
from netsim.workload.recorded import faster
from netsim.workload.tasks import Resnet20Digits, Task, differentiable
from netsim.workload.trace import read_header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netsim.workload.tasks import Samples
    from netsim.workload.trace_header import TraceHeader

_PRETRAINING_BATCH = 32


@workloads.register("live")
@dataclass(frozen=True, kw_only=True)
class LiveTask(Live):
    """A built-in task, trained in simulated time: needs `train`.

    Workers share `samples` of the task, by default all but the `held_out` ones, on which loss, accuracy and gradient
    norm are evaluated; batch normalisation takes the statistics of the batch at hand, there too. Seconds of a pass are
    those of the trace `timing` of the same model, in proportion to the batch, on a device that is `speed` times as
    fast; without one they are `train.gradient_time` a sample, a third of it forward, gradients ready in proportion to
    their sizes. `pretrained` epochs of the task's usual training on one machine come before simulated time begins.
    """

    linear: ClassVar[bool] = False
    task: Task = field(default_factory=Resnet20Digits)
    timing: Annotated[str, FileField(("traces",), ".trace")] | None = None
    speed: Annotated[float, Gt(0)] = 1.0
    samples: Annotated[int, Ge(1)] | None = None
    held_out: Annotated[int, Ge(1)] = 256
    pretrained: Annotated[float, Ge(0)] = 0.0

    def check(self) -> None:
        """Raise TraceError where the trace cannot be used; reads its header only."""
        if self.timing is not None:
            read_header(self.timing)

    @cached_property
    def header(self) -> TraceHeader | None:
        """Return the header of the trace of times."""
        return None if self.timing is None else read_header(self.timing)

    @property
    def device(self) -> str:
        """Return the device of the trace of times."""
        return "" if self.header is None else self.header.origin.device

    def pass_timing(self, tensors: Sequence[Tensor], samples: float, gradient_time_s: float) -> Timing:
        """Return the trace's seconds in proportion to the samples, or the stated ones."""
        if self.header is not None:
            scaled = faster(self.header.timing, self.speed * self.header.origin.batch / samples)
            return replace(scaled, optimizer_s=self.header.timing.optimizer_s / self.speed)
        forward_s = samples * gradient_time_s / self.speed / 3
        done = np.cumsum([one.numel for one in tensors])
        return Timing(forward_s, 2 * forward_s, 0.0, tuple((2 * forward_s * done / done[-1]).tolist()))

    def problem(self, workers: int, seed: int) -> Network:
        """Return the task's network over its samples.

        Raises:
            InputError: there are fewer samples than workers, or the trace is that of another model.
        """
        return Network(self, workers, seed)


class Network(Objective):
    """One module whose parameters are views of a flat vector, and the samples of W workers.

    Tensors are in the trace's backward order, or in the reverse of the module's own.
    """

    accuracy = True

    def __init__(self, live: LiveTask, workers: int, seed: int) -> None:
        self.live, self.task, self.seed, self._workers = live, live.task, seed, workers
        self.label = live.task.kind
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module = self.task.model()
        named = list(self.module.named_parameters())[::-1]
        if live.header is not None:
            named = _in_order(named, live.header)
        self.parameters = [parameter for _, parameter in named]
        self._tensors = tuple(Tensor(name, tuple(one.shape)) for name, one in named)
        self._flat = torch.cat([one.detach().reshape(-1) for one in self.parameters])
        pieces = torch.split(self._flat, [one.numel() for one in self.parameters])
        for parameter, piece in zip(self.parameters, pieces, strict=True):
            parameter.data = piece.view(parameter.shape)
        self._split(live.samples, live.held_out)
        self._first = self._pretrained(live.pretrained)

    def _split(self, samples: int | None, held_out: int) -> None:
        """Shuffle the samples; hold some out, and give the others to the workers in equal shares."""
        every = _samples(self.task)
        left = len(every.inputs) - held_out
        self._samples = min(left if samples is None else samples, left) // self._workers
        if self._samples < 1:
            problem = f"{left} samples of {self.label} are left, and {samples or left} are used: too few"
            raise InputError(f"{problem} for {self._workers} workers", "use fewer workers, or hold out fewer")
        draw = np.random.default_rng((self.seed, 11))
        order = torch.from_numpy(draw.permutation(len(every.inputs)))
        held, shared = order[:held_out], order[held_out:][: self._samples * self._workers]
        self._held = every.inputs[held], every.targets[held]
        shape = (self._workers, self._samples)
        self._inputs = every.inputs[shared].reshape(*shape, *every.inputs.shape[1:])
        self._targets = every.targets[shared].reshape(*shape, *every.targets.shape[1:])

    def _pretrained(self, epochs: float) -> NDArray[Any]:
        """Return the model after some epochs of momentum SGD over all workers' samples."""
        if epochs:
            inputs, targets = self._inputs.flatten(0, 1), self._targets.flatten(0, 1)
            optimizer = self.task.optimizer(self.parameters)
            steps = max(1, round(epochs * len(inputs) / _PRETRAINING_BATCH))
            draw = np.random.default_rng((self.seed, 12))
            for _ in range(steps):
                chosen = torch.from_numpy(draw.choice(len(inputs), min(_PRETRAINING_BATCH, len(inputs)), replace=False))
                optimizer.zero_grad()
                self.task.loss(self.module, inputs[chosen], targets[chosen]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        return self._flat.numpy().copy()

    @property
    def workers(self) -> int:
        """Return W."""
        return self._workers

    @property
    def samples(self) -> int:
        """Return n, the samples of each worker."""
        return self._samples

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Return the parameters, in backward order."""
        return self._tensors

    def start(self) -> NDArray[Any]:
        """Return the initial or pre-trained model."""
        return self._first

    def batch_gradients(self, workers: NDArray[np.int64], rows: NDArray[np.int64], x: NDArray[Any]) -> NDArray[Any]:
        """Return [k, d] the mean gradients of each worker's samples `rows` [k, m], each at its model [k, d]."""
        found = np.empty((len(workers), len(self._flat)), dtype=np.float32)
        for place, (worker, chosen) in enumerate(zip(workers.tolist(), rows, strict=True)):
            self._score(x[place], *self.batch(worker, chosen))
            found[place] = self._gradient
        return found

    def curvature(self, rows: NDArray[np.int64], x: NDArray[Any], along: NDArray[Any]) -> NDArray[Any]:
        """Return [d] the Hessian times `along`, by differentiating the gradient's product with it."""
        self._flat.copy_(torch.from_numpy(np.array(x, dtype=np.float32)))
        total, direction = torch.zeros_like(self._flat), torch.from_numpy(np.array(along, dtype=np.float32))
        for worker, chosen in enumerate(rows):
            # Only plain attention can be differentiated twice.
            with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
                loss = self.task.loss(self.module, *self.batch(worker, chosen))
                grads = torch.autograd.grad(loss, self.parameters, create_graph=True)
                product = torch.cat([one.reshape(-1) for one in grads]) @ direction
                total += torch.cat([one.reshape(-1) for one in torch.autograd.grad(product, self.parameters)])
        return (total / len(rows)).numpy()

    def batch(self, worker: int, rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and targets of some of a worker's samples."""
        chosen = torch.from_numpy(np.asarray(rows))
        return self._inputs[worker][chosen], self._targets[worker][chosen]

    def evaluate(self, x: NDArray[Any]) -> tuple[float, float, float]:
        """Return loss, accuracy and gradient norm of the samples held out."""
        loss, right = self._score(x, *self._held)
        return loss, right, float(np.linalg.norm(self._gradient.astype(np.float64)))

    def _score(self, x: NDArray[Any], inputs: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
        self._flat.copy_(torch.from_numpy(np.array(x, dtype=np.float32)))
        self.module.zero_grad(set_to_none=True)
        loss, right = self.task.score(self.module, inputs, targets)
        differentiable(loss, self.task).backward()  # type: ignore[no-untyped-call]
        return float(loss.detach()), float(right)

    @property
    def _gradient(self) -> NDArray[Any]:
        """Return [d] the gradient of the last score."""
        parts = [
            torch.zeros(parameter.numel()) if parameter.grad is None else parameter.grad.reshape(-1)
            for parameter in self.parameters
        ]
        return torch.cat(parts).numpy()


@lru_cache(maxsize=4)
def _samples(task: Task) -> Samples:
    """Return a task's samples, kept for the next training of a sweep."""
    return task.samples()


def _in_order(named: list[tuple[str, torch.nn.Parameter]], header: TraceHeader) -> list[tuple[str, torch.nn.Parameter]]:
    """Return parameters in the order of a trace of the same model."""
    by_name = dict(named)
    shapes = {name: tuple(one.shape) for name, one in named}
    if shapes != {one.name: tuple(one.shape) for one in header.tensors}:
        raise InputError(
            f"the trace of {header.origin.task!r} holds other tensors than the task's model",
            "capture one of this task, or leave `timing` out and give `train.gradient_time`",
            "workload.timing",
        )
    return [(one.name, by_name[one.name]) for one in header.tensors]
