"""Training a built-in task and recording what every worker's gradients are."""

from __future__ import annotations

import platform
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from netsim.errors import InputError
from netsim.lazy import torch
from netsim.workload.base import Tensor
from netsim.workload.device import choose_device, clock_of, device_name, driver_name
from netsim.workload.stopwatch import WARM_UP_PASSES, Stopwatch
from netsim.workload.tasks import Task, differentiable, tasks
from netsim.workload.trace import Origin, TraceFacts, check_writable, write_trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from netsim.ticker import Tell
    from netsim.workload.tasks import Samples

THREADS = 2
"""Threads that torch computes with on the CPU while capturing, so that traces of different machines compare."""
MINIMUM_TIMED_PASSES = 20


def capture(
    task: str | Task,
    out: str | Path,
    *,
    workers: int = 4,
    steps: Sequence[int] | None = None,
    device: str = "auto",
    batch: int | None = None,
    seed: int = 0,
    progress: Tell | None = None,
) -> None:
    """Train a task and write the gradients of `workers` virtual workers at some steps to a trace file.

    The workers take disjoint micro-batches at the same weights; the mean of their gradients is applied, as synchronous
    data-parallel training does. Times are medians over all micro-batches of the run after a warm-up. Values depend on
    the seed and the device only. Nothing is written before the last step, and then at one stroke.

    Args:
        task: a built-in task or its name.
        out: the trace file; replaced if it exists.
        workers: virtual workers.
        steps: captured steps, counted by the optimizer steps done before; the task's early, middle and late by default.
        device: `auto` (CUDA where there is one), `cuda` or `cpu`.
        batch: samples of a worker's micro-batch; the task's by default.
        seed: of the initial weights and the order of the samples.
        progress: called with the steps done and the steps in all.

    Raises:
        InputError: an argument cannot be used.
        TraceError: the trace cannot be written.
    """
    task = tasks.get(task)() if isinstance(task, str) else task
    chosen = tuple(sorted(set(task.default_steps if steps is None else steps)))
    batch = task.default_batch if batch is None else batch
    for name, value in (("workers", workers), ("batch", batch), ("seed", seed + 1)):
        if value < 1:
            raise InputError(f"{name} is too small", f"give {'0' if name == 'seed' else '1'} or more", name)
    if not chosen or chosen[0] < 0:
        raise InputError(f"steps cannot be {list(chosen)}", "give numbers of 0 or more, such as 0,10,100", "steps")
    check_writable(out)
    place = choose_device(device)
    with _reproducible(seed, place):
        run = _Run(task, place, workers, batch, seed)
        run.train(chosen, progress)
        provenance = origin(task.kind, place, batch, seed, dtype="float32")
    order, timing = run.stopwatch.timing()
    facts = TraceFacts(
        tensors=tuple(Tensor(run.names[index], tuple(run.parameters[index].shape)) for index in order),
        timing=timing,
        steps=chosen,
        num_workers=workers,
        losses=tuple(run.losses),
        origin=provenance,
    )
    write_trace(out, facts, (gradients[index] for gradients in run.captured for index in order))


def origin(task: str, device: torch.device, batch: int, seed: int | None, dtype: str) -> Origin:
    """Return where gradients come from that are captured now."""
    try:
        netsim_version = version("gradnetsim")
    except PackageNotFoundError:
        netsim_version = "source tree"
    return Origin(
        task=task,
        device=device_name(device),
        driver=driver_name(device),
        torch=torch.__version__,
        netsim=netsim_version,
        python=platform.python_version(),
        dtype=dtype,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        batch=batch,
        threads=torch.get_num_threads(),
        seed=seed,
    )


@contextmanager
def _reproducible(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch and set its threads; put both back afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.set_num_threads(THREADS)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


class _Run:
    """One training run with its virtual workers."""

    def __init__(self, task: Task, device: torch.device, workers: int, batch: int, seed: int) -> None:
        self.task, self.device, self.workers, self.batch, self.seed = task, device, workers, batch, seed
        self.samples: Samples = task.samples()
        self.model = task.model().to(device)
        self.names = [name for name, _ in self.model.named_parameters()]
        self.parameters = list(self.model.parameters())
        self.optimizer = task.optimizer(self.parameters)
        self.stopwatch = Stopwatch(self.parameters, clock_of(device))
        self.captured: list[list[torch.Tensor]] = []
        self.losses: list[tuple[float | None, ...]] = []

    def train(self, steps: tuple[int, ...], progress: Tell | None) -> None:
        total = steps[-1] + 1
        with self.stopwatch:
            for _ in range(WARM_UP_PASSES + MINIMUM_TIMED_PASSES - total * self.workers):
                self._pass(0, 0)
            for step in range(total):
                self._step(step, step in steps)
                if progress:
                    progress(step + 1, total)

    def _step(self, step: int, captured: bool) -> None:
        mean = [torch.zeros_like(parameter) for parameter in self.parameters]
        losses: list[float | None] = []
        for worker in range(self.workers):
            loss = self._pass(step, worker)
            gradients = [_gradient(*one) for one in zip(self.names, self.parameters, strict=True)]
            for total, gradient in zip(mean, gradients, strict=True):
                total.add_(gradient, alpha=1 / self.workers)
            if captured:
                self.captured.append([gradient.cpu() for gradient in gradients])
                losses.append(loss)
        if captured:
            self.losses.append(tuple(losses))
        for parameter, gradient in zip(self.parameters, mean, strict=True):
            parameter.grad = gradient
        self.stopwatch.mark("optimizer")
        self.optimizer.step()
        self.stopwatch.mark("optimizer_end")
        self.stopwatch.end_optimizer()

    def _pass(self, step: int, worker: int) -> float:
        inputs, targets = self.samples.micro_batch(step, worker, self.workers, self.batch, self.seed)
        inputs, targets = inputs.to(self.device), targets.to(self.device)
        # A new gradient each time, so that captured ones may be kept without a copy.
        self.optimizer.zero_grad(set_to_none=True)
        self.stopwatch.mark("forward")
        loss = differentiable(self.task.loss(self.model, inputs, targets), self.task)
        self.stopwatch.mark("forward_end")
        self.stopwatch.mark("backward")
        loss.backward()  # type: ignore[no-untyped-call]
        self.stopwatch.mark("backward_end")
        self.stopwatch.end_pass()
        return float(loss.detach())


def _gradient(name: str, parameter: torch.nn.Parameter) -> torch.Tensor:
    if parameter.grad is None:
        problem = f"parameter {name!r} got no gradient"
        raise InputError(problem, "let the task's loss depend on it, or take it out of the model", "task")
    return parameter.grad
