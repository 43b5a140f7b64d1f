"""An LSTM language model with a large vocabulary: its embedding's gradient has few rows that are not zero."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from netsim.errors import InputError
from netsim.lazy import torch
from netsim.workload.tasks.base import Samples, Task, tasks
from netsim.workload.tasks.stdlib_source import stdlib_source

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOKEN = re.compile(rb"\w+|[^\w\s]|\n\s*")


@tasks.register("lstm-stdlib", paper="Zaremba et al. 2014 (arXiv:1409.2329)")
@dataclass(frozen=True, kw_only=True)
class LstmStdlib(Task):
    """LSTM language model on tokens of Python's standard library; the gradient of its 10,000 embeddings is sparse."""

    default_batch: ClassVar[int] = 8
    default_steps: ClassVar[tuple[int, ...]] = (10, 100, 300)
    vocabulary: Annotated[int, Ge(2)] = 10_000
    embedding: Annotated[int, Ge(1)] = 64
    hidden: Annotated[int, Ge(1)] = 128
    layers: Annotated[int, Ge(1)] = 2
    length: Annotated[int, Ge(1)] = 32

    def samples(self) -> Samples:
        """Return windows of tokens [windows, length] and the tokens that follow each.

        A token is a word, a mark, or a line break with the indentation after it. Token 0 stands for all but the
        `vocabulary - 1` most frequent ones; ties go to the first in the text.
        """
        words = _TOKEN.findall(stdlib_source())
        frequent = [word for word, _ in Counter(words).most_common(self.vocabulary - 1)]
        if len(frequent) < self.vocabulary - 1:
            raise InputError(f"the source has only {len(frequent) + 1} tokens", "lower vocabulary", "vocabulary")
        number = {word: index for index, word in enumerate(frequent, start=1)}
        tokens = torch.tensor([number.get(word, 0) for word in words])
        windows = (len(tokens) - 1) // self.length
        if not windows:
            raise InputError(f"the source has only {len(tokens)} words", "lower length", "length")
        end = windows * self.length
        return Samples(tokens[:end].reshape(windows, -1), tokens[1 : end + 1].reshape(windows, -1))

    def model(self) -> torch.nn.Module:
        """Return the network with torch's initialisation; input and output embeddings are not tied."""
        from netsim.workload.tasks.lstm import LstmLanguageModel

        return LstmLanguageModel(self.vocabulary, self.embedding, self.hidden, self.layers)

    def optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return Adam with learning rate 2e-3."""
        return torch.optim.Adam(parameters, lr=2e-3)
