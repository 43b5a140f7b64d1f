"""An LSTM language model: embedding, layers of LSTM, an output layer of its own."""

from __future__ import annotations

import torch
from torch import nn


class LstmLanguageModel(nn.Module):
    """Logits [batch, length, vocabulary] of tokens [batch, length]; the state is zero at the start of every window."""

    def __init__(self, vocabulary: int, embedding: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.encoder = nn.Embedding(vocabulary, embedding)
        self.lstm = nn.LSTM(embedding, hidden, layers, batch_first=True)
        self.decoder = nn.Linear(hidden, vocabulary)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, length, vocabulary]."""
        hidden, _ = self.lstm(self.encoder(tokens))
        logits: torch.Tensor = self.decoder(hidden)
        return logits
