"""Records of one source: a jsonl, csv, parquet or CoNLL file, a folder of text, a `datasets` name, the embedded set.

Decides which reader a path gets. Every complaint names file and line. What a record must hold for its task is the
business of `columns`.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from node.errors import ConfigError
from node.learn.reading import docstrings, hub
from node.learn.reading.source import ENDINGS, FORMATS, DatasetSettings, Record

DOCUMENT = "-DOCSTART-"  # what CoNLL-2003 writes between two documents


def records(dataset: DatasetSettings) -> Iterable[Record]:
    """All records of one source, in order; nothing is read before the first is asked for.

    Raises:
        ConfigError: it is missing, unreadable, or of a format that is not known.
    """
    return _reader(dataset)(dataset)


def _reader(dataset: DatasetSettings) -> Callable[[DatasetSettings], Iterable[Record]]:
    readers: dict[str, Callable[[DatasetSettings], Iterable[Record]]] = {
        "jsonl": _jsonl, "csv": _csv, "parquet": _parquet, "conll": _conll, "folder": _folder, "text": _text,
        "datasets": _hub,
    }  # fmt: skip
    path = Path(dataset.path).expanduser()
    if dataset.path == docstrings.NAME:
        return _embedded
    kind = dataset.format or ("folder" if path.is_dir() else ENDINGS.get(path.suffix, "datasets"))
    if kind not in readers:
        raise ConfigError(
            f"datasets: format {kind!r} of {dataset.path} is not known; wanted one of {', '.join(FORMATS)}"
        )
    if dataset.streaming and kind != "datasets":
        raise ConfigError(
            f"datasets: streaming: true, but {dataset.path} is read as {kind}; wanted a datasets name, "
            f"streaming: false (take alone cuts a file, too), or format: datasets"
        )
    looks_local = path.is_absolute() or dataset.path.startswith((".", "~"))
    if (kind != "datasets" or looks_local) and not path.exists():
        raise ConfigError(
            f"datasets: {dataset.path} does not exist; give a file, a folder, a datasets name or {docstrings.NAME!r}"
        )
    return readers[kind]


def _embedded(dataset: DatasetSettings) -> Iterator[Record]:
    corpus = docstrings.load()
    for number, example in enumerate(corpus.test if dataset.split == "test" else corpus.train):
        yield _plain(dataset, example.text, corpus.labels[example.label], f"{docstrings.NAME}:{number}")


def _plain(dataset: DatasetSettings, text: str, label: str | None, where: str) -> Record:
    """A text that comes without columns, as if it stood in the wanted ones."""
    return Record({dataset.text_column: text} | ({} if label is None else {dataset.label_column: label}), where)


def _jsonl(dataset: DatasetSettings) -> Iterator[Record]:
    for number, line in enumerate(_lines(dataset), start=1):
        if not line.strip():
            continue
        where = f"{dataset.path}:{number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{where}: not JSON ({error.msg}); wanted one object a line") from error
        yield Record(record, where)


def _csv(dataset: DatasetSettings) -> Iterator[Record]:
    reader = csv.DictReader(_lines(dataset))
    for record in reader:
        yield Record(record, f"{dataset.path}:{reader.line_num}")


def _conll(dataset: DatasetSettings) -> Iterator[Record]:
    """A word a line, its tag in the last column, columns apart by white space; a blank line ends a text."""
    words: list[str] = []
    tags: list[str] = []
    first = 0  # line of the text's first word
    for number, line in enumerate(_lines(dataset), start=1):
        cells = line.split()
        if cells and cells[0] != DOCUMENT:
            if len(cells) < 2:
                raise ConfigError(
                    f"{dataset.path}:{number}: {line.strip()!r}; wanted a word and its tag, or a blank line"
                )
            first = first or number
            words.append(cells[0])
            tags.append(cells[-1])
        elif words:
            yield Record({dataset.tokens_column: words, dataset.tags_column: tags}, f"{dataset.path}:{first}")
            words, tags, first = [], [], 0
    if words:
        yield Record({dataset.tokens_column: words, dataset.tags_column: tags}, f"{dataset.path}:{first}")


def _lines(dataset: DatasetSettings) -> Iterator[str]:
    try:
        with Path(dataset.path).expanduser().open(encoding="utf-8", newline="") as file:
            yield from file
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"datasets: {dataset.path} cannot be read ({error}); wanted a UTF-8 file") from error


def _parquet(dataset: DatasetSettings) -> Iterator[Record]:
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
        yield Record(record, f"{dataset.path}:{number}")


def _folder(dataset: DatasetSettings) -> Iterator[Record]:
    """folder/label/any.txt, or folder/any.txt without labels; one text a file."""
    root = Path(dataset.path).expanduser()
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p.suffix in (".txt", ".md")):
        parts = path.relative_to(root).parts
        text = "".join(_lines(replace(dataset, path=str(path))))
        yield _plain(dataset, text, parts[0] if len(parts) > 1 else None, str(path))


def _text(dataset: DatasetSettings) -> Iterator[Record]:
    """One plain file: one text."""
    yield _plain(dataset, "".join(_lines(dataset)), None, dataset.path)


def _hub(dataset: DatasetSettings) -> Iterator[Record]:
    return hub.records(dataset.path, dataset.split or "train", dataset.streaming)
