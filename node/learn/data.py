"""Examples from what the user names: a jsonl, csv or parquet file, a folder of text, a `datasets` name, or the embedded
set.

Decides how labels are numbered (by the ordered list that all nodes share, never by a node's private texts) and what
is held out for the common test set (by a hash of the text, so that no text is trained on here and tested there).
Every complaint names file and line.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from node.errors import ConfigError
from node.learn import docstrings
from node.learn.examples import NO_LABEL, Corpus, Example, in_hash_order, share_of

FORMATS = ("jsonl", "csv", "parquet", "folder", "text", "datasets")
TestSet: TypeAlias = Literal["common", "own"]
ENDINGS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet", ".txt": "text", ".md": "text"}


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """One source of examples. `{id}` in the path stands for the node's id."""

    path: str
    split: str | None = None  # of a `datasets` name; None: "train"
    text_column: str = "text"
    label_column: str = "label"
    format: str | None = None  # one of FORMATS; None: told by the ending


@dataclass(frozen=True, slots=True)
class DataSettings:
    """What to train on and what to test on; without `tests`, a share of the training texts is held out by hash."""

    datasets: tuple[DatasetSettings, ...] = (DatasetSettings(docstrings.NAME),)
    tests: tuple[DatasetSettings, ...] = ()
    labels: tuple[str, ...] | None = None  # ordered; None: as the embedded or shared data says
    test_share: float = 0.2
    own_labels: bool = False  # whether other nodes may have other labels

    @property
    def tested_on(self) -> TestSet:
        """Whose texts the accuracy of a node is measured on: those that all nodes have, or its own."""
        named = [d.path for d in self.tests or self.datasets]
        common = any(path == docstrings.NAME for path in named) or not any("{id}" in path for path in named)
        return "common" if common else "own"


class Row(NamedTuple):
    """One text as read, its label still a word; `where` is file:line."""

    text: str
    label: str | None
    where: str
    record: Mapping[str, Any]  # all columns


def load(
    settings: DataSettings, peer: str, *, labelled: bool = True, common: bool = False, column: str | None = None
) -> Corpus:
    """The texts of `peer`.

    Args:
        labelled: whether the task is classification; else labels are not looked at.
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
    ):
        return docstrings.load() if labelled else _without_labels(docstrings.load())
    rows, tests = rows_of(settings.datasets, peer), rows_of(settings.tests, peer)
    labels = _labels(settings, rows, common) if labelled else ()
    examples = [_example(row, labels, labelled, column) for row in rows]
    if settings.tests:
        return Corpus(tuple(examples), in_hash_order(_example(row, labels, labelled) for row in tests), labels)
    held = [share_of("split " + e.text) < settings.test_share for e in examples]
    train = tuple(e for e, out in zip(examples, held, strict=True) if not out)
    if not train:
        raise ConfigError(
            f"datasets: all {len(examples)} examples of {_names(settings)} fell into the test set; give more data"
        )
    return Corpus(train, in_hash_order(e for e, out in zip(examples, held, strict=True) if out), labels)


def labels_of(settings: DataSettings, peer: str, common: bool) -> tuple[str, ...]:
    """The ordered label list, before any example is needed: what the base model's head is sized by."""
    if settings.labels is not None:
        return _checked(settings.labels)
    return load(settings, peer, common=common).labels


def _without_labels(corpus: Corpus) -> Corpus:
    train, test = ([replace(e, label=NO_LABEL) for e in part] for part in (corpus.train, corpus.test))
    return Corpus(tuple(train), tuple(test), ())


def _names(settings: DataSettings) -> str:
    return ", ".join(d.path for d in settings.datasets)


def _labels(settings: DataSettings, rows: Sequence[Row], common: bool) -> tuple[str, ...]:
    if settings.labels is not None:
        return _checked(settings.labels)
    seen = sorted({row.label for row in rows if row.label is not None})
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


def _example(row: Row, labels: tuple[str, ...], labelled: bool, column: str | None = None) -> Example:
    key = "" if column is None else value_in(row, column)
    if not labelled:
        return Example(row.text, NO_LABEL, key)
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


def _some(labels: Sequence[str]) -> str:
    shown = ", ".join(map(str, labels[:12])) + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")
    return shown or "no labels"


def rows_of(datasets: Sequence[DatasetSettings], peer: str) -> list[Row]:
    """All rows of all sources, in order.

    Raises:
        ConfigError: a source is missing, unreadable or empty.
    """
    found: list[Row] = []
    for dataset in datasets:
        dataset = replace(dataset, path=dataset.path.replace("{id}", peer))
        rows = [row for row in _reader(dataset)(dataset) if row.text.strip()]
        if not rows:
            raise ConfigError(
                f"datasets: {dataset.path}: no examples; wanted one or more texts in column {dataset.text_column!r}"
            )
        found += rows
    return found


def _reader(dataset: DatasetSettings) -> Callable[[DatasetSettings], Iterable[Row]]:
    readers: dict[str, Callable[[DatasetSettings], Iterable[Row]]] = {
        "jsonl": _jsonl, "csv": _csv, "parquet": _parquet, "folder": _folder, "text": _text, "datasets": _hub,
    }  # fmt: skip
    path = Path(dataset.path).expanduser()
    if dataset.path == docstrings.NAME:
        return _embedded
    kind = dataset.format or ("folder" if path.is_dir() else ENDINGS.get(path.suffix, "datasets"))
    if kind not in readers:
        raise ConfigError(
            f"datasets: format {kind!r} of {dataset.path} is not known; wanted one of {', '.join(FORMATS)}"
        )
    looks_local = path.is_absolute() or dataset.path.startswith((".", "~"))
    if (kind != "datasets" or looks_local) and not path.exists():
        raise ConfigError(
            f"datasets: {dataset.path} does not exist; give a file, a folder, a datasets name or {docstrings.NAME!r}"
        )
    return readers[kind]


def _embedded(dataset: DatasetSettings) -> Iterator[Row]:
    corpus = docstrings.load()
    for number, example in enumerate(corpus.test if dataset.split == "test" else corpus.train):
        yield _told(dataset, example.text, corpus.labels[example.label], f"{docstrings.NAME}:{number}")


def _row(dataset: DatasetSettings, record: Any, where: str) -> Row:
    if not isinstance(record, dict) or not isinstance(record.get(dataset.text_column), str):
        columns = ", ".join(map(str, record)) if isinstance(record, dict) else type(record).__name__
        raise ConfigError(f"{where}: no text in column {dataset.text_column!r} (there: {columns}); change text_column")
    label = record.get(dataset.label_column)
    return Row(record[dataset.text_column], None if label is None else str(label), where, record)


def _told(dataset: DatasetSettings, text: str, label: str | None, where: str) -> Row:
    """A row of a source that has no columns."""
    return Row(
        text, label, where, {dataset.text_column: text} | ({} if label is None else {dataset.label_column: label})
    )


def _jsonl(dataset: DatasetSettings) -> Iterator[Row]:
    for number, line in enumerate(_lines(dataset), start=1):
        if not line.strip():
            continue
        where = f"{dataset.path}:{number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{where}: not JSON ({error.msg}); wanted one object a line") from error
        yield _row(dataset, record, where)


def _csv(dataset: DatasetSettings) -> Iterator[Row]:
    reader = csv.DictReader(_lines(dataset))
    for record in reader:
        yield _row(dataset, record, f"{dataset.path}:{reader.line_num}")


def _lines(dataset: DatasetSettings) -> Iterator[str]:
    try:
        with Path(dataset.path).expanduser().open(encoding="utf-8", newline="") as file:
            yield from file
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"datasets: {dataset.path} cannot be read ({error}); wanted a UTF-8 file") from error


def _parquet(dataset: DatasetSettings) -> Iterator[Row]:
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(
            f"datasets: {dataset.path} needs pyarrow, which is not installed; run: pip install pyarrow, or give jsonl"
        )
    parquet: Any = importlib.import_module("pyarrow.parquet")
    try:
        records = parquet.read_table(Path(dataset.path).expanduser()).to_pylist()
    except (ValueError, OSError) as error:  # pyarrow's own errors are ValueErrors
        raise ConfigError(
            f"datasets: {dataset.path} cannot be read as parquet ({str(error).splitlines()[0]})"
        ) from error
    for number, record in enumerate(records, start=1):
        yield _row(dataset, record, f"{dataset.path}:{number}")


def _folder(dataset: DatasetSettings) -> Iterator[Row]:
    """folder/label/any.txt, or folder/any.txt without labels; one text a file."""
    root = Path(dataset.path).expanduser()
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p.suffix in (".txt", ".md")):
        parts = path.relative_to(root).parts
        text = "".join(_lines(replace(dataset, path=str(path))))
        yield _told(dataset, text, parts[0] if len(parts) > 1 else None, str(path))


def _text(dataset: DatasetSettings) -> Iterator[Row]:
    """One plain file: one text."""
    yield _told(dataset, "".join(_lines(dataset)), None, dataset.path)


def _hub(dataset: DatasetSettings) -> Iterator[Row]:
    if importlib.util.find_spec("datasets") is None:
        raise ConfigError(
            f"datasets: {dataset.path!r} is no file or folder here, and as a datasets name it needs "
            f"the package datasets; give an existing path, or run: pip install datasets"
        )
    datasets: Any = importlib.import_module("datasets")
    split = dataset.split or "train"
    try:
        table: Any = datasets.load_dataset(dataset.path, split=split)
    except Exception as error:  # its errors share no root: network, cache, format, permission
        reason = str(error).strip().split("\n")[0][:160]
        raise ConfigError(f"datasets: {dataset.path!r} split {split!r} cannot be loaded ({reason})") from error
    names = getattr(table.features.get(dataset.label_column), "names", None)
    for number, record in enumerate(table):
        label = record.get(dataset.label_column)
        named = (
            {**record, dataset.label_column: names[label]}
            if names and isinstance(label, int) and label >= 0
            else record
        )
        yield _row(dataset, named, f"{dataset.path}[{split}]:{number}")
