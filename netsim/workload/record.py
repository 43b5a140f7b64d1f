"""Recording the gradients of a user's own training loop, plain or under DistributedDataParallel.

    with netsim.record_gradients(model, "my.trace", optimizer=optimizer):
        for inputs, targets in loader:
            ...  # the loop as it was

Under DistributedDataParallel every rank becomes a worker of one file, which rank 0 writes. What is recorded is each
rank's own gradient, before it is averaged: a parameter's post-accumulate hook runs within the accumulation of its
gradient, and DistributedDataParallel takes the gradient into a bucket in a hook that follows the accumulation. (So the
communication hook, of which a model can have only one, stays free for the user.)
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from netsim.errors import InputError
from netsim.given import file_path, shown, whole
from netsim.lazy import torch
from netsim.workload.base import Tensor
from netsim.workload.capture import origin
from netsim.workload.device import clock_of
from netsim.workload.recordable import captured_steps, check_model, check_optimizer, one_number, trained
from netsim.workload.stopwatch import Stopwatch
from netsim.workload.trace import TraceFacts, check_writable, write_trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@contextmanager
def record_gradients(
    model: torch.nn.Module,
    path: str | Path,
    *,
    optimizer: torch.optim.Optimizer,
    steps: Sequence[int] = (0, 10, 100),
    batch: int | None = None,
    task: str = "",
) -> Iterator[Recording]:
    """Record gradients and times of the training inside the block; the trace is written when it ends without an error.

    A gradient is recorded as autograd leaves it, that is, before clipping and unscaling, with the micro-batches of an
    accumulation summed: what a compressor between backward pass and exchange would see. A parameter without a gradient
    at a captured step is recorded as zeros, which is what the others would be sent; frozen parameters
    (`requires_grad` False) are left out. Captured gradients stay in memory until the block ends.

    Times are medians over all passes up to the last captured step: forward from the call of the model to its return,
    ready times from the moment the backward pass reaches the model's output. Ready times are those of rank 0.

    Args:
        model: called in the block as a whole; a DistributedDataParallel is recorded on all ranks of its group.
        path: the trace file; replaced if it exists.
        optimizer: its `step` ends a step.
        steps: captured steps, by the number of `optimizer.step` calls in the block before; later ones are not waited
            for: what has been captured when the block ends is written, with a warning.
        batch: samples of a micro-batch; by default the first dimension of the model's first tensor argument.
        task: what the trace says was trained; by default the model's class.

    Raises:
        InputError: an argument cannot be used; the block did not train the model, or in a closure, or a parameter
            never got a gradient.
        TraceError: the trace cannot be written.
    """
    target = file_path(path, "path")
    if task is not None and not isinstance(task, str):
        raise InputError(f"{shown(task)} is no text", "say in words what is trained", "task")
    check_model(model)
    recording = Recording(model, optimizer, captured_steps(steps), batch if batch is None else whole(batch, "batch", 1))
    if recording.rank == 0:
        check_writable(target)
    with recording.hooks:
        yield recording
    recording.write(target, task or "")


class Recording:
    """A recording under way."""

    def __init__(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: tuple[int, ...], batch: int | None
    ) -> None:
        self._model, self._group, self.rank = model, None, 0
        if isinstance(model, torch.nn.parallel.DistributedDataParallel):
            self._model, self._group = model.module, model.process_group
            self.rank = torch.distributed.get_rank(self._group)
        named = trained(self._model)
        self._steps = steps
        self._names = [name for name, _ in named]
        self._parameters = [parameter for _, parameter in named]
        self._batch = batch
        check_optimizer(optimizer, self._parameters)
        self._step = 0
        self._called = self._stepping = self._closure = False
        self._gradients: dict[int, torch.Tensor] = {}
        self._captured: dict[int, list[torch.Tensor]] = {}
        self._losses: dict[int, float] = {}
        self._stopwatch = Stopwatch(self._parameters, clock_of(self._parameters[0].device))
        self.hooks = ExitStack()
        """Entered while recording; the hooks are removed when it is left."""
        self._attach(optimizer)

    def log_loss(self, loss: torch.Tensor | float) -> None:
        """Let the trace hold the loss of the step under way; optional."""
        value = one_number(loss)
        if self._step in self._steps:
            self._losses[self._step] = value

    def _attach(self, optimizer: torch.optim.Optimizer) -> None:
        self.hooks.enter_context(self._stopwatch)
        handles = [
            self._model.register_forward_pre_hook(self._before_forward, with_kwargs=True),
            self._model.register_forward_hook(self._after_forward),
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]
        for index, parameter in enumerate(self._parameters):
            hook = partial(self._keep, index)
            handles.append(parameter.register_post_accumulate_grad_hook(hook))  # type: ignore[no-untyped-call]
        for handle in handles:
            self.hooks.callback(handle.remove)

    def _before_forward(self, _: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._called = True
        if not torch.is_grad_enabled():
            return
        self._closure |= self._stepping
        self._end_pass()
        if self._batch is None:
            self._batch = next((len(one) for one in _tensors((args, kwargs)) if one.dim()), None)
        self._stopwatch.mark("forward")

    def _after_forward(self, _: torch.nn.Module, __: tuple[Any, ...], output: object) -> None:
        if not torch.is_grad_enabled():
            return
        self._stopwatch.mark("forward_end")
        for tensor in _tensors(output):
            if tensor.requires_grad:
                tensor.register_hook(self._backward_begins)  # type: ignore[no-untyped-call]

    def _backward_begins(self, _: torch.Tensor) -> None:
        if not self._stopwatch.marked("backward"):
            self._stopwatch.mark("backward")

    def _keep(self, index: int, parameter: torch.Tensor) -> None:
        gradient = parameter.grad
        if gradient is not None and self._step in self._steps:
            dense = gradient.to_dense() if gradient.is_sparse else gradient
            # A copy on the device does not wait for it, so the backward pass is not held up.
            self._gradients[index] = dense.detach().to(torch.float32, copy=True)

    def _end_pass(self) -> None:
        if self._stopwatch.marked("forward_end") and self._stopwatch.marked("backward"):
            self._stopwatch.end_pass()

    def _before_step(self, *_: object) -> None:
        self._end_pass()
        if self._step in self._steps:
            self._captured[self._step] = [
                self._gradients[index].cpu() if index in self._gradients else torch.zeros(parameter.shape)
                for index, parameter in enumerate(self._parameters)
            ]
        self._gradients = {}
        self._stepping = True
        self._stopwatch.mark("optimizer")

    def _after_step(self, *_: object) -> None:
        self._stepping = False
        self._stopwatch.mark("optimizer_end")
        self._stopwatch.end_optimizer()
        self._step += 1
        if self._step > self._steps[-1]:
            self.hooks.close()

    def write(self, path: str | Path, task: str) -> None:
        """Write what was recorded, on rank 0; the other ranks send theirs to it."""
        self._check_complete()
        steps = tuple(self._captured)
        workers = self._gather([torch.cat([one.reshape(-1) for one in self._captured[step]]) for step in steps])
        losses = self._gather([torch.tensor([self._losses.get(step, math.nan)]) for step in steps])
        if self.rank != 0:
            return
        order, timing = self._stopwatch.timing()
        device = self._parameters[0].device
        dtype = str(self._parameters[0].dtype).removeprefix("torch.")
        facts = TraceFacts(
            tensors=tuple(Tensor(self._names[index], tuple(self._parameters[index].shape)) for index in order),
            timing=timing,
            steps=steps,
            num_workers=len(workers[0]),
            losses=tuple(tuple(float(one) for one in row) for row in losses),
            origin=origin(task or type(self._model).__name__, device, self._batch or 0, None, dtype),
        )
        sizes = [parameter.numel() for parameter in self._parameters]
        split = (torch.split(vector, sizes) for row in workers for vector in row)
        shaped = (parts[index].reshape(self._parameters[index].shape) for parts in split for index in order)
        write_trace(path, facts, shaped)

    def _check_complete(self) -> None:
        if self._closure:
            problem = "gradients were computed inside optimizer.step(closure), where they cannot be told from updates"
            raise InputError(problem, "call loss.backward() before optimizer.step()", "optimizer")
        if not self._captured:
            problem = f"the block ended after {self._step} optimizer steps, before the first step to capture"
            raise InputError(problem, "train longer in the block, or give earlier steps", "steps")
        if not self._called:
            raise InputError("the model itself was never called in the block", "call model(...)", "model")
        if not self._stopwatch.passes:
            problem = "no backward pass reached the model's output before the last step to capture"
            raise InputError(problem, "call loss.backward() between model(...) and optimizer.step()", "model")
        silent = [self._names[index] for index in self._stopwatch.never_ready()]
        if silent:
            others = f" (and {len(silent) - 1} more)" if len(silent) > 1 else ""
            problem = f"parameter {silent[0]!r}{others} never got a gradient"
            raise InputError(problem, "set its requires_grad to False, or use it in the model", "model")
        missed = [step for step in self._steps if step not in self._captured]
        if missed:
            warnings.warn(f"steps {missed} were not reached; the trace holds {list(self._captured)}", stacklevel=5)
        broken = [step for step, grads in self._captured.items() if not all(one.isfinite().all() for one in grads)]
        if broken:
            problem = f"gradients of steps {broken} hold NaN or infinity, with which nothing can be simulated"
            warnings.warn(f"{problem}; record later steps, or scale the loss less", stacklevel=5)

    def _gather(self, rows: list[torch.Tensor]) -> list[list[torch.Tensor]]:
        """Return every rank's tensor of each row on rank 0, nothing elsewhere."""
        if self._group is None:
            return [[row] for row in rows]
        distributed = torch.distributed
        # NCCL moves tensors of its device only, gloo gathers those of the CPU.
        nccl = "nccl" in distributed.get_backend(self._group)
        first = distributed.get_global_rank(self._group, 0)
        gathered = []
        for row in rows:
            mine = row.to(self._parameters[0].device if nccl else "cpu")
            others = [torch.empty_like(mine) for _ in range(distributed.get_world_size(self._group))]
            distributed.gather(mine, others if self.rank == 0 else None, dst=first, group=self._group)
            gathered.append([one.cpu() for one in others])
        return gathered if self.rank == 0 else []


def _tensors(value: object) -> Iterator[torch.Tensor]:
    """Yield the tensors in nested mappings, lists and tuples."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)
