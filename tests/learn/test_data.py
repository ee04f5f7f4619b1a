from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from node.errors import ConfigError
from node.learn.reading import data, docstrings
from node.learn.reading.data import DataSettings
from node.learn.reading.examples import NO_LABEL, Example
from node.learn.reading.source import DatasetSettings

ROWS = [("open a file", "files"), ("send it", "net"), ("sum, of two", "maths"), ("close\nthe file", "files")]
LABELS = ("net", "files", "maths")


def _settings(path: Path | str, labels: tuple[str, ...] | None = LABELS, **more: str) -> DataSettings:
    return DataSettings(datasets=(DatasetSettings(str(path), **more),), labels=labels, test_share=0.0)  # type: ignore[arg-type]


def _write(folder: Path, kind: str) -> Path:
    path = folder / f"all.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in ROWS))
    elif kind == "csv":
        quoted = [t.replace('"', '""') for t, _ in ROWS]
        path.write_text("text,label\n" + "".join(f'"{t}",{row[1]}\n' for t, row in zip(quoted, ROWS, strict=True)))
    elif kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        table = pyarrow.table({"text": [t for t, _ in ROWS], "label": [label for _, label in ROWS]})
        pytest.importorskip("pyarrow.parquet").write_table(table, path)
    else:
        path = folder / "tree"
        for number, (text, label) in enumerate(ROWS):
            (path / label).mkdir(parents=True, exist_ok=True)
            (path / label / f"{number}.txt").write_text(text)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "folder"])
def test_every_format_gives_the_same_examples(tmp_path: Path, kind: str) -> None:
    corpus = data.load(_settings(_write(tmp_path, kind)), "n0")

    assert set(corpus.train) == {Example(text, LABELS.index(label)) for text, label in ROWS}
    assert corpus.labels == LABELS


def test_labels_are_numbered_by_the_list_and_not_by_what_comes_first(tmp_path: Path) -> None:
    corpus = data.load(_settings(_write(tmp_path, "jsonl")), "n0")

    assert [e.label for e in corpus.train] == [1, 0, 2, 1]


def test_id_in_a_path_is_the_node(tmp_path: Path) -> None:
    (tmp_path / "n1.jsonl").write_text('{"text": "mine", "label": "net"}\n')

    corpus = data.load(_settings(tmp_path / "{id}.jsonl"), "n1")

    assert corpus.train == (Example("mine", 0),)


def test_private_data_without_a_label_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^labels: none given.*\(it has files, maths, net\).*under labels"):
        data.load(_settings(_write(tmp_path, "jsonl"), labels=None), "n0")


def test_common_data_numbers_its_labels_in_sorted_order(tmp_path: Path) -> None:
    corpus = data.load(_settings(_write(tmp_path, "jsonl"), labels=None), "n0", common=True)

    assert corpus.labels == ("files", "maths", "net")


def test_an_unknown_label_is_refused_with_file_and_line(tmp_path: Path) -> None:
    path = _write(tmp_path, "jsonl")

    with pytest.raises(ConfigError, match=r"all\.jsonl:3: label 'maths' is not listed under labels \(net, files\)"):
        data.load(_settings(path, labels=("net", "files")), "n0")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", r"all\.jsonl: no examples"),
        ('{"text": "  ", "label": "net"}\n', r"all\.jsonl: no examples"),
        ('{"text": "a", "label": "net"}\n\n{"text": \n', r"all\.jsonl:3: not JSON"),
        ('{"body": "a", "label": "net"}\n', r"all\.jsonl:1: no text in column 'text' \(there: body, label\)"),
        ('["a"]\n', r"all\.jsonl:1: no text in column 'text' \(there: list\)"),
        ('{"text": "a"}\n', r"all\.jsonl:1: no label"),
    ],
)
def test_bad_data_is_refused_with_file_and_line(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "all.jsonl"
    path.write_text(content)

    with pytest.raises(ConfigError, match=words) as error:
        data.load(_settings(path), "n0")

    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "more", "words"),
    [
        ("/no/such.jsonl", {}, r"/no/such\.jsonl does not exist"),
        ("./nowhere", {}, r"\./nowhere does not exist"),
        ("/no/such.bin", {"format": "xml"}, "format 'xml' of .* is not known"),
    ],
)
def test_a_missing_source_is_refused(path: str, more: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        data.load(_settings(path, **more), "n0")


def test_labels_that_stand_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="labels: 'net' stands twice"):
        data.load(_settings(_write(tmp_path, "jsonl"), labels=("net", "files", "net")), "n0")


def test_the_held_out_share_depends_on_the_text_alone(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    lines = [json.dumps({"text": f"text {i}", "label": LABELS[i % 3]}) + "\n" for i in range(400)]
    path.write_text("".join(lines))
    settings = DataSettings(datasets=(DatasetSettings(str(path)),), labels=LABELS, test_share=0.25)
    whole = data.load(settings, "n0")

    path.write_text("".join(reversed(lines[:200])))
    half = data.load(settings, "n1")

    assert math.isclose(len(whole.test) / 400, 0.25, abs_tol=0.07)
    assert set(half.test) <= set(whole.test)
    assert not {e.text for e in half.train} & {e.text for e in whole.test}
    assert [e for e in whole.test if e in set(half.test)] == list(half.test)


def test_a_test_set_of_its_own_is_used_whole(tmp_path: Path) -> None:
    path = _write(tmp_path, "jsonl")
    settings = DataSettings((DatasetSettings(str(path)),), (DatasetSettings(str(path)),), LABELS)

    corpus = data.load(settings, "n0")

    assert len(corpus.train) == len(corpus.test) == 4


def test_without_a_classifier_labels_are_not_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("once upon a time")

    corpus = data.load(_settings(path, labels=None), "n0", task="causal_lm")

    assert corpus.train == (Example("once upon a time", NO_LABEL),)


def test_docstrings_come_in_twelve_areas_of_like_size() -> None:
    corpus = docstrings.load()

    counts = [sum(e.label == i for e in corpus.train) for i in range(12)]
    assert len(corpus.labels) == 12
    assert 3000 < len(corpus.train) < 4000
    assert 700 < len(corpus.test) < 1000
    assert min(counts) > 150
    assert max(counts) < 0.12 * len(corpus.train)


def test_no_docstring_is_trained_on_and_tested_or_stands_in_two_areas() -> None:
    corpus = docstrings.load()

    texts = [e.text for e in (*corpus.train, *corpus.test)]
    assert len(texts) == len(set(texts))
    assert docstrings.load() is corpus
    assert len(corpus.digest) == 64


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("Open a file.  Return it.\n\nMore.", "Open a file."),
        ("Read\n    the e.g. value", "Read the e.g. value"),
        ("Return 3.5 times\nx", "Return 3.5 times x"),
    ],
)
def test_the_first_sentence_is_taken(docstring: str, sentence: str) -> None:
    assert docstrings.first_sentence(docstring) == sentence


def test_a_partition_by_key_goes_by_a_column_of_the_texts(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    path.write_text(
        "".join(json.dumps({"text": f"t{i}", "label": "ab"[i % 2], "who": i % 3}) + "\n" for i in range(30))
    )
    settings = DataSettings((DatasetSettings(str(path)),), test_share=0.3)

    corpus = data.load(settings, "n0", common=True, column="who")

    assert 10 < len(corpus.train) < 30
    assert all(e.key == str(int(e.text[1:]) % 3) for e in corpus.train)
    assert corpus.digest == data.load(settings, "n0", common=True).digest


@pytest.mark.parametrize(
    ("column", "words"),
    [("speaker", r"said.jsonl:1: nothing in column 'speaker' \(there: text, label, who\)"), ("who", r"said.jsonl:2")],
)
def test_a_text_without_that_column_is_named(tmp_path: Path, column: str, words: str) -> None:
    path = tmp_path / "said.jsonl"
    path.write_text('{"text": "x", "label": "a", "who": "me"}\n{"text": "y", "label": "b", "who": ""}\n')

    with pytest.raises(ConfigError, match=words):
        data.load(DataSettings((DatasetSettings(str(path)),)), "n0", common=True, column=column)


def test_the_embedded_texts_have_no_such_column() -> None:
    with pytest.raises(ConfigError, match=r"stdlib-docstrings:0: nothing in column 'who' \(there: text, label\)"):
        data.load(DataSettings(), "n0", common=True, column="who")
