"""The card of an adapter: its loading lines are true wherever the base model can be had."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args, get_type_hints

import pytest

from node.app.model_card import CardFacts, model_card
from node.settings import LoraConfig

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
    accuracy=0.5,
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


@pytest.mark.parametrize("labels", [FACTS.labels, ()], ids=["classifier", "language model"])
def test_the_loading_lines_are_python_and_name_base_and_folder(labels: tuple[str, ...]) -> None:
    code = code_of(model_card(replace(FACTS, labels=labels), "my adapter"))
    compile(code, "card", "exec")
    assert 'PeftModel.from_pretrained(base, "my adapter")' in code
    assert code.count('"someone/some-model"') == 2
    assert ("ForSequenceClassification" in code) == bool(labels)
    assert ("ForCausalLM" in code) == (not labels)


def test_the_loading_lines_give_the_labels_in_order() -> None:
    line = next(line for line in code_of(model_card(FACTS)).splitlines() if line.startswith("labels = "))
    assert line == f"labels = {list(FACTS.labels)!r}"


def test_what_was_not_measured_is_not_invented() -> None:
    assert "| accuracy on the common test set | not measured |" in model_card(replace(FACTS, accuracy=None))


@pytest.mark.parametrize("method", ["bias", "head"])
@pytest.mark.parametrize("labels", [FACTS.labels, ()], ids=["classifier", "language model"])
def test_what_peft_cannot_read_is_loaded_without_it(method: str, labels: tuple[str, ...]) -> None:
    card = model_card(replace(FACTS, method=method, labels=labels), "my adapter")
    code = code_of(card)
    compile(code, "card", "exec")
    assert "peft import" not in code
    assert 'load_file("my adapter/tuned.safetensors"), strict=False)' in code
    assert "library_name: transformers" in card


def test_each_method_has_a_name() -> None:
    names = get_args(get_type_hints(LoraConfig)["method"])
    cards = [model_card(replace(FACTS, method=name)) for name in names]
    assert len({re.search("# (.*) for", card)[1] for card in cards}) == len(names) == 6  # type: ignore[index]
