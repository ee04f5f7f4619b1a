"""Which tokens a model sees of a text, which of them count, and what is held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertTokenizerFast, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from node.errors import ConfigError
from node.learn.model.packing import keeps_apart
from node.learn.reading.dialogue import Dialogue
from node.learn.reading.encode import encode
from node.learn.reading.examples import NO_LABEL, Example, Turn
from node.learn.reading.held_out import encode_apart, is_held
from node.learn.reading.texts import IGNORED, Texts, joined
from tests.learn import tiny


def _talk(number: int) -> Example:
    turns = (Turn("user", f"Q{number}?"), Turn("assistant", "a" * (number % 5 + 1)))
    return Example(f"user: Q{number}?", NO_LABEL, turns=turns)


def test_the_first_token_of_a_word_carries_its_tag(tmp_path: Path) -> None:
    tokenizer = _split_words(tmp_path)
    example = Example("openfile the node", NO_LABEL, words=("openfile", "the", "node"), tags=(1, 0, 2))

    plain = Example("node the", NO_LABEL, words=("node", "the"), tags=(2, 0))

    texts = encode(tokenizer, [example, plain], 16)

    assert tokenizer.convert_ids_to_tokens(texts.ids[0]) == ["[CLS]", "open", "##file", "the", "node", "[SEP]"]
    assert texts.targets == ((IGNORED, 1, IGNORED, 0, 2, IGNORED), (IGNORED, 2, 0, IGNORED))
    assert texts.truncated == 0


def test_a_tagged_text_that_is_cut_is_counted(tmp_path: Path) -> None:
    example = Example("openfile the node", NO_LABEL, words=("openfile", "the", "node"), tags=(1, 0, 2))

    texts = encode(_split_words(tmp_path), [example], 5)

    assert texts.targets == ((IGNORED, 1, IGNORED, 0, IGNORED),)
    assert (texts.examples, texts.truncated, texts.shortened) == (1, 1, 1)


def test_cut_texts_are_counted_and_labels_are_not_lost(tmp_path: Path) -> None:
    texts = encode(_split_words(tmp_path), [Example("the node", 0), Example("the node the node", 1)], 4)

    assert texts.labels == (0, 1)
    assert (texts.truncated, texts.shortened) == (1, 0)


def test_texts_and_conversations_of_one_node_stand_side_by_side() -> None:
    tokenizer = tiny.byte_tokenizer()

    texts = encode(tokenizer, [Example("some plain text", NO_LABEL), _talk(3)], 64)

    following = texts.batch([0, 1]).targets
    assert len(texts) == 2
    assert tokenizer.decode([t for t in following[0].tolist() if t != IGNORED]) == "ome plain text</s>"
    assert tokenizer.decode([t for t in following[1].tolist() if t != IGNORED]) == "aaaa</s>"
    assert texts.questions[0].row == 1


def test_positions_start_again_with_each_text_of_a_row() -> None:
    texts = Texts(((7, 8, 9, 5, 6), (4,)), (), 0, targets=((8, 9, -100, 6, -100), (-100,)), starts=((0, 3), (0,)))

    batch = texts.batch([0, 1])

    assert batch.inputs()["position_ids"].tolist() == [[0, 1, 2, 0, 1], [0, 0, 0, 0, 0]]
    assert "attention_mask" not in batch.inputs()
    assert batch.targets.tolist() == [[8, 9, -100, 6, -100], [-100] * 5]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_texts_that_share_a_row_do_not_see_each_other(kind: str, attention: str) -> None:
    model = _language_model(kind, attention)
    tokenizer = tiny.byte_tokenizer()
    talks = [_talk(number) for number in range(9)]
    alone, packed = (encode(tokenizer, talks, 96, Dialogue(packed=packing)) for packing in (False, True))

    losses = [_loss(model, texts) for texts in (alone, packed)]

    assert len(packed) < len(alone)
    assert keeps_apart(model, alone)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_a_model_that_does_not_look_at_positions_is_found_out() -> None:
    model = _language_model("llama", "sdpa")
    forward = model.forward

    def deaf(input_ids: torch.Tensor, position_ids: torch.Tensor | None = None, **more: object) -> object:
        return forward(input_ids=input_ids, **more)

    model.forward = deaf
    alone = encode(tiny.byte_tokenizer(), [_talk(1), _talk(2)], 96, Dialogue())

    assert not keeps_apart(model, alone)


def test_a_text_is_held_out_by_what_it_says_alone() -> None:
    examples = [Example(f"text {i}", i % 2) for i in range(300)]
    again = [Example(f"text {i}", NO_LABEL) for i in range(300)]

    held = [is_held(e, 0.2) for e in examples]

    assert held == [is_held(e, 0.2) for e in again]
    assert 0.14 < np.mean(held) < 0.26
    assert not any(is_held(e, 0.0) for e in examples)
    assert all(is_held(e, 0.5) for e, out in zip(examples, held, strict=True) if out)


@pytest.mark.parametrize("packing", [False, True])
def test_no_text_that_is_held_out_stands_in_a_row_that_is_trained_on(packing: bool) -> None:
    tokenizer = tiny.byte_tokenizer()
    talks = [_talk(number) for number in range(60)]

    texts, held = encode_apart(tokenizer, talks, 128, Dialogue(packed=packing), 0.3)

    wanted = {t.turns[0].content: is_held(t, 0.3) for t in talks}
    for row, out in zip(texts.ids, held, strict=True):
        said = tokenizer.decode(row)
        assert all(
            wanted[f"{word}?"] == out
            for word in said.replace("?", " ").split()
            if word.startswith("Q") and word[1:].isdigit()
        )
    assert sorted(q.answer for q in texts.questions) == sorted(t.turns[1].content for t in talks)
    assert 0 < held.sum() < len(texts)


def test_blocks_of_held_out_texts_are_made_apart() -> None:
    tokenizer = tiny.byte_tokenizer()
    examples = [Example(chr(97 + i) * 9, NO_LABEL) for i in range(26)]
    out = {e.text[0] for e in examples if is_held(e, 0.4)}

    texts, held = encode_apart(tokenizer, examples, 10, Dialogue(), 0.4)

    assert len(texts) == 26
    assert {tokenizer.decode(row)[0] for row, is_out in zip(texts.ids, held, strict=True) if is_out} == out


def test_a_share_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^private_share: 0\.999 holds out all 1 texts"):
        encode_apart(tiny.byte_tokenizer(), [Example("a", NO_LABEL)], 8, Dialogue(), 0.999)


def test_joining_one_part_changes_nothing() -> None:
    texts = Texts(((1, 2),), (), 0)

    assert joined([texts]) is texts
    assert joined([texts, Texts((), (), 0)]) is texts


def _split_words(folder: Path) -> BertTokenizerFast:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "open", "##file", "the", "node"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return BertTokenizerFast(vocab=str(folder / "vocab.txt"))


def _language_model(kind: str, attention: str) -> torch.nn.Module:
    torch.manual_seed(3)
    size = {"vocab_size": 258, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "initializer_range": 0.3}
    config = (
        GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=128, **size)
        if kind == "gpt2"
        else LlamaConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            intermediate_size=32,
            **size,
        )
    )
    config._attn_implementation = attention
    return (GPT2LMHeadModel if kind == "gpt2" else LlamaForCausalLM)(config).eval()


def _loss(model: torch.nn.Module, texts: Texts) -> float:
    batch = texts.batch(range(len(texts)))
    with torch.no_grad():
        logits = model(**batch.inputs(), use_cache=False).logits
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED))
