"""A small GPT on bytes of source text: attention, layer norms, tied embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from netsim.errors import InputError
from netsim.lazy import torch
from netsim.workload.tasks.base import Samples, Task, tasks
from netsim.workload.tasks.stdlib_source import stdlib_source

if TYPE_CHECKING:
    from collections.abc import Iterable


@tasks.register("gpt-stdlib", paper="Radford et al. 2019 (GPT-2)")
@dataclass(frozen=True, kw_only=True)
class GptStdlib(Task):
    """Decoder-only transformer on the bytes of Python's standard library; 4 layers of width 128 by default."""

    default_batch: ClassVar[int] = 8
    default_steps: ClassVar[tuple[int, ...]] = (10, 60, 180)
    layers: Annotated[int, Ge(1)] = 4
    width: Annotated[int, Ge(1)] = 128
    heads: Annotated[int, Ge(1)] = 4
    context: Annotated[int, Ge(1)] = 128

    def __post_init__(self) -> None:
        """Raise InputError where the heads do not share the width evenly."""
        if self.width % self.heads:
            problem = f"{self.heads} heads do not share a width of {self.width} evenly"
            raise InputError(problem, "choose a width that they divide", "heads")

    def samples(self) -> Samples:
        """Return windows of bytes [windows, context] and the bytes that follow each."""
        text = torch.frombuffer(bytearray(stdlib_source()), dtype=torch.uint8).long()
        windows = (len(text) - 1) // self.context
        if not windows:
            raise InputError(f"the source has only {len(text)} bytes", "lower context", "context")
        length = windows * self.context
        return Samples(text[:length].reshape(windows, -1), text[1 : length + 1].reshape(windows, -1))

    def model(self) -> torch.nn.Module:
        """Return the transformer with GPT-2's initialisation."""
        from netsim.workload.tasks.gpt import Gpt

        return Gpt(256, self.layers, self.width, self.heads, self.context)

    def optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return AdamW with learning rate 1e-3, betas 0.9 and 0.95."""
        return torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.95))
