from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from node.errors import ConfigError
from node.learn.prepare import LearnSettings, Prepared, open_model, prepare
from tests.learn.runs import run


def _with(settings: LearnSettings, cache: str, dropout: float = 0.0) -> Prepared:
    changed = replace(
        settings,
        train=replace(settings.train, prefix_cache=cache),  # type: ignore[arg-type]
        lora=replace(settings.lora, dropout=dropout),
    )
    return prepare(changed, open_model(changed), peer="n0", index=0, nodes=2)


@pytest.mark.parametrize("kind", ["settings", "causal"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_cached_path_agrees_with_the_plain_one(kind: str, dropout: float, request: pytest.FixtureRequest) -> None:
    settings: LearnSettings = request.getfixturevalue(kind)
    cached, plain = _with(settings, "on", dropout), _with(settings, "off", dropout)

    a, b = run(cached, 6), run(plain, 6)

    assert cached.prefix.startswith("on: ")
    assert plain.prefix == "off: as set"
    moved = (b["theta"] - plain.shared["theta"]).norm()
    # Adam divides by sqrt(v), so rounding of a gradient near zero is blown up; 1e-3 of the way moved is still rounding
    assert (a["theta"] - b["theta"]).norm() < 1e-3 * moved
    assert cached.trainer.evaluate(a["theta"])["loss"] == pytest.approx(
        plain.trainer.evaluate(b["theta"])["loss"], rel=1e-4
    )


def test_the_layers_below_really_answer_from_memory(settings: LearnSettings) -> None:
    node = _with(settings, "on")
    run(node, 40)
    layers = node.adapter.model.bert.encoder.layer
    calls = []
    for layer in layers:
        layer.intermediate.register_forward_hook(lambda module, *_: calls.append(module))

    node.trainer.train(40, node.shared)

    assert set(calls) == {layers[2].intermediate}


def test_the_last_layer_is_computed_for_the_first_token_only(settings: LearnSettings) -> None:
    node = _with(settings, "on")
    tokens = []
    last = node.adapter.model.bert.encoder.layer[-1]
    last.intermediate.register_forward_hook(lambda module, given, out: tokens.append(out.shape[1]))

    node.trainer.train(0, node.shared)

    assert node.prefix.startswith("on: 2 of 3 layers, the last one for the first token only")
    assert set(tokens) == {1}


def test_every_token_is_computed_where_each_one_counts(causal: LearnSettings) -> None:
    assert "first token" not in _with(causal, "on").prefix


def test_a_text_has_the_same_bits_whichever_batch_asks_first(settings: LearnSettings) -> None:
    one, two = _with(settings, "on"), _with(settings, "on")
    first, second = (n.trainer._reader.remembered for n in (one, two))
    assert first is not None
    assert second is not None
    own = [int(i) for i in one.own]

    for index in own:
        first.hidden([index])
    for index in reversed(own):
        second.hidden([index])

    assert all(torch.equal(first.hidden([i]), second.hidden([i])) for i in own)


def test_auto_is_off_when_the_first_layer_has_an_adapter(settings: LearnSettings) -> None:
    changed = replace(settings, lora=replace(settings.lora, layers=(0, 2)))

    assert _with(changed, "auto").prefix == "off: no frozen layer lies below the first adapter"
    with pytest.raises(ConfigError, match=r"train\.prefix_cache: on is not possible: no frozen layer"):
        _with(changed, "on")


def test_auto_is_off_when_the_embeddings_are_trained(settings: LearnSettings) -> None:
    changed = replace(settings, lora=replace(settings.lora, modules_to_save=("embeddings",)))

    assert "something that is trained lies below" in _with(changed, "auto").prefix


def test_auto_is_off_over_the_memory_limit(settings: LearnSettings) -> None:
    changed = replace(settings, train=replace(settings.train, prefix_cache_limit=1000))

    assert "is over train.prefix_cache_limit" in _with(changed, "auto").prefix


def test_auto_is_off_where_layers_hand_on_more_than_hidden_states(settings: LearnSettings) -> None:
    base = open_model(settings)
    lower, upper = base.model.bert.encoder.layer[0], base.model.bert.encoder.layer[2]
    said: list[int] = []
    lower.attention.register_forward_hook(lambda *_: said.append(1))
    upper.register_forward_pre_hook(lambda module, args: (args[0].roll(len(said), -1), *args[1:]))

    node = prepare(settings, base, peer="n0", index=0, nodes=2)

    assert node.prefix == "off: the model's layers hand on more than hidden states"
