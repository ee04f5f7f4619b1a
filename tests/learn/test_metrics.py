"""Metrics by hand, by law over seeds, and against slow twins."""

from __future__ import annotations

import math
import random

import pytest
import torch
from torch import Tensor

from node.learn.reading.texts import IGNORED
from node.learn.training.metrics import ClassCounts, TagCounts, counts_for, entities, is_bio, named, perplexity
from tests.reference import conlleval, macro_f1_by_counting

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def test_macro_f1_by_hand() -> None:
    counts = ClassCounts(4)

    counts.add(torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 1, 1, 1, 2]), 2.5)

    # class 0: 1 right, 2 said, 1 true -> 2/3; class 1: 2 right, 3 said, 3 true -> 2/3; class 2: 0; class 3 is nowhere
    assert counts.values() == {"accuracy": 0.6, "f1": pytest.approx((2 / 3 + 2 / 3 + 0) / 3), "loss": 0.5}


def test_f1_is_that_of_the_set_and_not_the_mean_over_batches() -> None:
    counts = ClassCounts(2)

    counts.add(torch.tensor([0]), torch.tensor([0]), 0.0)  # alone: F1 1
    counts.add(torch.tensor([0, 1]), torch.tensor([1, 1]), 0.0)  # alone: F1 (0 + 2/3) / 2

    assert counts.values()["f1"] == pytest.approx(2 / 3)  # of both: class 0 1 of 2 said and 1 true, class 1 the same


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O B-PER I-PER O B-LOC", {("PER", 1, 3), ("LOC", 4, 5)}),
        ("B-PER B-PER I-PER", {("PER", 0, 1), ("PER", 1, 3)}),
        ("I-PER I-PER I-LOC", {("PER", 0, 2), ("LOC", 2, 3)}),  # no B: conlleval begins one all the same
        ("B-PER I-LOC", {("PER", 0, 1), ("LOC", 1, 2)}),
        ("O O", set()),
        ("", set()),
    ],
)
def test_entities_by_hand(tags: str, found: set[tuple[str, int, int]]) -> None:
    assert entities(tags.split()) == found


def test_entity_f1_by_hand() -> None:
    counts = TagCounts(BIO)
    true = _numbers(["B-PER I-PER O B-LOC", "O B-LOC I-LOC"])
    said = _numbers(["B-PER O O B-LOC", "O B-LOC I-LOC"])

    counts.add(said, true, 7.0)

    # true: PER 0-2, LOC 3-4, LOC 1-3; said: PER 0-1 (wrong span), LOC 3-4, LOC 1-3: 2 right of 3 and 3; 6 of 7 words
    assert counts.values() == {"accuracy": pytest.approx(6 / 7), "f1": pytest.approx(2 / 3), "loss": 1.0}


def test_tokens_that_carry_no_tag_do_not_break_an_entity() -> None:
    counts = TagCounts(BIO)
    true = torch.tensor([[IGNORED, 1, IGNORED, 2, IGNORED]])  # B-PER, the rest of its word, I-PER

    counts.add(torch.tensor([[3, 1, 0, 2, 4]]), true, 0.0)

    assert (counts.right, counts.found, counts.true) == (1, 1, 1)


@pytest.mark.parametrize("seed", range(20))
def test_entities_agree_with_conlleval(seed: int) -> None:
    dice = random.Random(seed)
    true = [[dice.choice(BIO) for _ in range(length)] for length in range(1, 12)]
    said = [[dice.choice((tag, tag, dice.choice(BIO))) for tag in row] for row in true]
    counts = TagCounts(BIO)

    for row_true, row_said in zip(true, said, strict=True):
        counts.add(_numbers([" ".join(row_said)]), _numbers([" ".join(row_true)]), 0.0)

    assert (counts.right, counts.found, counts.true) == conlleval.count(true, said)


@pytest.mark.parametrize("seed", range(10))
def test_counts_of_parts_add_up_and_agree_with_counting(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    true, said = (torch.randint(0, 5, (40,), generator=draw) for _ in range(2))
    true[::7] = IGNORED
    whole, parts = ClassCounts(5), ClassCounts(5)

    whole.add(said, true, 10.0)
    for some in torch.randperm(40, generator=draw).split(9):
        parts.add(said[some], true[some], 10.0 * len(some) / 40)

    kept = true != IGNORED
    assert parts.values() == pytest.approx(whole.values())
    assert parts.values()["f1"] == pytest.approx(
        macro_f1_by_counting.macro_f1(true[kept].tolist(), said[kept].tolist())
    )


def test_perplexity_is_e_to_the_loss_of_a_token() -> None:
    counts = counts_for("causal_lm", ())

    counts.add(torch.tensor([[1, 2, 3]]), torch.tensor([[1, 9, IGNORED]]), 2 * math.log(8))

    assert counts.values() == {"accuracy": 0.5, "loss": pytest.approx(math.log(8)), "perplexity": pytest.approx(8)}
    assert perplexity(1e6) == math.inf


def test_of_nothing_there_are_no_metrics() -> None:
    for task, labels in (("classification", ("a", "b")), ("token_classification", BIO), ("causal_lm", ())):
        assert counts_for(task, labels).values() == {}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "bio"),
    [(BIO, True), (("B-X", "I-X"), True), (("NOUN", "VERB"), False), (("O", "B-X", "X"), False), (("O", "B-"), False)],
)
def test_entities_are_only_looked_for_among_bio_tags(labels: tuple[str, ...], bio: bool) -> None:
    assert is_bio(labels) == bio
    assert isinstance(counts_for("token_classification", labels), TagCounts) == bio


def test_metrics_are_named_by_the_set_they_were_taken_on() -> None:
    assert named("private", {"f1": 0.5}) == {"private/f1": 0.5}


def _numbers(rows: list[str]) -> Tensor:
    """(b, t) of tags in words, padded."""
    numbers = [[BIO.index(tag) for tag in row.split()] for row in rows]
    width = max(map(len, numbers))
    return torch.tensor([row + [IGNORED] * (width - len(row)) for row in numbers])
