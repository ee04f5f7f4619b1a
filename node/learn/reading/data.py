"""A node's examples from the sources that the user names, as a corpus with labels by number and a test set.

Decides how labels are numbered (by the ordered list that all nodes share, never by a node's private texts) and what
is held out for the common test set (by a hash of the text, so that no text is trained on here and tested there).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, TypeAlias

from node.errors import ConfigError
from node.learn.reading import columns, docstrings
from node.learn.reading.columns import Row
from node.learn.reading.examples import NO_LABEL, Corpus, Example, Task, in_hash_order, share_of
from node.learn.reading.records import records
from node.learn.reading.source import DatasetSettings

TestSet: TypeAlias = Literal["common", "own"]


@dataclass(frozen=True, slots=True)
class DataSettings:
    """What to train on and what to test on; without `tests`, a share of the training texts is held out by hash."""

    datasets: tuple[DatasetSettings, ...] = (DatasetSettings(docstrings.NAME),)
    tests: tuple[DatasetSettings, ...] = ()
    labels: tuple[str, ...] | None = None  # ordered; None: as the embedded or shared data says
    test_share: float = 0.2
    own_labels: bool = False  # whether other nodes may have other labels
    private_share: float = 0.0  # of the training texts, by another hash: what a node's own model is measured on

    @property
    def tested_on(self) -> TestSet:
        """Whose texts the accuracy of a node is measured on: those that all nodes have, or its own."""
        named = [d.path for d in self.tests or self.datasets]
        common = any(path == docstrings.NAME for path in named) or not any("{id}" in path for path in named)
        return "common" if common else "own"


def load(
    settings: DataSettings,
    peer: str,
    task: Task = "classification",
    *,
    common: bool = False,
    column: str | None = None,
) -> Corpus:
    """The texts of `peer`.

    Args:
        task: what is looked at beside the text: a label, tags, turns.
        common: all nodes read the same files (and a partition deals them out), so labels may be derived from them.
        column: what a partition by key or time goes by; every text must have it.

    Raises:
        ConfigError: nothing to read, an unknown label, or no label list to go by.
    """
    embedded = [d for d in settings.datasets if d.path == docstrings.NAME]
    if (
        embedded
        and len(settings.datasets) == 1
        and not settings.tests
        and settings.labels in (None, tuple(docstrings.AREAS))
        and column is None
        and embedded[0].take is None
    ):
        return _embedded_corpus(task)
    rows, tests = rows_of(settings.datasets, peer, task), rows_of(settings.tests, peer, task)
    labels = _labels(settings, rows, common) if task != "causal_lm" else ()
    examples = [_example(row, labels, task, column) for row in rows]
    if settings.tests:
        return Corpus(tuple(examples), in_hash_order(_example(row, labels, task) for row in tests), labels)
    held = [share_of("split " + e.text) < settings.test_share for e in examples]
    train = tuple(e for e, out in zip(examples, held, strict=True) if not out)
    if not train:
        raise ConfigError(
            f"datasets: all {len(examples)} examples of {_names(settings)} fell into the test set; give more data"
        )
    return Corpus(train, in_hash_order(e for e, out in zip(examples, held, strict=True) if out), labels)


def labels_of(settings: DataSettings, peer: str, common: bool, task: Task = "classification") -> tuple[str, ...]:
    """The ordered label list, before any example is needed: what the base model's head is sized by."""
    if settings.labels is not None:
        return _checked(settings.labels)
    return load(settings, peer, task, common=common).labels


def _embedded_corpus(task: Task) -> Corpus:
    corpus = docstrings.load()
    if task == "classification":
        return corpus
    if task == "token_classification":
        raise ConfigError(f"datasets: {docstrings.NAME} has no tags; wanted data with words and tags, or another task")
    train, test = ([replace(e, label=NO_LABEL) for e in part] for part in (corpus.train, corpus.test))
    return Corpus(tuple(train), tuple(test), ())


def _names(settings: DataSettings) -> str:
    return ", ".join(d.path for d in settings.datasets)


def _labels(settings: DataSettings, rows: Sequence[Row], common: bool) -> tuple[str, ...]:
    if settings.labels is not None:
        return _checked(settings.labels)
    seen = sorted({label for row in rows for label in (row.tags or (row.label,)) if label is not None})
    if not common or any("{id}" in d.path for d in settings.datasets):
        raise ConfigError(
            f"labels: none given for {_names(settings)}, which only this node reads "
            f"(it has {_some(seen)}); wanted: the ordered list that all nodes share, under labels"
        )
    if len(seen) < 2:
        raise ConfigError(f"labels: {_names(settings)} has {_some(seen)}; wanted 2 or more labels (see label_column)")
    return tuple(seen)


def _checked(labels: Sequence[str]) -> tuple[str, ...]:
    twice = sorted({label for label in labels if list(labels).count(label) > 1})
    if twice or len(labels) < 2:
        raise ConfigError(
            f"labels: {f'{twice[0]!r} stands twice' if twice else f'{len(labels)} given'}; wanted 2 or more, each once"
        )
    return tuple(labels)


def _example(row: Row, labels: tuple[str, ...], task: Task, column: str | None = None) -> Example:
    key = "" if column is None else value_in(row, column)
    if task == "causal_lm":
        return Example(row.text, NO_LABEL, key, turns=row.turns)
    if task == "token_classification":
        return Example(row.text, NO_LABEL, key, words=row.words, tags=_tag_numbers(row, labels))
    if row.label is None:
        raise ConfigError(f"{row.where}: no label; wanted one of {_some(labels)} in the label column (label_column)")
    if row.label not in labels:
        raise ConfigError(f"{row.where}: label {row.label!r} is not listed under labels ({_some(labels)})")
    return Example(row.text, labels.index(row.label), key)


def value_in(row: Row, column: str) -> str:
    """What a column says of a text. Raises ConfigError: it says nothing."""
    value = row.record.get(column)
    if value is None or value == "":
        raise ConfigError(
            f"{row.where}: nothing in column {column!r} (there: {', '.join(map(str, row.record))}); "
            f"change partition.column"
        )
    return str(value)


def _tag_numbers(row: Row, labels: tuple[str, ...]) -> tuple[int, ...]:
    numbers = {label: number for number, label in enumerate(labels)}
    for place, (word, tag) in enumerate(zip(row.words, row.tags, strict=True)):
        if tag not in numbers:
            raise ConfigError(
                f"{row.where}: word {place} ({word!r}) has tag {tag!r}, which is not listed under labels "
                f"({_some(labels)})"
            )
    return tuple(numbers[tag] for tag in row.tags)


def _some(labels: Sequence[str]) -> str:
    shown = ", ".join(map(str, labels[:12])) + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")
    return shown or "no labels"


def rows_of(datasets: Sequence[DatasetSettings], peer: str, task: Task = "classification") -> list[Row]:
    """All rows of all sources, in order.

    Raises:
        ConfigError: a source is missing, unreadable or empty.
    """
    found: list[Row] = []
    for dataset in datasets:
        dataset = replace(dataset, path=dataset.path.replace("{id}", peer))
        taken = islice(records(dataset), dataset.take)
        rows = [row for row in columns.rows(taken, dataset, task) if row.text.strip()]
        if not rows:
            column = dataset.tokens_column if task == "token_classification" else dataset.text_column
            raise ConfigError(f"datasets: {dataset.path}: no examples; wanted one or more texts in column {column!r}")
        found += rows
    return found
