"""What a node's texts come to before anything is trained: how many, how many are cut, and one as the model sees it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from node.learn.prepare import Prepared
from node.learn.reading.texts import IGNORED, Texts

MOST = 400  # characters of an example that are shown
MASKED = ("[[", "]]")  # around what is read but not learnt from


def numbers(one: Prepared) -> str:
    """The task, the rows to train on, those held out, the common test set, and the share that is cut."""
    learner, texts = one.learner, one.learner.train.texts
    rows = f"{one.examples} {_unit(texts)} to train on"
    held = f", {one.held_out} held out" if one.held_out else ""
    test = f", {learner.test.texts.examples} texts in the {one.tested_on} test set" if learner.test is not None else ""
    packing = f"; packing {learner.packing}" if texts.questions else ""
    return f"{learner.settings.task}: {rows}{held}{test}; {_cut(texts, learner.settings.train.sequence_len)}{packing}"


def example(one: Prepared) -> str:
    """The first text that is trained on, as the model sees it: masked parts in [[ ]], a label or tags beside it."""
    texts, base = one.learner.train.texts, one.adapter.base
    row = int(one.own[0])
    ids, targets = texts.ids[row], texts.batch([row]).targets[0].tolist()
    if texts.labels:
        said = f"{_decoded(base.tokenizer, ids)} -> {base.labels[texts.labels[row]]}"
    elif base.task == "token_classification":
        said = " ".join(_tagged(base, ids, targets))
    else:
        said = "".join(_masked(base.tokenizer, ids, targets))
    return said if len(said) <= MOST else f"{said[:MOST]} ... ({len(ids)} tokens)"


def _unit(texts: Texts) -> str:
    if texts.starts:
        return f"rows of {texts.examples / len(texts):.1f} conversations"
    return "texts" if texts.labels or texts.targets else "blocks"


def _cut(texts: Texts, sequence_len: int) -> str:
    """The shares of texts that lose something, over all that this node read."""
    if not texts.truncated:
        return f"none is longer than sequence_len {sequence_len}"
    if not texts.labels and not texts.targets:
        return (
            f"{texts.truncated} of {texts.examples} texts lose their end, which fills no block of {sequence_len} tokens"
        )
    said = f"{texts.truncated / texts.examples:.1%} of texts are cut at sequence_len {sequence_len}"
    what = "a part of their answer" if texts.questions else "tags"
    return f"{said}, {texts.shortened / texts.examples:.1%} lose {what}" if texts.shortened else said


def _decoded(tokenizer: Any, ids: Any) -> str:
    return str(tokenizer.decode(list(ids)))


def _masked(tokenizer: Any, ids: tuple[int, ...], targets: list[int]) -> Iterator[str]:
    """Stretches of tokens; a token is learnt where it is the target of the one before it."""
    learnt = [False, *(target != IGNORED for target in targets[:-1])]
    for is_learnt, stretch in groupby(zip(learnt, ids, strict=True), key=lambda pair: pair[0]):
        text = _decoded(tokenizer, [token for _, token in stretch])
        yield text if is_learnt else f"{MASKED[0]}{text}{MASKED[1]}"


def _tagged(base: Any, ids: tuple[int, ...], targets: list[int]) -> Iterator[str]:
    """token/TAG where a word starts, the bare token elsewhere."""
    for token, target in zip(base.tokenizer.convert_ids_to_tokens(list(ids)), targets, strict=True):
        yield token if target == IGNORED else f"{token}/{base.labels[target]}"
