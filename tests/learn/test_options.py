"""Accumulation, gradient checkpointing, clipping, early stopping: what each changes, and what it leaves alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from node.errors import ConfigError
from node.learn.model.adapter import attach
from node.learn.model.base import open_base
from node.learn.model.device import CPU, device_of, quantization
from node.learn.model.recompute import recompute_layers
from node.learn.prepare import LearnSettings, Prepared, open_model, prepare
from node.learn.training.adamw import Block
from node.learn.training.clip import clip
from node.learn.training.patience import PRIVATE_LOSS, Patience
from node.learn.training.trainer import LocalTrainer
from node.types import Shared
from tests.learn.runs import run

KINDS = pytest.mark.parametrize("kind", ["settings", "causal"])


def _node(settings: LearnSettings, **train: Any) -> Prepared:
    settings = replace(settings, train=replace(settings.train, **train))
    return prepare(settings, open_model(settings), peer="n0", index=0, nodes=2)


def _gradient(node: Prepared) -> Tensor:
    """Of the only step of the first round."""
    node.trainer.train(0, node.shared)
    return node.adapter.grad.clone()


@KINDS
def test_micro_batches_add_up_to_the_gradient_of_one_large_batch(kind: str, request: pytest.FixtureRequest) -> None:
    settings: LearnSettings = request.getfixturevalue(kind)
    whole = _node(settings, local_steps=1, micro_batch_size=8)
    parts = _node(settings, local_steps=1, micro_batch_size=2, accumulation=4)

    one, four = _gradient(whole), _gradient(parts)

    assert whole.trainer.indices(0) == parts.trainer.indices(0)
    assert (one - four).norm() < 1e-6 * one.norm()
    (_, a), (_, b) = (n.trainer.train(1, n.shared) for n in (whole, parts))
    assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
    assert a["examples"] == b["examples"] == 8.0


def test_texts_of_unequal_length_weigh_by_their_targets(causal: LearnSettings) -> None:
    whole = _node(causal, local_steps=1, micro_batch_size=2, prefix_cache="off")
    parts = _node(causal, local_steps=1, micro_batch_size=1, accumulation=2, prefix_cache="off")
    first, second = whole.trainer.indices(0)
    for node in (whole, parts):
        texts = node.trainer._reader.texts
        ids = {**dict(enumerate(texts.ids)), first: (5, 6, 7, 8, 9), second: (5, 6)}
        node.trainer._reader.texts = replace(texts, ids=tuple(ids.values()))

    one, two = _gradient(whole), _gradient(parts)

    assert parts.trainer._portions([first, second]) == [([first], 4 / 5), ([second], 1 / 5)]
    assert (one - two).norm() < 1e-6 * one.norm()


@KINDS
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("cache", ["off", "on"])
def test_layers_computed_twice_have_the_same_gradient(
    kind: str, dropout: float, cache: str, request: pytest.FixtureRequest
) -> None:
    settings: LearnSettings = request.getfixturevalue(kind)
    settings = replace(settings, lora=replace(settings.lora, dropout=dropout))

    plain = _node(settings, local_steps=1, prefix_cache=cache)
    twice = _node(settings, local_steps=1, prefix_cache=cache, checkpointing=True)

    assert torch.equal(_gradient(plain), _gradient(twice))


@KINDS
def test_gradient_checkpointing_keeps_less_for_the_backward_pass(kind: str, request: pytest.FixtureRequest) -> None:
    settings: LearnSettings = request.getfixturevalue(kind)
    settings = replace(settings, lora=replace(settings.lora, layers=None))

    plain, twice = (_kept(_node(settings, prefix_cache="off", checkpointing=on)) for on in (False, True))

    assert twice < 0.5 * plain


def _kept(node: Prepared) -> int:
    """Bytes that a forward pass keeps for the backward one: what autograd saves, and what enters each layer."""
    own = {t.untyped_storage().data_ptr() for t in (*node.adapter.model.parameters(), *node.adapter.model.buffers())}
    kept: dict[int, int] = {}

    def note(t: Tensor) -> Tensor:
        if t.untyped_storage().data_ptr() not in own:
            kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    layers = [m for m in node.adapter.model.modules() if isinstance(m, GradientCheckpointingLayer)]
    for layer in layers:
        layer.register_forward_pre_hook(lambda module, given: (note(given[0]), None)[1])
    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        logits = node.trainer._reader.logits(node.trainer.indices(0))
    del logits
    return sum(kept.values())


def test_where_no_gradient_is_wanted_a_layer_is_computed_once(settings: LearnSettings) -> None:
    node = _node(settings, checkpointing=True)
    calls: list[int] = []
    node.adapter.model.bert.encoder.layer[2].intermediate.register_forward_hook(lambda *_: calls.append(1))

    with torch.no_grad():
        node.adapter.model(input_ids=torch.tensor([[2, 6, 3]]))
    assert len(calls) == 1
    node.adapter.model(input_ids=torch.tensor([[2, 6, 3]])).logits.sum().backward()
    assert len(calls) == 3


def test_a_model_whose_layers_cannot_be_computed_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.gradient_checkpointing: Linear has no layers"):
        recompute_layers(torch.nn.Linear(2, 2))


def test_a_long_gradient_is_cut_to_the_norm_and_a_short_one_left() -> None:
    grad = torch.tensor([3.0, 4.0])
    everything = [Block("all", 0, 2)]

    assert clip(grad, everything, 10.0) == 5.0
    assert grad.tolist() == [3.0, 4.0]
    assert clip(grad, everything, 1.0) == 5.0
    torch.testing.assert_close(grad, torch.tensor([0.6, 0.8]))


def test_a_block_that_rests_does_not_count_towards_the_norm() -> None:
    grad = torch.tensor([3.0, 4.0, 100.0])

    assert clip(grad, [Block("lora_B", 0, 1), Block("other", 1, 2)], 2.5) == 5.0
    assert grad.tolist() == [1.5, 2.0, 50.0]


def test_a_step_is_taken_along_the_cut_gradient(settings: LearnSettings) -> None:
    plain = _gradient(_node(settings, local_steps=1))
    limit = 0.5 * float(plain.norm())

    cut = _gradient(_node(settings, local_steps=1, max_grad_norm=limit))

    torch.testing.assert_close(cut, 0.5 * plain)
    assert torch.equal(_gradient(_node(settings, local_steps=1, max_grad_norm=1e6)), plain)


def test_patience_ends_after_so_many_evaluations_without_a_smaller_loss() -> None:
    patience, seen = Patience(2), []
    for place, loss in enumerate([3.0, 2.0, 2.5, math.nan, 1.0, 2.0]):
        patience = patience.noted(loss, torch.tensor([float(place)]))
        seen.append((patience.loss, patience.since, patience.is_over))

    assert seen == [(3, 0, False), (2, 0, False), (2, 1, False), (2, 2, True), (1, 0, True), (1, 1, True)]
    assert patience.theta is not None
    assert patience.theta.tolist() == [4.0]


def test_without_a_limit_nothing_is_kept_and_nobody_stops() -> None:
    patience = Patience(0).noted(3.0, torch.ones(1)).noted(4.0, torch.ones(1))

    assert patience == Patience(0)
    assert patience.state() == {}


def test_patience_survives_a_restart() -> None:
    patience = Patience(2).noted(3.0, torch.tensor([1.0, 2.0])).noted(4.0, torch.zeros(2))
    state = patience.state()
    best = state.pop("best")

    again = Patience(2).restored({**json.loads(json.dumps(state)), "best": best})

    assert again.state().keys() == patience.state().keys()
    assert again[:2] == patience[:2]
    assert again[3:] == patience[3:]
    assert torch.equal(again.theta, best)  # type: ignore[arg-type]
    assert Patience(0).restored(patience.state()) == Patience(0)


class Watched(LocalTrainer):
    """A trainer whose private loss is written down before."""

    told: dict[int, float]

    def _measured_at(self, round: int, shared: Shared) -> dict[str, float]:
        return {PRIVATE_LOSS: self.told[round]} if round in self.told else {}


def _watched(settings: LearnSettings, losses: list[float], **train: Any) -> Prepared:
    node = _node(settings, patience=2, eval_every=1, **train)
    node.trainer.__class__ = Watched
    node.trainer.told = dict(enumerate(losses))  # type: ignore[attr-defined]
    return node


@pytest.mark.parametrize("moments", [True, False])
def test_a_node_that_stopped_hands_on_what_it_hears_and_keeps_its_best(settings: LearnSettings, moments: bool) -> None:
    node = _watched(replace(settings, moments=moments), [3.0, 2.0, 2.5, 2.4, 2.3, 2.2])
    before = run(node, 1)
    best = node.trainer.whole(before)
    middle = run(node, 2, before, first=1)
    steps = node.trainer.state()["steps"]

    heard = {name: t + 0.01 for name, t in middle.items()}
    after, stats = node.trainer.train(3, heard)

    assert all(torch.equal(after[name], heard[name]) for name in heard)
    assert math.isnan(stats["loss"])
    assert stats["examples"] == 0.0
    assert node.trainer.state()["steps"] == steps == 3 * settings.train.local_steps
    assert node.trainer.best is not None
    assert torch.equal(node.trainer.best, best)


def test_a_restored_trainer_stays_stopped(settings: LearnSettings) -> None:
    losses = [3.0, 2.0, 2.5, 2.4, 1.0, 0.5]
    before, after = _watched(settings, losses), _watched(settings, losses)
    middle = run(before, 4)

    after.trainer.load_state(before.trainer.state())
    end = run(after, 2, middle, first=4)

    assert all(torch.equal(end[name], middle[name]) for name in middle)
    assert torch.equal(after.trainer.best, after.trainer.whole(end))  # type: ignore[arg-type]


def test_a_node_that_only_learns_by_heart_stops_and_its_best_is_the_best_it_was(settings: LearnSettings) -> None:
    settings = replace(settings, data=replace(settings.data, private_share=0.4))
    node = _node(settings, learning_rate=0.1, patience=2, eval_every=1)
    shared, told = node.shared, []
    for round in range(40):
        shared, stats = node.trainer.train(round, shared)
        told.append((stats[PRIVATE_LOSS], stats["examples"]))

    trained = [examples > 0 for _, examples in told]
    stop = trained.index(False)
    losses = [loss for loss, _ in told]

    assert 2 <= stop < 40
    assert trained == [True] * stop + [False] * (40 - stop)
    assert min(losses) not in losses[stop - 1 :]
    assert node.trainer.best is not None
    assert node.trainer.metrics(node.trainer.best, 256)[PRIVATE_LOSS] == min(losses)


def test_neighbours_of_a_node_that_stopped_go_on(settings: LearnSettings) -> None:
    stopped, other = _watched(settings, [1.0, 2.0, 2.0, 2.0]), _node(settings)
    x, y = stopped.shared, other.shared
    for round in range(4):
        x, y = stopped.trainer.train(round, x)[0], other.trainer.train(round, y)[0]
        mean = {name: (x[name] + y[name]) / 2 for name in x}
        if round == 2:
            heard = mean
        x = y = mean

    assert not torch.equal(x["theta"], heard["theta"])


def test_optimizer_and_gradient_hold_the_adapter_and_nothing_else(settings: LearnSettings) -> None:
    node = _node(replace(settings, moments=False))
    node.trainer.train(0, node.shared)
    d = node.adapter.whole.d

    state = {name: t for name, t in node.trainer.state().items() if isinstance(t, Tensor)}

    assert sum(t.numel() * t.element_size() for t in state.values()) == 4 * (2 * d + 2)
    slopes = [p.grad for p in node.adapter.model.parameters() if p.grad is not None]
    assert {g.untyped_storage().data_ptr() for g in slopes} == {node.adapter.grad.untyped_storage().data_ptr()}
    assert node.adapter.grad.untyped_storage().nbytes() == 4 * d
    assert sum(g.numel() for g in slopes) == d


def test_a_machine_without_a_gpu_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")

    assert device_of("auto") == device_of("cpu") == CPU
    with pytest.raises(ConfigError, match=r"train\.device: cuda, but torch finds no GPU"):
        device_of("cuda")


def test_four_bits_want_a_gpu_and_a_package(bert: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"train\.load_in_4bit: true wants a GPU"):
        open_base(str(bert), "classification", ("a", "b"), four_bits=True)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"wants the package bitsandbytes; run: pip install 'gossip-node\[quantized\]'"
    ):
        quantization(torch.device("cuda"))


def test_half_precision_on_the_processor_trains_as_it_says(settings: LearnSettings) -> None:
    base = open_model(replace(settings, train=replace(settings.train, bf16=True)))
    adapter = attach(base, settings.lora, 0)

    assert base.device == CPU
    assert {p.dtype for p in adapter.model.parameters() if not p.requires_grad} == {torch.bfloat16}
    assert {p.dtype for p in adapter.model.parameters() if p.requires_grad} == {torch.float32}
