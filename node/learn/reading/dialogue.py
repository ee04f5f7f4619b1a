"""Conversations as token ids: how turns are written out, which tokens are answers, what is cut, what shares a row.

Decides that only what the assistant says is learnt from. The words around the turns are those of the tokenizer's chat
template where it has one, else those of the plain template:

    the system's words, where there are any, and a blank line
    ### Question:
    what the user says

    ### Answer:
    what the assistant says, and the end-of-text token

Knows no model. Whether a model keeps texts apart that share a row is tried by `node.learn.model.packing`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from node.errors import ConfigError
from node.learn.reading.examples import Turn
from node.learn.reading.texts import IGNORED, Question, Texts

Template: TypeAlias = Literal["auto", "chat", "plain"]
Turns: TypeAlias = tuple[Turn, ...]
HEADS = {"system": "", "user": "### Question:\n", "assistant": "### Answer:\n"}
SPARE = 8  # tokens that a greedy answer may be longer than the wanted one: enough to see that it is another


@dataclass(frozen=True, slots=True)
class Dialogue:
    """How conversations are written out and laid into rows."""

    template: Template = "auto"  # auto: chat where the tokenizer has a chat template, else plain
    packed: bool = False  # whether several short ones share a row


class Piece(NamedTuple):
    """A stretch of a written conversation."""

    text: str
    is_answer: bool


class Row(NamedTuple):
    """A tokenized conversation: which of its tokens are answers, and where the last answer starts."""

    ids: tuple[int, ...]
    answers: tuple[bool, ...]
    last: int


def dialogues(tokenizer: Any, conversations: Sequence[Turns], sequence_len: int, settings: Dialogue) -> Texts:
    """Rows whose targets are the tokens of the answers.

    Raises:
        ConfigError: the tokenizer's chat template refuses a conversation, or there is none and it was asked for.
    """
    whole = [_row(tokenizer, pieces(tokenizer, turns, settings.template)) for turns in conversations]
    rows = [fitted(row, sequence_len, tokenizer.bos_token_id) for row in whole]
    groups = (
        packed([len(row.ids) for row in rows], sequence_len) if settings.packed else [[i] for i in range(len(rows))]
    )
    place = {index: number for number, group in enumerate(groups) for index in group}
    return Texts(
        ids=tuple(tuple(token for i in group for token in rows[i].ids) for group in groups),
        labels=(),
        pad=tokenizer.pad_token_id,
        targets=tuple(tuple(target for i in group for target in _targets(rows[i])) for group in groups),
        starts=tuple(_starts([len(rows[i].ids) for i in group]) for group in groups) if settings.packed else (),
        questions=tuple(
            Question(place[i], row.ids[: row.last], turns[-1].content, sum(whole[i].answers[whole[i].last :]) + SPARE)
            for i, (row, turns) in enumerate(zip(rows, conversations, strict=True))
        ),
        examples=len(rows),
        truncated=sum(len(row.ids) < len(full.ids) for row, full in zip(rows, whole, strict=True)),
        shortened=sum(sum(row.answers) < sum(full.answers) for row, full in zip(rows, whole, strict=True)),
    )


def template_text(tokenizer: Any, template: Template) -> str:
    """What two nodes must agree on: the chat template itself, or the heads of the plain one."""
    return str(tokenizer.chat_template) if is_chat(tokenizer, template) else repr(HEADS)


def is_chat(tokenizer: Any, template: Template) -> bool:
    """Whether the tokenizer's own chat template is used.

    Raises:
        ConfigError: it was asked for, and there is none.
    """
    has_one = bool(getattr(tokenizer, "chat_template", None))
    if template == "chat" and not has_one:
        raise ConfigError("template: chat, but this base model's tokenizer has no chat template; wanted plain or auto")
    return has_one and template != "plain"


def pieces(tokenizer: Any, turns: Turns, template: Template = "auto") -> list[Piece]:
    """The conversation written out."""
    return _chat(tokenizer, turns) if is_chat(tokenizer, template) else plain(turns, tokenizer.eos_token or "")


def question(tokenizer: Any, text: str, template: Template = "auto") -> list[int]:
    """Token ids of one question, up to where an answer would start."""
    turns = (Turn("user", text), Turn("assistant", "x"))
    ids, answers, _ = _row(tokenizer, pieces(tokenizer, turns, template))
    return list(ids[: answers.index(True)])


def plain(turns: Turns, end: str) -> list[Piece]:
    """The plain template; `end` is the text of the end-of-text token."""
    written: list[Piece] = []
    for place, (role, content) in enumerate(turns):
        gap = "\n\n" if place else ""
        if role == "assistant":
            written += [Piece(gap + HEADS[role], False), Piece(content + end, True)]
        else:
            written.append(Piece(gap + HEADS[role] + content, False))
    return written


def _chat(tokenizer: Any, turns: Turns) -> list[Piece]:
    """By the tokenizer's template: an answer is what a turn adds to the prompt that asks for it.

    Some templates write earlier answers otherwise once there are later ones; then only the last answer is learnt from.
    """

    def written(count: int, ask: bool = False) -> str:
        messages = [turn._asdict() for turn in turns[:count]]
        try:
            out = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)
        except Exception as error:  # jinja's errors, and whatever a template raises
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"template: the tokenizer's chat template refuses a conversation of {', '.join(t.role for t in turns)} "
                f"({reason}); write template: plain, or change the data"
            ) from error
        return str(out)

    whole = written(len(turns))
    asked = [place for place, turn in enumerate(turns) if turn.role == "assistant"]
    found, end = [], 0
    for place in asked:
        before, after = written(place, ask=True), written(place + 1)
        if after.startswith(before) and whole.startswith(after):
            found += [Piece(whole[end : len(before)], False), Piece(whole[len(before) : len(after)], True)]
            end = len(after)
    if asked and end < len(whole):
        start = whole.rfind(turns[asked[-1]].content.strip())
        if start < end:
            raise ConfigError(
                "template: the tokenizer's chat template does not write an answer as it stands in the data; "
                "write template: plain"
            )
        found += [Piece(whole[end:start], False), Piece(whole[start:], True)]
    return [piece for piece in found if piece.text]


def _row(tokenizer: Any, written: Sequence[Piece]) -> Row:
    """Tokens of the whole where offsets tell whose they are; of a slow tokenizer, piece by piece."""
    ids: list[int] = []
    answers: list[bool] = []
    if getattr(tokenizer, "is_fast", False):
        out = tokenizer(
            "".join(p.text for p in written), add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        ids, of = out["input_ids"], [p.is_answer for p in written for _ in p.text]
        answers = [stop > start and of[stop - 1] for start, stop in out["offset_mapping"]]
    else:
        for piece in written:
            tokens = tokenizer(piece.text, add_special_tokens=False, verbose=False)["input_ids"]
            ids += tokens
            answers += [piece.is_answer] * len(tokens)
    first = tokenizer("")["input_ids"][:1]
    if first and first[0] == tokenizer.bos_token_id and ids[:1] != first:  # a template may have written it already
        ids, answers = [*first, *ids], [False, *answers]
    last = len(answers)
    while last and not answers[last - 1]:  # what a template writes after the last answer
        last -= 1
    while last and answers[last - 1]:
        last -= 1
    return Row(tuple(ids), tuple(answers), last)


def fitted(row: Row, sequence_len: int, bos: int | None = None) -> Row:
    """At most `sequence_len` tokens of it, with as much of the last answer as fits, and at least half of them for it.

    The start of the prompt goes first; the end of the answer goes only where the prompt has shrunk to half the row.
    A beginning-of-text token stays where it is.
    """
    surplus = len(row.ids) - sequence_len
    if surplus <= 0:
        return row
    start = max(0, min(row.last - sequence_len // 2, surplus))
    keeps = int(start > 0 and row.ids[0] == bos)
    start += keeps
    ids = (*row.ids[:keeps], *row.ids[start : start + sequence_len - keeps])
    answers = (*row.answers[:keeps], *row.answers[start : start + sequence_len - keeps])
    return Row(ids, answers, row.last - start + keeps)


def packed(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices by row: the longest first, each into the fullest row that has room (best fit decreasing)."""
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (tokens left, row), sorted
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        place = bisect_left(room, (lengths[index], 0))
        if place == len(room):
            rows.append([])
            left, row = size, len(rows) - 1
        else:
            left, row = room.pop(place)
        rows[row].append(index)
        insort(room, (left - lengths[index], row))
    return rows


def _targets(row: Row) -> list[int]:
    """The token that follows where it belongs to an answer."""
    following = zip(row.ids[1:], row.answers[1:], strict=True)
    return [*(token if counts else IGNORED for token, counts in following), IGNORED]


def _starts(lengths: Sequence[int]) -> tuple[int, ...]:
    return tuple(sum(lengths[:place]) for place in range(len(lengths)))
