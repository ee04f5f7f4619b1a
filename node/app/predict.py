"""What an adapter says of a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from node.app.settings import learn_settings
from node.learn.adapter import Adapter, attach
from node.learn.encode import encode
from node.learn.examples import Example
from node.learn.passes import Reader
from node.learn.prepare import open_model
from node.settings import NodeConfig
from node.types import PeerId, Vector

NEW_TOKENS = 40  # that a causal language model adds

Verdict = dict[str, float]  # label -> probability, the likeliest first


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


def say(config: NodeConfig, folder: Path, text: str, peer: PeerId) -> dict[str, Any]:
    """What the adapter in `folder` makes of a text: {"labels": verdict}, or {"continuation": text} of a causal LM.

    Raises:
        ConfigError: the base model or the adapter cannot be opened.
    """
    settings = learn_settings(config, peer)
    adapter = attach(open_model(settings, peer), settings.lora, settings.seed, settings.share)
    theta = adapter.load(folder)
    if settings.labelled:
        return {"labels": predict(adapter, theta, [text], settings.train.sequence_len)[0]}
    tokenizer = adapter.base.tokenizer
    with adapter.lock, torch.no_grad():
        adapter.theta.copy_(theta)
        out = adapter.model.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=NEW_TOKENS, do_sample=False)
    return {"continuation": tokenizer.decode(out[0], skip_special_tokens=True)}
