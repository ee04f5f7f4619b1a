"""What a model's answers are worth: exact counts over a whole set, and the numbers that are computed from them.

Counts add up over batches, so F1 is that of the set and not a mean over batches. Which numbers there are depends on the
task:

    classification         accuracy, f1 (macro), loss
    token_classification   accuracy (a word), f1 (of entities where the tags are BIO, else macro over tags), loss
    causal_lm              accuracy (a next token), loss, perplexity; exact_match where there are questions

Knows no model: predictions and targets come in as integers.

References:
    Tjong Kim Sang, De Meulder 2003 (CoNLL-2003, W03-0419): an entity counts when type and span are exact; their script
    conlleval lets I-X open an entity where none of type X is open, and so do we.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from node.learn.reading.examples import Task
from node.learn.reading.texts import IGNORED

Entity = tuple[str, int, int]  # type, first word, the word after the last


class Counts(Protocol):
    """What is counted while a set is read."""

    def add(self, predicted: Tensor, targets: Tensor, loss: float) -> None:
        """One batch: predicted and targets of one shape, IGNORED where nothing counts; loss is summed over targets."""

    def values(self) -> dict[str, float]:
        """The metrics of all that was added; {} of nothing."""


def counts_for(task: Task, labels: Sequence[str]) -> Counts:
    """Empty counts for a task whose predictions are numbers of `labels` (of tokens for a causal language model)."""
    if task == "causal_lm":
        return TokenCounts()
    return TagCounts(labels) if task == "token_classification" and is_bio(labels) else ClassCounts(len(labels))


class ClassCounts:
    """Every pair of true and predicted class: (c, c) counts, true classes in rows."""

    def __init__(self, classes: int) -> None:
        self.confusion = torch.zeros(classes, classes, dtype=torch.int64)
        self._loss = 0.0

    def add(self, predicted: Tensor, targets: Tensor, loss: float) -> None:
        counted = targets != IGNORED
        classes = len(self.confusion)
        pairs = (targets[counted] * classes + predicted[counted]).cpu()
        self.confusion += torch.bincount(pairs, minlength=classes * classes).view(classes, classes)
        self._loss += loss

    def values(self) -> dict[str, float]:
        total = int(self.confusion.sum())
        if total == 0:
            return {}
        accuracy = int(self.confusion.diagonal().sum()) / total
        return {"accuracy": accuracy, "f1": macro_f1(self.confusion), "loss": self._loss / total}


class TagCounts:
    """Words and entities of tagged texts."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._words = ClassCounts(len(labels))
        self.right, self.found, self.true = 0, 0, 0  # entities

    def add(self, predicted: Tensor, targets: Tensor, loss: float) -> None:
        """predicted, targets: (b, t); a word's tag stands at its first token."""
        self._words.add(predicted, targets, loss)
        for answers, row in zip(predicted.tolist(), targets.tolist(), strict=True):
            counted = [place for place, target in enumerate(row) if target != IGNORED]
            said = entities([self._labels[answers[place]] for place in counted])
            true = entities([self._labels[row[place]] for place in counted])
            self.right += len(said & true)
            self.found += len(said)
            self.true += len(true)

    def values(self) -> dict[str, float]:
        words = self._words.values()
        return words | {"f1": f1(self.right, self.found, self.true)} if words else {}


class TokenCounts:
    """Next tokens of a language model."""

    def __init__(self) -> None:
        self._hits, self._total, self._loss = 0, 0, 0.0

    def add(self, predicted: Tensor, targets: Tensor, loss: float) -> None:
        counted = targets != IGNORED
        self._hits += int(((predicted == targets) & counted).sum())
        self._total += int(counted.sum())
        self._loss += loss

    def values(self) -> dict[str, float]:
        if self._total == 0:
            return {}
        loss = self._loss / self._total
        return {"accuracy": self._hits / self._total, "loss": loss, "perplexity": perplexity(loss)}


def f1(right: int, found: int, true: int) -> float:
    """2 right / (found + true), the harmonic mean of precision and recall; 0 where there was nothing to find."""
    return 2 * right / (found + true) if found + true else 0.0


def macro_f1(confusion: Tensor) -> float:
    """Mean F1 of the classes that are true or predicted somewhere in (c, c) counts, true classes in rows.

    A class that is in neither says nothing: a node's own texts may lack most of the labels.
    """
    right, found, true = (counts.tolist() for counts in (confusion.diagonal(), confusion.sum(0), confusion.sum(1)))
    each = [f1(r, f, t) for r, f, t in zip(right, found, true, strict=True) if f + t]
    return math.fsum(each) / len(each) if each else 0.0


def perplexity(loss: float) -> float:
    """exp of the mean loss a token, in nats; infinite where that overflows."""
    return math.exp(loss) if loss < 700.0 else math.inf


def is_bio(labels: Sequence[str]) -> bool:
    """Whether the tags mark entities: each is O, B-TYPE or I-TYPE, and some entity begins."""
    return any(label.startswith(("B-", "I-")) for label in labels) and all(
        label == "O" or (label[:2] in ("B-", "I-") and len(label) > 2) for label in labels
    )


def entities(tags: Sequence[str]) -> set[Entity]:
    """The entities of one text: B-X begins one, I-X goes on with an X or begins one, all else ends it."""
    found: set[Entity] = set()
    kind, start = "", 0
    for place, tag in enumerate((*tags, "O")):
        goes_on = tag[:2] == "I-" and tag[2:] == kind
        if kind and not goes_on:
            found.add((kind, start, place))
            kind = ""
        if not goes_on and tag[:2] in ("B-", "I-"):
            kind, start = tag[2:], place
    return found


def named(place: str, values: Mapping[str, float]) -> dict[str, float]:
    """{"f1": ...} -> {"common/f1": ...}."""
    return {f"{place}/{name}": value for name, value in values.items()}


def on_set(place: str, values: Mapping[str, float]) -> dict[str, float]:
    """The inverse of `named`, of one set: {"common/f1": ..., "private/f1": ...} -> {"f1": ...}."""
    return {name.removeprefix(f"{place}/"): value for name, value in values.items() if name.startswith(f"{place}/")}
