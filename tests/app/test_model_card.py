"""The card of an adapter: its loading lines are true wherever the base model can be had."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args, get_type_hints

import huggingface_hub
import pytest

from node.app.adapters.model_card import PIPELINES, CardFacts, metadata_of, model_card, told
from node.learning_settings import LoraConfig

FACTS = CardFacts(
    base="someone/some-model",
    node="n2",
    labels=("files", 'a "quoted" one', "maths"),
    rounds=80,
    nodes=4,
    neighbours=("n1", "n3"),
    mixing="dpsgd, moments too",
    schedule="",
    parameters={"shared": 12345, "private": 678, "frozen": 0},
    examples=678,
    classes=2,
    metrics={"accuracy": 0.5},
)


def code_of(card: str) -> str:
    found = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_card_says_where_the_adapter_comes_from() -> None:
    card = model_card(FACTS)
    assert "node n2 of a gossip network" in card
    assert "678 private examples, which never left the node" in card
    assert "neighbours n1, n3 of a graph of 4 nodes" in card
    assert "| shared parameters | 12,345 |" in card
    assert "| private examples | 678 of 2 of 3 labels |" in card
    assert "| accuracy on the common test set | 0.500 |" in card


def test_the_card_names_a_schedule_and_not_all_whom_it_brought_together() -> None:
    everybody = tuple(f"n{i}" for i in range(64))
    card = model_card(replace(FACTS, nodes=65, neighbours=everybody, schedule="{name: random_matching, seed: 3}"))
    assert "with 64 neighbours of a graph of 65 nodes" in card
    assert "| schedule | {name: random_matching, seed: 3} |" in card
    assert "schedule" not in model_card(FACTS)


def test_the_metadata_names_the_base_model_for_a_hub() -> None:
    assert model_card(FACTS).startswith("---\nlibrary_name: peft\nbase_model: someone/some-model\n")


@pytest.mark.parametrize("task", PIPELINES)
@pytest.mark.parametrize(("method", "merged"), [("lora", False), ("bias", False), ("lora", True)])
def test_the_loading_lines_are_python_and_name_base_and_folder(task: str, method: str, merged: bool) -> None:
    labels = () if task == "causal_lm" else FACTS.labels
    facts = replace(FACTS, labels=labels, task=task, method=method, merged=merged)
    code = code_of(model_card(facts, "my adapter"))
    compile(code, "card", "exec")
    assert ('PeftModel.from_pretrained(model, "my adapter")' in code) == facts.is_peft
    assert ("my adapter/tuned.safetensors" in code) == (method == "bias")
    assert code.count('"someone/some-model"') == (0 if merged else 2)
    assert code.count('.from_pretrained("my adapter")') == (2 if merged else 0)
    wanted = {"classification": "ForSequenceClassification", "causal_lm": "ForCausalLM"}
    assert wanted.get(task, "ForTokenClassification") in code


def test_the_loading_lines_give_the_labels_in_order() -> None:
    line = next(line for line in code_of(model_card(FACTS)).splitlines() if line.startswith("labels = "))
    assert line == f"labels = {list(FACTS.labels)!r}"


def test_what_was_not_measured_is_not_invented() -> None:
    assert "| accuracy on the common test set | not measured |" in model_card(replace(FACTS, metrics={}))


def test_each_method_has_a_name() -> None:
    names = get_args(get_type_hints(LoraConfig)["method"])
    cards = [model_card(replace(FACTS, method=name)) for name in names]
    assert len({re.search("# (.*) for", card)[1] for card in cards}) == len(names) == 6  # type: ignore[index]


# ---- metadata, as the hub's own library reads it
def cards() -> Iterator[CardFacts]:
    yield FACTS
    yield replace(FACTS, metrics={}, datasets=("someone/some-texts",))
    yield replace(FACTS, labels=(), task="causal_lm", metrics={"perplexity": 12.25, "loss": 2.5}, method="ia3")
    yield replace(
        FACTS, task="token_classification", metrics={"f1": 0.75}, merged=True, datasets=("stdlib-docstrings",)
    )
    yield replace(FACTS, node="yes", base="org/no", datasets=("1e-4",))  # words that YAML would read as something else


@pytest.mark.parametrize("facts", list(cards()))
def test_the_hub_s_library_reads_the_metadata_back(facts: CardFacts) -> None:
    data = huggingface_hub.ModelCard(model_card(facts)).data

    assert data.base_model == facts.base
    assert data.library_name == ("peft" if facts.is_peft else "transformers")
    assert data.pipeline_tag == PIPELINES[facts.task]
    assert set(data.tags) == {facts.method, "gossip-learning", "decentralized"}
    read = {result.metric_type: result.metric_value for result in data.eval_results or ()}
    assert read == dict(facts.metrics)
    assert {result.task_type for result in data.eval_results or ()} <= {data.pipeline_tag}


def test_the_metadata_says_what_it_was_tested_on() -> None:
    one = huggingface_hub.ModelCard(model_card(replace(FACTS, datasets=("someone/some-texts",), tested_on="own")))

    assert one.data.datasets == ["someone/some-texts"]
    assert one.data.eval_results[0].dataset_name == "someone/some-texts (the node's own test set)"


@pytest.mark.parametrize("base", ["/home/me/model", "./model", "a/b/c"])
def test_folders_of_this_machine_are_no_metadata(base: str) -> None:
    found = metadata_of(replace(FACTS, base=base, datasets=("/data/n0.jsonl", "mine.csv", "stdlib-docstrings")))

    assert {"base_model", "base_model_relation", "datasets"} & found.keys() == set()


def test_the_card_tells_the_spread_over_the_nodes_where_it_is_known() -> None:
    card = model_card(replace(FACTS, over_nodes=(0.25, 0.5, 0.75)))

    assert "| accuracy over the nodes | worst 0.250, mean 0.500, best 0.750 |" in card
    assert "over the nodes" not in model_card(FACTS)


def test_of_what_was_measured_a_card_tells_what_it_has_a_name_for() -> None:
    assert list(told({"loss": 1.0, "accuracy": 0.5, "questions": 7.0})) == ["accuracy", "loss"]
