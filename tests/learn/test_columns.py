"""Which columns hold what, and what is said where they do not: file, line and what was wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from node.errors import ConfigError
from node.learn.reading import data
from node.learn.reading.data import DataSettings
from node.learn.reading.examples import NO_LABEL, Corpus, Example, Task, Turn
from node.learn.reading.source import DatasetSettings

TAGS = ("O", "B-PER", "I-PER")


def _load(path: Path, task: Task, labels: tuple[str, ...] | None = None, **more: Any) -> tuple[Example, ...]:
    settings = DataSettings(datasets=(DatasetSettings(str(path), **more),), labels=labels, test_share=0.0)
    return data.load(settings, "n0", task).train


def _write(folder: Path, *records: object) -> Path:
    path = folder / "all.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Two?", "response": "2"},
        {"instruction": "Two?", "output": "2"},
        {"instruction": "Two?", "input": " ", "output": "2"},
        {"messages": [{"role": "user", "content": "Two?"}, {"role": "assistant", "content": "2"}]},
    ],
)
def test_questions_and_answers_come_in_three_kinds(tmp_path: Path, record: dict[str, Any]) -> None:
    (example,) = _load(_write(tmp_path, record), "causal_lm")

    assert example.turns == (Turn("user", "Two?"), Turn("assistant", "2"))
    assert example.label == NO_LABEL


def test_an_input_stands_below_its_instruction(tmp_path: Path) -> None:
    (example,) = _load(_write(tmp_path, {"instruction": "Add.", "input": "1, 2", "output": "3"}), "causal_lm")

    assert example.turns[0].content == "Add.\n\n1, 2"


def test_columns_of_other_names_are_named(tmp_path: Path) -> None:
    path = _write(tmp_path, {"q": "Two?", "completion": "2", "text": "not this"})

    (example,) = _load(path, "causal_lm", prompt_column="q", response_column="completion")

    assert example.turns == (Turn("user", "Two?"), Turn("assistant", "2"))


def test_a_kind_that_is_named_wins_over_what_the_columns_say(tmp_path: Path) -> None:
    path = _write(tmp_path, {"prompt": "Two?", "response": "2", "text": "the whole"})

    (example,) = _load(path, "causal_lm", kind="text")

    assert example == Example("the whole", NO_LABEL)


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "conll"])
def test_tagged_words_come_from_every_format(tmp_path: Path, kind: str) -> None:
    rows = [
        {"tokens": ["Ada", "Lovelace", "wrote"], "tags": ["B-PER", "I-PER", "O"]},
        {"tokens": ["Yes"], "tags": ["O"]},
    ]
    path = tmp_path / f"all.{kind}"
    if kind == "jsonl":
        path = _write(tmp_path, *rows)
    elif kind == "parquet":
        table = pytest.importorskip("pyarrow").table({name: [row[name] for row in rows] for name in rows[0]})
        pytest.importorskip("pyarrow.parquet").write_table(table, path)
    else:
        path.write_text("-DOCSTART- -X- O\n\nAda NNP B-PER\nLovelace\tNNP\tI-PER\nwrote VBD O\n\n\nYes UH O")

    examples = _load(path, "token_classification", TAGS)

    assert [(e.words, e.tags) for e in examples] == [(("Ada", "Lovelace", "wrote"), (1, 2, 0)), (("Yes",), (0,))]
    assert examples[0].text == "Ada Lovelace wrote"


def test_tags_of_common_data_are_numbered_in_sorted_order(tmp_path: Path) -> None:
    path = _write(tmp_path, {"tokens": ["a", "b"], "tags": ["O", "B-X"]})

    corpus = data.load(
        DataSettings((DatasetSettings(str(path)),), test_share=0.0), "n0", "token_classification", common=True
    )

    assert corpus.labels == ("B-X", "O")


@pytest.mark.parametrize(
    ("task", "record", "words"),
    [
        ("causal_lm", {"prompt": "a", "response": " "}, "the answer is empty; wanted text"),
        ("causal_lm", {"prompt": "", "response": "a"}, "the question is empty"),
        ("causal_lm", {"body": "a"}, r"no text in column 'text' \(there: body\); change text_column"),
        (
            "causal_lm",
            {"instruction": "a", "output": 3},
            r"no answer in column 'output' \(there: instruction, output\)",
        ),
        ("causal_lm", {"instruction": "a", "input": 1, "output": "b"}, "1 in column 'input'; wanted text, or nothing"),
        ("causal_lm", {"messages": "hello"}, "no list in column 'messages'"),
        (
            "causal_lm",
            {"messages": []},
            "0 messages, the last from nobody; wanted a question and, at the end, an answer",
        ),
        (
            "causal_lm",
            {"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]},
            "2 messages, the last from user",
        ),
        (
            "causal_lm",
            {"messages": [{"from": "human", "value": "a"}]},
            r"messages\[0\]: .*; wanted role \(system, user, assistant\) and content \(text\)",
        ),
        ("token_classification", {"tokens": ["a", "b"], "tags": ["O"]}, "2 words and 1 tags; wanted one tag a word"),
        (
            "token_classification",
            {"text": "a"},
            r"no list of words in column 'tokens' \(there: text\); change tokens_col",
        ),
        ("token_classification", {"tokens": ["a"], "tags": "O"}, "no list of tags in column 'tags'"),
        ("token_classification", {"tokens": ["a", " "], "tags": ["O", "O"]}, "word 1 of column 'tokens' is empty"),
        ("token_classification", {"tokens": [None], "tags": ["O"]}, "None in column 'tokens'; wanted a list of words"),
        (
            "token_classification",
            {"tokens": ["a", "b"], "tags": ["O", "B-LOC"]},
            r"word 1 \('b'\) has tag 'B-LOC', which is not listed under labels \(O, B-PER, I-PER\)",
        ),
    ],
)
def test_bad_records_are_refused_with_file_and_line(
    tmp_path: Path, task: Task, record: dict[str, Any], words: str
) -> None:
    good = {"tokens": ["a"], "tags": ["O"]} if task == "token_classification" else None
    path = _write(tmp_path, *([good] if good else []), record)
    line = 2 if good else 1

    with pytest.raises(ConfigError, match=rf"all\.jsonl:{line}: ?.*{words}") as error:
        _load(path, task, TAGS if good else None)

    assert "\n" not in str(error.value)


def test_a_conll_line_without_a_tag_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "all.conll"
    path.write_text("Ada B-PER\nwrote\n")

    with pytest.raises(ConfigError, match=r"all\.conll:2: 'wrote'; wanted a word and its tag, or a blank line"):
        _load(path, "token_classification", TAGS)


def test_the_embedded_texts_have_no_tags() -> None:
    with pytest.raises(ConfigError, match="stdlib-docstrings has no tags"):
        data.load(DataSettings(), "n0", "token_classification")


def test_tags_and_turns_are_part_of_the_digest(tmp_path: Path) -> None:
    plain = Corpus((Example("a", NO_LABEL, words=("a",), tags=(0,)),), (), TAGS)
    other = Corpus((Example("a", NO_LABEL, words=("a",), tags=(1,)),), (), TAGS)

    assert plain.digest != other.digest
