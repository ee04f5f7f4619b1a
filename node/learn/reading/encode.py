"""From examples to token ids: which tokens a model sees of a text, and which of them it is to learn from.

Decides what is cut where a text is longer than `sequence_len` (and counts it), and where answers, tags and labels stand
among the tokens. How conversations are written out is the business of `node.learn.reading.dialogue`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from node.learn.reading.dialogue import Dialogue, dialogues
from node.learn.reading.examples import NO_LABEL, Example
from node.learn.reading.texts import IGNORED, Texts, joined


def encode(
    tokenizer: Any,
    examples: Sequence[Example],
    sequence_len: int,
    dialogue: Dialogue = Dialogue(),  # noqa: B008  # frozen
) -> Texts:
    """Tokenize; what is longer than `sequence_len` tokens is cut.

    Labelled and tagged texts are one a row. Plain texts become blocks (see `blocks`); conversations are one a row or,
    where `dialogue` says so, several.
    """
    if examples and examples[0].words:
        return tagged(tokenizer, examples, sequence_len)
    if examples and examples[0].label != NO_LABEL:
        return labelled(tokenizer, examples, sequence_len)
    texts = [example.text for example in examples if not example.turns]
    turns = [example.turns for example in examples if example.turns]
    parts = [blocks(tokenizer, texts, sequence_len)] if texts else []
    return joined([*parts, *([dialogues(tokenizer, turns, sequence_len, dialogue)] if turns else [])])


def is_one_a_row(examples: Sequence[Example], dialogue: Dialogue) -> bool:
    """Whether each example has a row of its own."""
    return all(e.words or e.label != NO_LABEL or (e.turns and not dialogue.packed) for e in examples)


def labelled(tokenizer: Any, examples: Sequence[Example], sequence_len: int) -> Texts:
    """One text and one label a row."""
    out = tokenizer([example.text for example in examples], truncation=True, max_length=sequence_len)
    return Texts(
        tuple(map(tuple, out["input_ids"])),
        tuple(example.label for example in examples),
        tokenizer.pad_token_id,
        examples=len(examples),
        truncated=_cut(out, sequence_len),
    )


def tagged(tokenizer: Any, examples: Sequence[Example], sequence_len: int) -> Texts:
    """The first token of a word carries its tag, all others are IGNORED; words that are cut off are not counted."""
    words = [list(example.words) for example in examples]
    out = tokenizer(words, is_split_into_words=True, truncation=True, max_length=sequence_len)
    rows = [_tags(out.word_ids(place), example.tags) for place, example in enumerate(examples)]
    return Texts(
        tuple(map(tuple, out["input_ids"])),
        (),
        tokenizer.pad_token_id,
        targets=tuple(rows),
        examples=len(examples),
        truncated=(cut := _cut(out, sequence_len)),
        shortened=cut,
    )


def _tags(words: Sequence[int | None], tags: Sequence[int]) -> tuple[int, ...]:
    """words: the word that each token is part of, None of special tokens."""
    before: list[int | None] = [None, *words[:-1]]
    return tuple(IGNORED if w is None or w == b else tags[w] for w, b in zip(words, before, strict=True))


def _cut(out: Any, sequence_len: int) -> int:
    """How many of the tokenized texts are not whole; of a slow tokenizer, how many fill the row."""
    if getattr(out, "encodings", None):
        return sum(bool(encoding.overflowing) for encoding in out.encodings)
    return sum(len(row) == sequence_len for row in out["input_ids"])


def blocks(tokenizer: Any, texts: Sequence[str], sequence_len: int) -> Texts:
    """All texts in one row, end-of-text tokens between them, cut into blocks of `sequence_len` tokens.

    What is left over is dropped unless it is all there is.
    """
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    rows = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    stream = [token for row in rows for token in (*row, *end)]
    whole = len(stream) // sequence_len * sequence_len or len(stream)
    cut = [tuple(stream[start : start + sequence_len]) for start in range(0, whole, sequence_len)]
    lost = sum(stop > whole for stop in accumulate(len(row) + len(end) for row in rows))
    return Texts(tuple(cut), (), tokenizer.pad_token_id, examples=len(texts), truncated=lost, shortened=lost)
