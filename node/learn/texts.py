"""Texts as token ids, and batches of them. Padding is to the longest text of a batch, on the right.

Knows no model: the tokenizer is called once, when texts are encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from node.learn.examples import NO_LABEL, Example

IGNORED = -100  # a target that no loss counts


@dataclass(frozen=True, slots=True)
class Batch:
    """b texts padded to t tokens. `targets`: (b,) labels, or (b, t) next tokens for a causal language model."""

    ids: Tensor  # (b, t) int64
    mask: Tensor  # (b, t) int64, 1 where a token stands
    targets: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(self.ids.to(device), self.mask.to(device), self.targets.to(device))


@dataclass(frozen=True)
class Texts:
    """Encoded texts. `labels` is () for a causal language model, whose targets are the tokens themselves."""

    ids: tuple[tuple[int, ...], ...]
    labels: tuple[int, ...]
    pad: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> int:
        return sum(map(len, self.ids))

    def batch(self, indices: Sequence[int]) -> Batch:
        """The texts at these indices, in this order."""
        chosen = [self.ids[i] for i in indices]
        width = max(map(len, chosen))
        ids = torch.full((len(chosen), width), self.pad, dtype=torch.int64)
        mask = torch.zeros((len(chosen), width), dtype=torch.int64)
        for row, tokens in enumerate(chosen):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        if self.labels:
            return Batch(ids, mask, torch.tensor([self.labels[i] for i in indices]))
        following = torch.full_like(ids, IGNORED)
        following[:, :-1] = torch.where(mask[:, 1:] > 0, ids[:, 1:], IGNORED)
        return Batch(ids, mask, following)

    def by_length(self, size: int, indices: Iterable[int] | None = None) -> Iterator[list[int]]:
        """Groups of up to `size` indices, short texts first: little padding, and the same groups every time."""
        order = sorted(range(len(self)) if indices is None else indices, key=lambda i: (len(self.ids[i]), i))
        return (order[start : start + size] for start in range(0, len(order), size))


def encode(tokenizer: Any, examples: Sequence[Example], sequence_len: int) -> Texts:
    """Tokenize; longer texts are cut at `sequence_len` tokens. Without labels, texts become blocks (see `blocks`)."""
    if examples and examples[0].label == NO_LABEL:
        return blocks(tokenizer, [example.text for example in examples], sequence_len)
    rows = tokenizer([example.text for example in examples], truncation=True, max_length=sequence_len)["input_ids"]
    return Texts(tuple(map(tuple, rows)), tuple(example.label for example in examples), tokenizer.pad_token_id)


def blocks(tokenizer: Any, texts: Sequence[str], sequence_len: int) -> Texts:
    """All texts in one row, end-of-text tokens between them, cut into blocks of `sequence_len` tokens.

    What is left over is dropped unless it is all there is.
    """
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    rows = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    stream = [token for row in rows for token in (*row, *end)]
    whole = len(stream) // sequence_len * sequence_len or len(stream)
    cut = [tuple(stream[start : start + sequence_len]) for start in range(0, whole, sequence_len)]
    return Texts(tuple(cut), (), tokenizer.pad_token_id)
