"""A decoder-only transformer in GPT-2's form: pre-norm blocks, learned positions, output tied to the embedding."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Causal self-attention and a four times wider perceptron, each behind a layer norm and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(width)
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)
        self.ln_2 = nn.LayerNorm(width)
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_out = nn.Linear(4 * width, width)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the next hidden state [batch, length, width]."""
        batch, length, width = hidden.shape
        projected = self.c_attn(self.ln_1(hidden)).reshape(batch, length, 3, self.heads, width // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + self.c_proj(attended.transpose(1, 2).reshape(batch, length, width))
        expanded: torch.Tensor = self.c_out(functional.gelu(self.c_fc(self.ln_2(hidden))))
        return hidden + expanded


class Gpt(nn.Module):
    """Logits [batch, length, vocabulary] of tokens [batch, length]."""

    def __init__(self, vocabulary: int, layers: int, width: int, heads: int, context: int) -> None:
        super().__init__()
        self.wte = nn.Embedding(vocabulary, width)
        self.wpe = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.ln_f = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, length, vocabulary]."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self.blocks(self.wte(tokens) + self.wpe(positions))
        return functional.linear(self.ln_f(hidden), self.wte.weight)
