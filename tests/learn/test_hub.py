"""Data sets that the package `datasets` opens, from local folders; skipped where it is not installed."""

from __future__ import annotations

import importlib.util
import json
from itertools import islice
from pathlib import Path

import pytest

from node.config import check_config
from node.errors import ConfigError
from node.learn.reading import data, hub
from node.learn.reading.data import DataSettings
from node.learn.reading.source import DatasetSettings
from tests.learn import tiny

HAS_DATASETS = importlib.util.find_spec("datasets") is not None
needs_datasets = pytest.mark.skipif(not HAS_DATASETS, reason="needs the package datasets")
without_datasets = pytest.mark.skipif(HAS_DATASETS, reason="the package datasets is here")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the package, about its own means
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # it leaves files open
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """600 texts in three files, the last of them broken."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "set"
    root.mkdir()
    rows = [json.dumps({"text": f"{text} {i}", "label": label}) for i, (text, label) in enumerate(tiny.texts(600))]
    (root / "train-0.jsonl").write_text("\n".join(rows[:300]) + "\n")
    (root / "train-1.jsonl").write_text("\n".join(rows[300:]) + "\n")
    (root / "train-2.jsonl").write_text("this is no JSON\n")
    return root


@needs_datasets
def test_a_stream_is_read_no_further_than_it_is_asked_for(folder: Path) -> None:
    """The third file would be refused, if it were opened: two blocks end before it."""
    found = list(islice(hub.records(str(folder), "train", streaming=True), 500))

    assert [r.values["label"] for r in found] == [label for _, label in tiny.texts(500)]
    assert found[499].where == f"{folder}[train]:499"


@needs_datasets
def test_a_stream_that_breaks_says_where(folder: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read, from record 512 on"):
        list(hub.records(str(folder), "train", streaming=True))


@needs_datasets
def test_streamed_texts_are_a_corpus_like_any_other(folder: Path) -> None:
    settings = DataSettings(
        datasets=(DatasetSettings(str(folder), format="datasets", streaming=True, take=250),), labels=tiny.LABELS
    )

    corpus = data.load(settings, "n0", "classification")

    texts = {f"{text} {i}" for i, (text, _) in enumerate(tiny.texts(250))}
    assert {e.text for e in (*corpus.train, *corpus.test)} == texts


@needs_datasets
def test_class_numbers_become_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    made = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    (tmp_path / "set").mkdir()
    made.to_parquet(tmp_path / "set" / "train.parquet")

    for streaming in (False, True):
        found = list(hub.records(str(tmp_path / "set"), "train", streaming))
        assert [r.values["label"] for r in found] == ["yes", "no"]


@without_datasets
def test_without_the_package_the_message_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"needs the package datasets; .*pip install datasets"):
        next(hub.records("someone/some-texts", "train", streaming=True))


def test_no_more_than_the_first_records_of_a_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    path.write_text('{"text": "one"}\n{"text": "two"}\nthis is no JSON\n')

    rows = data.rows_of([DatasetSettings(str(path), take=2)], "n0", "causal_lm")

    assert [row.text for row in rows] == ["one", "two"]


def test_the_embedded_set_can_be_cut_too() -> None:
    settings = DataSettings(datasets=(DatasetSettings("stdlib-docstrings", take=50),))

    corpus = data.load(settings, "n0", "causal_lm")

    assert len(corpus.train) + len(corpus.test) == 50


def test_a_file_is_no_stream(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    path.write_text('{"text": "one"}\n')

    with pytest.raises(ConfigError, match=r"streaming: true, but .*all.jsonl is read as jsonl"):
        data.rows_of([DatasetSettings(str(path), streaming=True, take=1)], "n0", "causal_lm")


def test_a_stream_without_an_end_is_refused_in_the_node_file() -> None:
    check_config({"datasets": [{"path": "someone/texts", "streaming": True, "take": 10}]}, "node.yaml")

    with pytest.raises(ConfigError, match=r"datasets\[0\].*streaming: true wants take"):
        check_config({"datasets": [{"path": "someone/texts", "streaming": True}]}, "node.yaml")
