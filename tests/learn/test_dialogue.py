"""How conversations become tokens: templates, what is learnt, what is cut, what shares a row."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from node.errors import ConfigError
from node.learn.reading.dialogue import Dialogue, Piece, Row, dialogues, fitted, packed, pieces, question, template_text
from node.learn.reading.examples import Turn
from node.learn.reading.texts import IGNORED
from tests.learn import tiny

ASK, ANSWER = Turn("user", "Add 1 and 2"), Turn("assistant", "3 of course")
CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
FORGETFUL = (  # earlier answers are left out: what it wrote for two turns is no start of what it writes for four
    "{% for m in messages %}{% if m.role == 'user' or loop.last %}<{{ m.role }}>{{ m.content }}</s>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def tokenizer(tmp_path: Path) -> PreTrainedTokenizerBase:
    """A byte a token, so that ids can be read."""
    return tiny.byte_tokenizer()


def _answers(tokenizer: PreTrainedTokenizerBase, targets: tuple[int, ...]) -> str:
    return str(tokenizer.decode([t for t in targets if t != IGNORED]))


def test_the_plain_template_by_hand(tokenizer: PreTrainedTokenizerBase) -> None:
    written = pieces(tokenizer, (Turn("system", "Be short."), ASK, ANSWER))

    assert written == [
        Piece("Be short.", False),
        Piece("\n\n### Question:\nAdd 1 and 2", False),
        Piece("\n\n### Answer:\n", False),
        Piece("3 of course</s>", True),
    ]


def test_the_tokenizers_own_template_is_used_where_there_is_one(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = CHAT

    written = pieces(tokenizer, (ASK, ANSWER, Turn("user", "Sure?"), Turn("assistant", "Yes")))

    assert written == [
        Piece("<user>Add 1 and 2</s><assistant>", False),
        Piece("3 of course</s>", True),
        Piece("<user>Sure?</s><assistant>", False),
        Piece("Yes</s>", True),
    ]
    assert pieces(tokenizer, (ASK, ANSWER), "plain")[0].text.startswith("### Question")
    assert template_text(tokenizer, "auto") != template_text(tokenizer, "plain")


def test_of_a_template_that_rewrites_earlier_answers_the_last_is_learnt(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = FORGETFUL

    written = pieces(tokenizer, (ASK, ANSWER, Turn("user", "Sure?"), Turn("assistant", "Yes")))

    assert written == [
        Piece("<user>Add 1 and 2</s><user>Sure?</s><assistant>", False),
        Piece("Yes</s>", True),
    ]


def test_a_template_that_refuses_is_told(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = "{{ raise_exception('no system please') }}"

    with pytest.raises(ConfigError, match=r"refuses a conversation of user, assistant \(no system please\)"):
        pieces(tokenizer, (ASK, ANSWER))


def test_a_chat_template_that_is_not_there_is_told(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(ConfigError, match=r"^template: chat, but .* has no chat template; wanted plain or auto"):
        pieces(tokenizer, (ASK, ANSWER), "chat")


@pytest.mark.parametrize("packing", [False, True])
def test_only_answers_are_learnt(tokenizer: PreTrainedTokenizerBase, packing: bool) -> None:
    both = [(ASK, ANSWER), (Turn("user", "é?"), Turn("assistant", "né!"))]

    texts = dialogues(tokenizer, both, 200, Dialogue(packed=packing))

    assert len(texts) == (1 if packing else 2)
    assert "".join(_answers(tokenizer, row) for row in texts.targets) == "3 of course</s>né!</s>"
    for ids, targets in zip(texts.ids, texts.targets, strict=True):
        assert all(target in (IGNORED, after) for target, after in zip(targets, (*ids[1:], IGNORED), strict=True))


def test_a_question_is_the_prompt_up_to_its_answer(tokenizer: PreTrainedTokenizerBase) -> None:
    texts = dialogues(tokenizer, [(ASK, ANSWER)], 200, Dialogue())

    assert tokenizer.decode(texts.questions[0].prompt) == "### Question:\nAdd 1 and 2\n\n### Answer:\n"
    assert texts.questions[0].answer == "3 of course"
    assert question(tokenizer, "Add 1 and 2") == list(texts.questions[0].prompt)


def test_a_long_prompt_loses_its_start_and_a_long_answer_its_end() -> None:
    row = Row(tuple(range(10)), (False,) * 6 + (True,) * 4, last=6)

    assert fitted(row, 10) is row
    assert fitted(row, 6) == Row((3, 4, 5, 6, 7, 8), (False,) * 3 + (True,) * 3, last=3)
    assert fitted(row, 8) == Row((2, 3, 4, 5, 6, 7, 8, 9), (False,) * 4 + (True,) * 4, last=4)
    assert fitted(row, 8, bos=0) == Row((0, 3, 4, 5, 6, 7, 8, 9), (False,) * 4 + (True,) * 4, last=4)
    assert fitted(row, 2) == Row((5, 6), (False, True), last=1)


def test_a_short_prompt_is_kept_whole_before_an_answer_without_end() -> None:
    row = Row(tuple(range(20)), (False,) * 2 + (True,) * 18, last=2)

    assert fitted(row, 6) == Row((0, 1, 2, 3, 4, 5), (False,) * 2 + (True,) * 4, last=2)


@pytest.mark.parametrize("sequence_len", range(2, 40))
def test_no_answer_is_ever_cut_away_whole(tokenizer: PreTrainedTokenizerBase, sequence_len: int) -> None:
    turns = (ASK, ANSWER, Turn("user", "Are you sure of that?"), Turn("assistant", "Yes, I am"))

    texts = dialogues(tokenizer, [turns], sequence_len, Dialogue())

    assert len(texts.ids[0]) <= sequence_len
    assert "Y" in _answers(tokenizer, texts.targets[0])
    assert (texts.truncated, texts.shortened) == (1, 1)


def test_what_is_cut_is_counted(tokenizer: PreTrainedTokenizerBase) -> None:
    long_prompt = (Turn("user", "x" * 50), Turn("assistant", "short"))
    long_answer = (Turn("user", "x"), Turn("assistant", "y" * 50))

    texts = dialogues(tokenizer, [(ASK, ANSWER), long_prompt, long_answer], 60, Dialogue())

    assert (texts.examples, texts.truncated, texts.shortened) == (3, 2, 1)


def test_best_fit_by_hand() -> None:
    assert packed([3, 5, 2, 7, 4, 1], 8) == [[3, 5], [1, 0], [4, 2]]
    assert packed([], 8) == []


@pytest.mark.parametrize("seed", range(5))
def test_packing_loses_nothing_and_fits(seed: int) -> None:
    lengths = [(7 * i * (seed + 3)) % 29 + 1 for i in range(60)]

    rows = packed(lengths, 32)

    assert sorted(i for row in rows for i in row) == list(range(60))
    assert all(sum(lengths[i] for i in row) <= 32 for row in rows)
    assert len(rows) <= 1.25 * sum(lengths) / 32 + 1
