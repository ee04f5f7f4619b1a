"""What a learner reads: one text with its label, its tags or its turns. Decides nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Task: TypeAlias = Literal["classification", "token_classification", "causal_lm"]

NO_LABEL = -1  # texts of a causal language model carry no label


class Turn(NamedTuple):
    """What one side says in a conversation."""

    role: str  # system, user or assistant
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """One text; `label` is an index into the ordered label list, or NO_LABEL."""

    text: str
    label: int
    key: str = ""  # what partition.column says of it
    words: tuple[str, ...] = ()  # of a tagged text
    tags: tuple[int, ...] = ()  # one a word, indices into the label list
    turns: tuple[Turn, ...] = ()  # of a conversation; the last one is the assistant's

    @property
    def line(self) -> str:
        """All that it holds, in one string."""
        plain = f"{self.label}\t{self.text}"
        return plain if not self.tags and not self.turns else f"{plain}\t{json.dumps([self.tags, self.turns])}"


@dataclass(frozen=True, slots=True)
class Corpus:
    """Examples to train on, a test set that all nodes hold alike, and the ordered labels that both number."""

    train: tuple[Example, ...]
    test: tuple[Example, ...]
    labels: tuple[str, ...]

    @property
    def digest(self) -> str:
        """sha256 hex over labels, train and test, in order: equal digests, equal data."""
        return digest_of((*self.labels, *(e.line for e in (*self.train, *self.test))))


def digest_of(lines: Iterable[str]) -> str:
    """sha256 hex over length-prefixed lines, so that no two lists of lines look alike."""
    sha = hashlib.sha256()
    for line in lines:
        data = line.encode("utf-8", "surrogatepass")
        sha.update(len(data).to_bytes(8, "little"))
        sha.update(data)
    return sha.hexdigest()


def share_of(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: every node puts a text on the same side of a split."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little") / 2**64


def in_hash_order(examples: Iterable[Example]) -> tuple[Example, ...]:
    """In an order that depends on the texts alone, so that the first few of a test set stand for all of it."""
    return tuple(sorted(examples, key=lambda e: (share_of(e.text), e.label)))
