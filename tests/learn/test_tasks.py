"""Each task from a file to metrics: trained, measured on both sets, shown as the model sees it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from node.errors import ConfigError
from node.learn.dealing.partition import PartitionSettings
from node.learn.model.lora_settings import LoraSettings
from node.learn.prepare import LearnSettings, Prepared, open_learner, open_model, prepare
from node.learn.preview import example, numbers
from node.learn.reading.data import DataSettings
from node.learn.reading.source import DatasetSettings
from node.learn.training.passes import Reader
from node.learn.training.train_settings import TrainSettings
from tests.learn import tiny
from tests.learn.runs import run

TRAIN = TrainSettings(3e-2, micro_batch_size=4, local_steps=1, sequence_len=48, schedule="constant", warmup=0)


@pytest.fixture
def talks(llama: Path, tmp_path: Path) -> LearnSettings:
    """Questions of two words, whose answer is one of two words."""
    words = tiny.WORDS[:24]
    rows = [{"prompt": f"{words[i % 24]} {words[(5 * i + 3) % 24]}", "response": words[i % 2]} for i in range(96)]
    return LearnSettings(
        base_model=str(llama),
        task="causal_lm",
        lora=LoraSettings(r=4, alpha=8, target_modules=("q_proj", "v_proj"), modules_to_save=("lm_head",)),
        train=replace(TRAIN, learning_rate=1e-2),
        data=DataSettings(datasets=(_file(tmp_path / "talks.jsonl", rows),), private_share=0.2),
        partition=PartitionSettings(by="iid"),
    )


@pytest.fixture
def tagged(bert: Path, tmp_path: Path) -> LearnSettings:
    """A name of two words after "the" in every text."""
    w = tiny.WORDS
    rows = [
        {"tokens": [w[i % 7], "the", w[9], w[i % 5], w[20 + i % 9]], "tags": ["O", "O", "B-X", "I-X", "O"]}
        for i in range(90)
    ]
    return LearnSettings(
        base_model=str(bert),
        task="token_classification",
        lora=LoraSettings(r=4, alpha=8, target_modules=("query", "value")),
        train=TRAIN,
        data=DataSettings(datasets=(_file(tmp_path / "tagged.jsonl", rows),), private_share=0.2),
        partition=PartitionSettings(by="iid"),
    )


def _file(path: Path, rows: list[dict[str, object]]) -> DatasetSettings:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DatasetSettings(str(path))


def _node(settings: LearnSettings, index: int = 0) -> Prepared:
    return prepare(settings, open_model(settings), peer=f"n{index}", index=index, nodes=2)


def test_a_language_model_learns_to_answer(talks: LearnSettings) -> None:
    one = _node(talks)
    before = one.trainer.metrics(one.trainer.whole(one.shared))

    after = one.trainer.metrics(one.trainer.whole(run(one, 25)))

    assert set(after) == {
        f"{place}/{name}"
        for place in ("common", "private")
        for name in ("accuracy", "loss", "perplexity", "exact_match")
    }
    assert after["private/perplexity"] < 0.9 * before["private/perplexity"]
    assert "template" in one.digests


def test_exact_match_is_the_share_of_questions_answered_word_for_word(talks: LearnSettings) -> None:
    one = _node(talks)
    texts = one.learner.train.texts
    said = one.learner.train.said(texts.questions[0].prompt, texts.questions[0].most)
    right = texts.questions[0]._replace(answer=f"  {said}\n")

    reader = Reader(one.adapter, replace(texts, questions=(right, *texts.questions[1:4])), None)

    assert said.strip()
    assert reader.answers(4)["exact_match"] >= 0.25
    assert reader.answers(1) == {"exact_match": 1.0}
    assert reader.answers(4, [i for i in range(len(texts)) if i != right.row]).get("exact_match", 0.0) < 1.0
    assert reader.answers(0) == {}


def test_packing_changes_the_rows_and_not_the_loss(talks: LearnSettings) -> None:
    on, off = (_node(replace(talks, train=replace(talks.train, packing=packing))) for packing in ("on", "off"))  # type: ignore[arg-type]

    losses = [one.trainer.metrics(one.trainer.whole(one.shared))["common/loss"] for one in (on, off)]

    assert on.learner.packing.startswith("on: ")
    assert off.learner.packing == "off: as set"
    assert on.examples < off.examples
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_packing_by_force_is_refused_where_texts_would_see_each_other(
    talks: LearnSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced = replace(talks, train=replace(talks.train, packing="on"))
    base = open_model(forced)
    forward = type(base.model).forward

    def deaf(self: object, *args: object, position_ids: object = None, **more: object) -> object:
        return forward(self, *args, **more)

    monkeypatch.setattr(type(base.model), "forward", deaf)

    with pytest.raises(ConfigError, match=r"^train\.packing: on is not possible: in this model a text would see"):
        open_learner(forced, base)
    quiet = open_learner(talks, base)
    assert quiet.packing.startswith("off: in this model")
    assert not quiet.train.texts.starts


def test_entities_are_learnt_and_measured(tagged: LearnSettings) -> None:
    one = _node(tagged)

    found = one.trainer.metrics(one.trainer.whole(run(one, 40)))

    assert one.adapter.base.labels == ("B-X", "I-X", "O")
    assert set(found) == {f"{place}/{name}" for place in ("common", "private") for name in ("accuracy", "f1", "loss")}
    assert found["common/f1"] > 0.9


def test_tags_cannot_be_dealt_by_class(tagged: LearnSettings) -> None:
    with pytest.raises(ConfigError, match=r"^partition\.by: class wants one label a text"):
        _node(replace(tagged, partition=PartitionSettings(by="class")))


@pytest.mark.parametrize("fixture", ["settings", "tagged", "talks"])
def test_private_texts_are_never_trained_on(fixture: str, request: pytest.FixtureRequest) -> None:
    settings: LearnSettings = request.getfixturevalue(fixture)
    settings = replace(settings, data=replace(settings.data, private_share=0.3))
    nodes = [_node(settings, index) for index in range(2)]

    rows = [set(map(int, one.own)) for one in nodes]
    held = [set(one.trainer._held) for one in nodes]

    for one, own, out in zip(nodes, rows, held, strict=True):
        seen = {i for step in range(30) for i in one.trainer.indices(step)}
        assert seen == own
        assert out
        assert not out & own
        assert (one.examples, one.held_out) == (len(own), len(out))
    assert not held[0] & held[1]
    assert sum(map(len, (*rows, *held))) == len(nodes[0].learner.train.texts)


def test_a_private_share_leaves_the_deal_as_it_is(settings: LearnSettings) -> None:
    deals = [
        np.sort(np.concatenate([one.own, one.trainer._held]).astype(int))
        for one in (_node(replace(settings, data=replace(settings.data, private_share=share))) for share in (0.0, 0.3))
    ]

    assert np.array_equal(*deals)


def test_metrics_are_told_in_the_rounds_that_evaluate(settings: LearnSettings) -> None:
    changed = replace(
        settings,
        data=replace(settings.data, private_share=0.3),
        train=replace(settings.train, eval_every=2, eval_examples=5),
    )
    one = _node(changed)

    told = [one.trainer.train(round, one.shared)[1] for round in range(3)]

    names = {f"{place}/{name}" for place in ("common", "private") for name in ("accuracy", "f1", "loss")}
    assert [names <= set(stats) for stats in told] == [True, False, True]
    assert told[0]["accuracy"] == told[0]["common/accuracy"]


def test_where_each_node_has_a_test_set_of_its_own_it_is_not_called_common(bert: Path, tmp_path: Path) -> None:
    for peer in ("n0", "n1"):
        lines = [json.dumps({"text": t, "label": label}) + "\n" for t, label in tiny.texts(60)]
        (tmp_path / f"{peer}.jsonl").write_text("".join(lines))
    data = DataSettings(datasets=(DatasetSettings(str(tmp_path / "{id}.jsonl")),), labels=tiny.LABELS)
    one = _node(LearnSettings(base_model=str(bert), data=data, train=TRAIN))

    assert {name.split("/")[0] for name in one.trainer.metrics(one.trainer.whole(one.shared))} == {"own"}


def test_an_example_is_shown_as_the_model_sees_it(
    settings: LearnSettings, causal: LearnSettings, tagged: LearnSettings, talks: LearnSettings
) -> None:
    shown = {
        one.learner.settings.task + str(i): example(one)
        for i, one in enumerate(map(_node, (settings, causal, tagged, talks)))
    }

    assert shown["classification0"].startswith("[CLS] ")
    assert shown["classification0"].rpartition(" -> ")[2] in tiny.LABELS
    assert "[[" not in shown["causal_lm1"].removeprefix("[[").partition("]]")[2]  # the first token has nobody before it
    assert "the/O list/B-X" in shown["token_classification2"] or "the/O" in shown["token_classification2"]
    assert shown["causal_lm3"].startswith("[[")
    assert shown["causal_lm3"].count("[[") >= 2  # several conversations share the row


def test_numbers_tell_what_is_cut(talks: LearnSettings, settings: LearnSettings) -> None:
    short = replace(talks, train=replace(talks.train, sequence_len=12, packing="off"))

    said = numbers(_node(short))

    assert said.startswith("causal_lm: ")
    assert "held out" in said
    assert "100.0% of texts are cut at sequence_len 12" in said
    assert "packing off: as set" in said
    assert numbers(_node(settings)).endswith("none is longer than sequence_len 16")


def test_a_model_without_a_causal_head_for_tags_is_loaded_by_name(bert: Path) -> None:
    base = open_model(
        LearnSettings(base_model=str(bert), task="token_classification", data=DataSettings(labels=("O", "B-X")))
    )

    assert type(base.model).__name__ == "BertForTokenClassification"
    assert base.model.config.id2label == {0: "O", 1: "B-X"}
    assert {name.split(".")[0] for name in base.fresh} == {"classifier"}
    assert torch.equal(base.model.classifier.bias, torch.zeros(2))
