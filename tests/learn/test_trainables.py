"""A model that somebody else made, as vectors of ours: what is read, written, drawn and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from node.errors import ConfigError
from node.learn.model.adapter import LoraSettings, attach
from node.learn.model.base import open_base
from node.learn.model.trainables import Trainables
from tests.learn import own
from tests.learn.tiny import LABELS


class Two(nn.Module):
    """w (2,), b (1,), and one that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.b = nn.Parameter(torch.tensor([3.0], dtype=torch.bfloat16))
        self.still = nn.Parameter(torch.tensor([9.0]), requires_grad=False)


def test_what_is_trained_is_one_vector_in_the_order_of_names() -> None:
    model = Two()
    ours = Trainables(model)

    assert [e.name for e in ours.schema.entries] == ["b", "w"]
    assert ours.read().tolist() == [3.0, 1.0, 2.0]
    assert ours.read().dtype == torch.float32


def test_values_are_written_in_place_in_the_model_s_own_dtype() -> None:
    model = Two()
    w, b = model.w, model.b

    Trainables(model).write(torch.tensor([0.5, -1.0, -2.0]))

    assert model.w is w
    assert w.tolist() == [-1.0, -2.0]
    assert (b.dtype, b.tolist(), model.still.tolist()) == (torch.bfloat16, [0.5], [9.0])


def test_values_held_for_a_moment_leave_no_trace() -> None:
    model = Two()
    ours = Trainables(model)

    with ours.holding(torch.zeros(3)):
        assert ours.read().tolist() == [0.0, 0.0, 0.0]
    assert ours.read().tolist() == [3.0, 1.0, 2.0]


def test_a_model_without_anything_to_train_is_refused() -> None:
    with pytest.raises(ConfigError, match="no trainable parameter; wanted one with a peft adapter"):
        Trainables(Two().requires_grad_(False))


def test_fresh_lora_factors_begin_as_those_of_our_own_adapter(bert: Path) -> None:
    """Names, order and start values are the same, whatever torch's generator has given."""
    base = open_base(str(bert), labels=LABELS)
    adapter = attach(base, LoraSettings(r=2, alpha=4, target_modules=("query", "value")), seed=5)
    ours = Trainables(own.make_model(bert, seed=3))

    drawn = ours.draw_lora(5)

    assert ours.schema.digest == adapter.schema.digest
    wanted, seen = adapter.schema.views(adapter.initial), ours.schema.views(ours.read())
    assert len(drawn) == 12
    for name in (name for name in wanted if "lora_" in name):
        assert torch.equal(seen[name], wanted[name]), name


def test_the_frozen_base_has_the_digest_that_a_node_of_ours_has(bert: Path) -> None:
    base = open_base(str(bert), labels=LABELS)
    model = own.make_model(bert)
    digests = Trainables(model).digests(own.tokenizer_of(bert))

    assert digests["base_model"] == base.digest
    assert digests["tokenizer"] == base.tokenizer_digest


@pytest.mark.parametrize("changed", [{"lora_alpha": 8}, {"use_rslora": True}, {"target_modules": ["query"]}])
def test_another_adapter_has_another_digest(bert: Path, changed: dict[str, Any]) -> None:
    one, other = (Trainables(own.make_model(bert, **words)).digests() for words in ({}, changed))

    assert one["adapter"] != other["adapter"]
    assert one["base_model"] == other["base_model"]


def test_another_start_value_has_another_digest(bert: Path) -> None:
    ours = Trainables(own.make_model(bert))
    before = ours.digests()["initial"]
    ours.write(ours.read() + 1e-6)

    assert ours.digests()["initial"] != before


def test_an_adapter_that_was_trained_is_not_fresh(bert: Path) -> None:
    ours = Trainables(own.make_model(bert))
    assert ours.has_fresh_lora

    ours.write(ours.read() + 1e-3)

    assert not ours.has_fresh_lora
    assert not Trainables(Two()).has_fresh_lora


def test_what_is_not_shared_stays_as_it_is() -> None:
    model = Two()
    ours = Trainables(model, ("w",))

    ours.write(torch.zeros(2))

    assert [e.name for e in ours.schema.entries] == ["w"]
    assert model.b.tolist() == [3.0]


def test_a_pattern_that_shares_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="shares nothing"):
        Trainables(Two(), ("!w", "!b"))
