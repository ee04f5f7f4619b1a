"""What an adapter says of a text, and how far several agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch

from node.app.adapters.current import Current
from node.learn.model.adapter import Adapter
from node.learn.reading.encode import encode
from node.learn.reading.examples import Example
from node.learn.training.passes import Reader
from node.types import Vector

NEW_TOKENS = 40  # that a causal language model adds

Verdict = dict[str, float]  # label -> probability, the likeliest first
Answer = dict[str, Any]  # {"labels": Verdict}, {"tags": [[word, tag], ...]} or {"continuation": text}


def predict(adapter: Adapter, theta: Vector, texts: Sequence[str], sequence_len: int) -> list[Verdict]:
    """The labels of each text with their probabilities.

    Args:
        theta: (whole.d,) the adapter's parameters.
        sequence_len: tokens; longer texts are cut.
    """
    labels = adapter.base.labels
    encoded = encode(adapter.base.tokenizer, [Example(text, 0) for text in texts], sequence_len)
    with adapter.lock, torch.no_grad():
        adapter.theta.copy_(theta)
        logits, _ = Reader(adapter, encoded, None).logits(range(len(texts)))
    return [_verdict(labels, row) for row in torch.softmax(logits.float(), dim=-1).tolist()]


def _verdict(labels: Sequence[str], probabilities: Sequence[float]) -> Verdict:
    return dict(sorted(zip(labels, probabilities, strict=True), key=lambda pair: -pair[1]))


def say(now: Current, text: str, sequence_len: int, new_tokens: int = NEW_TOKENS) -> Answer:
    """What a node's model makes of a text, by its task.

    Args:
        sequence_len: tokens that a classifier sees of it.
        new_tokens: that a causal language model adds at most.
    """
    task: str = now.adapter.base.task
    if task == "causal_lm":
        return {"continuation": continuation(now.adapter, now.theta, text, new_tokens)}
    if task == "token_classification":
        return {"tags": tags(now.adapter, now.theta, text, sequence_len)}
    return {"labels": predict(now.adapter, now.theta, [text], sequence_len)[0]}


def continuation(adapter: Adapter, theta: Vector, text: str, new_tokens: int) -> str:
    """The text and what follows it, the likeliest token each time."""
    tokenizer, device = adapter.base.tokenizer, adapter.theta.device
    given = tokenizer(text, return_tensors="pt", return_token_type_ids=False).to(device)
    with adapter.lock, torch.no_grad():
        adapter.theta.copy_(theta)
        out = adapter.model.generate(**given, max_new_tokens=new_tokens, do_sample=False)
    said: str = tokenizer.decode(out[0], skip_special_tokens=True)
    return said


def tags(adapter: Adapter, theta: Vector, text: str, sequence_len: int) -> list[list[str]]:
    """[word, tag] of each word between spaces; a word's first token speaks for it. Words that are cut have none."""
    words, tokenizer = text.split(), adapter.base.tokenizer
    how: dict[str, Any] = {"is_split_into_words": True, "truncation": True, "max_length": sequence_len}
    given = tokenizer([words], return_tensors="pt", return_token_type_ids=False, **how)
    places = given.word_ids(0)
    with adapter.lock, torch.no_grad():
        adapter.theta.copy_(theta)
        logits = adapter.model(**given.to(adapter.theta.device)).logits[0]
    first = {word: place for place, word in reversed(list(enumerate(places))) if word is not None}
    return [[words[w], adapter.base.labels[int(logits[place].argmax())]] for w, place in sorted(first.items())]


def agreement(answers: Sequence[Answer]) -> dict[str, float]:
    """How far the nodes agree: 1 where all say the same.

    Returns:
        "share": of nodes that say what most say (labels, continuation), or of words that all tag alike; of labels also
        "apart": the largest total variation distance between two nodes' probabilities, 0 to 1.
    """
    if all("tags" in answer for answer in answers):
        words = list(zip(*(answer["tags"] for answer in answers), strict=False))
        return {"share": sum(len({tag for _, tag in word}) == 1 for word in words) / max(len(words), 1)}
    said = Counter(next(iter(a["labels"])) if "labels" in a else a["continuation"] for a in answers)
    share = {"share": said.most_common(1)[0][1] / len(answers)}
    if not all("labels" in answer for answer in answers):
        return share
    return {**share, "apart": max((_apart(a["labels"], b["labels"]) for a, b in combinations(answers, 2)), default=0.0)}


def _apart(one: Verdict, other: Verdict) -> float:
    return sum(abs(one.get(label, 0.0) - other.get(label, 0.0)) for label in one.keys() | other.keys()) / 2
