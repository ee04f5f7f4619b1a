"""What a learner reads: one text and, for classification, the number of its label. Decides nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

NO_LABEL = -1  # texts of a causal language model carry no label


@dataclass(frozen=True, slots=True)
class Example:
    """One text; `label` is an index into the ordered label list, or NO_LABEL."""

    text: str
    label: int
    key: str = ""  # what partition.column says of it


@dataclass(frozen=True, slots=True)
class Corpus:
    """Examples to train on, a test set that all nodes hold alike, and the ordered labels that both number."""

    train: tuple[Example, ...]
    test: tuple[Example, ...]
    labels: tuple[str, ...]

    @property
    def digest(self) -> str:
        """sha256 hex over labels, train and test, in order: equal digests, equal data."""
        return digest_of((*self.labels, *(f"{e.label}\t{e.text}" for e in (*self.train, *self.test))))


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
