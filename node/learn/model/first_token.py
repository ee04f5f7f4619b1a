"""The last layer of a BERT-like encoder, computed for the first token alone: a classifier's head reads nothing else.

Keys and values are still those of all tokens, so the result is the same but for rounding; queries, the attention's
output and the feed-forward part shrink to one token a text. Whether a model allows it is tried, not guessed: the caller
compares the logits, and lets go (`release`) where they differ. Not for adapters with dropout: its draws would differ.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class FirstTokenOnly:
    """Takes the place of `layer.forward`; while `on` is false, the layer is as it was.

    Args:
        layer: with BERT's parts: `attention.self.{query, key, value}`, `attention.output`, `intermediate`, `output`.
        returns_tuple: whether this version of the model's layers wraps its result.
    """

    def __init__(self, layer: Any, returns_tuple: bool) -> None:
        self.on = False
        self._layer = layer
        self._original = layer.forward
        self._returns_tuple = returns_tuple
        layer.forward = self._forward

    def release(self) -> None:
        """Give the layer its own forward back."""
        self._layer.forward = self._original

    def _forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        if not self.on:
            return self._original(hidden_states, attention_mask, *args, **kwargs)
        attention = self._layer.attention
        first = hidden_states[:, :1]  # (b, 1, h)
        seen = self._attend(attention.self, first, hidden_states, attention_mask)
        mixed = attention.output(seen, first)
        out = self._layer.output(self._layer.intermediate(mixed), mixed)
        return (out,) if self._returns_tuple else out

    def _attend(self, parts: Any, first: Tensor, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """(b, 1, h): what the first token takes from all, by all heads; mask (b, 1, 1 or t, t), boolean or additive."""

        def heads(linear: nn.Module, x: Tensor) -> Tensor:
            out: Tensor = linear(x)
            return out.view(*out.shape[:-1], parts.num_attention_heads, -1).transpose(1, 2)

        query, key, value = heads(parts.query, first), heads(parts.key, hidden), heads(parts.value, hidden)
        row = mask if mask is None else mask[:, :, :1]
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=row).transpose(1, 2).flatten(2)
