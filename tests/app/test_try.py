"""`gossip try`: what nodes say of a text as they stand, and how far they agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import node.learn.model.libraries  # noqa: F401  # first: silences transformers before anything imports it
from node.app.adapters.predict import agreement
from tests.app.kept import ENDS, IDS, SAVED, Kept
from tests.lab import call
from tests.learn import tiny

TEXT = "read the file"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_bert(tmp_path_factory.mktemp("bert"), layers=1)


def test_a_node_that_has_not_ended_answers_from_its_checkpoint(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Kept(tmp_path, bert)
    kept.train(SAVED)

    assert call(["try", TEXT, "--run", str(kept.run.path)]) == 0

    said = capsys.readouterr()
    assert f"n0: its checkpoint after round {SAVED} of {ENDS}" in said.err
    assert len(said.out.splitlines()) == 3


def test_all_nodes_answer_and_say_how_far_they_agree(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One has ended, the other one has a checkpoint."""
    kept = Kept(tmp_path, bert)
    kept.finish(IDS[:1])
    kept.train(SAVED, IDS[1:])

    assert call(["try", TEXT, "--run", str(kept.run.path), "--all", "--json"]) == 0

    said = json.loads(capsys.readouterr().out)
    assert [(n["node"], n["round"], n["source"]) for n in said["nodes"]] == [
        ("n0", ENDS, "adapter"),
        ("n1", SAVED, "checkpoint"),
    ]
    one, other = (n["labels"] for n in said["nodes"])
    apart = max(abs(one[label] - other[label]) for label in one)
    assert 0 < apart <= said["agreement"]["apart"] + 1e-6 <= 1
    assert said["agreement"]["share"] in (0.5, 1.0)


def test_all_in_plain_words(bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = Kept(tmp_path, bert)
    kept.train(SAVED)

    assert call(["try", TEXT, "--run", str(kept.run.path), "--all"]) == 0

    first, _, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"n0, round {SAVED}: ")
    assert last.startswith("agreement ")


def test_a_language_model_goes_on_for_as_many_tokens_as_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Kept(tmp_path, tiny.save_llama(tmp_path / "llama"), task="causal_lm")
    kept.train(1)
    lengths = []
    for tokens in ("1", "6"):
        assert call(["try", TEXT, "--run", str(kept.run.path), "--max-new-tokens", tokens]) == 0
        lengths.append(len(capsys.readouterr().out.split()))

    assert lengths[0] < lengths[1] <= len(TEXT.split()) + 6


def test_a_tagger_tags_each_word(bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = Kept(tmp_path, bert, task="token_classification")
    kept.finish()

    assert call(["try", TEXT, "--run", str(kept.run.path), "--all", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert call(["try", TEXT, "--run", str(kept.run.path)]) == 0

    assert [word for word, _ in said["nodes"][0]["tags"]] == TEXT.split()
    assert {tag for _, tag in said["nodes"][0]["tags"]} <= {"O", "B-THING"}
    assert 0 <= said["agreement"]["share"] <= 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [[tag, word] for word, tag in said["nodes"][0]["tags"]]


def test_all_and_one_node_do_not_go_together(bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = Kept(tmp_path, bert)

    assert call(["try", TEXT, "--run", str(kept.run.path), "--all", "--node", "n0"]) == 2
    assert "--all means every node" in capsys.readouterr().err
    assert call(["try", TEXT, "--run", str(kept.run.path), "--node", "n7"]) == 2
    assert "--node n7: not a node of" in capsys.readouterr().err


def test_agreement_by_hand() -> None:
    a, b = {"labels": {"x": 0.75, "y": 0.25}}, {"labels": {"y": 0.5, "x": 0.5}}

    assert agreement([a, a, b]) == {"share": 2 / 3, "apart": 0.25}
    assert agreement([a]) == {"share": 1.0, "apart": 0.0}
    assert agreement([{"continuation": "so"}, {"continuation": "not so"}]) == {"share": 0.5}
    tagged = [{"tags": [["Ann", "B"], ["runs", "O"]]}, {"tags": [["Ann", "O"], ["runs", "O"]]}]
    assert agreement(tagged) == {"share": 0.5}
