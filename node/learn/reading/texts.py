"""Texts as token ids, and batches of them. Padding is to the longest text of a batch, on the right.

Knows no model and no tokenizer: `node.learn.reading.encode` makes the ids, when texts are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

IGNORED = -100  # a target that no loss counts


@dataclass(frozen=True, slots=True)
class Batch:
    """b rows padded to t tokens. `targets`: (b,) labels, or (b, t) next tokens or tags."""

    ids: Tensor  # (b, t) int64
    mask: Tensor  # (b, t) int64, 1 where a token stands
    targets: Tensor
    positions: Tensor | None = None  # (b, t) int64 of packed rows: from 0 in each text; None: one text a row

    def to(self, device: torch.device) -> Batch:
        positions = None if self.positions is None else self.positions.to(device)
        return Batch(self.ids.to(device), self.mask.to(device), self.targets.to(device), positions)

    def inputs(self) -> dict[str, Tensor]:
        """What a model is called with.

        Of packed rows, positions without a mask: positions that start again are how `transformers` is told that what
        stands before must not be seen. Padding stands at the end and starts again, too.
        """
        if self.positions is None:
            return {"input_ids": self.ids, "attention_mask": self.mask}
        return {"input_ids": self.ids, "position_ids": self.positions}


class Question(NamedTuple):
    """What a language model is asked, and the answer that it should give word for word."""

    row: int  # where it stands among the texts
    prompt: tuple[int, ...]  # token ids, up to where the answer starts
    answer: str
    most: int  # tokens that an answer may have


@dataclass(frozen=True)
class Texts:
    """Encoded texts, one a row, or several packed into a row.

    `labels` has one number a row, `targets` one a token; with neither, every token is to be told from those before it.
    """

    ids: tuple[tuple[int, ...], ...]
    labels: tuple[int, ...]
    pad: int
    targets: tuple[tuple[int, ...], ...] = ()  # a row a row of ids; IGNORED where nothing counts
    starts: tuple[tuple[int, ...], ...] = ()  # of packed rows: where in the row each text starts
    questions: tuple[Question, ...] = ()
    examples: int = 0  # that were encoded; a row may hold several, or a part of one
    truncated: int = 0  # of these, how many lost something
    shortened: int = 0  # of these, how many lost a part of what is to be learnt

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> int:
        return sum(map(len, self.ids))

    def batch(self, indices: Sequence[int]) -> Batch:
        """The rows at these indices, in this order."""
        chosen = [self.ids[i] for i in indices]
        width = max(map(len, chosen))
        ids, mask = _padded(chosen, width, self.pad), _padded([[1] * len(row) for row in chosen], width, 0)
        if self.labels:
            return Batch(ids, mask, torch.tensor([self.labels[i] for i in indices]))
        positions = _padded([self._positions(i) for i in indices], width, 0) if self.starts else None
        if self.targets:
            return Batch(ids, mask, _padded([self.targets[i] for i in indices], width, IGNORED), positions)
        following = torch.full_like(ids, IGNORED)
        following[:, :-1] = torch.where(mask[:, 1:] > 0, ids[:, 1:], IGNORED)
        return Batch(ids, mask, following)

    def _positions(self, row: int) -> list[int]:
        ends = (*self.starts[row][1:], len(self.ids[row]))
        return [place for start, end in zip(self.starts[row], ends, strict=True) for place in range(end - start)]

    def spelt_out(self, targets: bool, starts: bool) -> Texts:
        """The same, with the targets and starts that it has by default written down."""
        following = tuple((*row[1:], IGNORED) for row in self.ids)
        return replace(
            self,
            targets=following if targets and not self.targets else self.targets,
            starts=((0,),) * len(self) if starts and not self.starts else self.starts,
        )

    def by_length(self, size: int, indices: Iterable[int] | None = None) -> Iterator[list[int]]:
        """Groups of up to `size` indices, short texts first: little padding, and the same groups every time."""
        order = sorted(range(len(self)) if indices is None else indices, key=lambda i: (len(self.ids[i]), i))
        return (order[start : start + size] for start in range(0, len(order), size))


def _padded(rows: Sequence[Sequence[int]], width: int, fill: int) -> Tensor:
    """(b, width) int64."""
    out = torch.full((len(rows), width), fill, dtype=torch.int64)
    for place, row in enumerate(rows):
        out[place, : len(row)] = torch.tensor(row)
    return out


def joined(parts: Sequence[Texts]) -> Texts:
    """The rows of all parts, in order. Rows of all parts are labelled, or have targets of their own, or none is."""
    parts = [part for part in parts if len(part)] or list(parts[:1])
    if len(parts) == 1:
        return parts[0]
    own_targets, packed = any(part.targets for part in parts), any(part.starts for part in parts)
    parts = [part.spelt_out(own_targets, packed) for part in parts]
    first = [sum(map(len, parts[:place])) for place in range(len(parts))]
    questions = (
        q._replace(row=q.row + start) for part, start in zip(parts, first, strict=True) for q in part.questions
    )
    return Texts(
        ids=tuple(row for part in parts for row in part.ids),
        labels=tuple(label for part in parts for label in part.labels),
        pad=parts[0].pad,
        targets=tuple(row for part in parts for row in part.targets),
        starts=tuple(row for part in parts for row in part.starts),
        questions=tuple(questions),
        examples=sum(part.examples for part in parts),
        truncated=sum(part.truncated for part in parts),
        shortened=sum(part.shortened for part in parts),
    )
