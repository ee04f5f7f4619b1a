"""What trained parameters start from: a function of names, shapes and a seed, the same on every node."""

from __future__ import annotations

import torch
from torch import Tensor

from node.learn import draw
from node.learn.model.base import Base, fresh_value
from node.learn.model.names import PROMPT


def start(base: Base, name: str, given: Tensor, seed: int) -> Tensor:
    """x_0 of a parameter: A uniform in +-1/sqrt(inputs) as in peft, B zero, IA3 one, a prompt from the vocabulary, a
    new head small, all else as pretrained. From our own stream: the same on every node.
    """
    shape = tuple(given.shape)
    if (factor := lora_start(name, shape, seed)) is not None:
        return factor
    if name.endswith(".ia3_l"):
        return torch.ones(shape)
    if name == PROMPT:
        return _words(base.model.get_input_embeddings().weight, shape[0], seed)
    std = float(getattr(base.model.config, "initializer_range", 0.02))
    return fresh_value(name, shape, std, seed) if name in base.fresh else given.float()


def lora_start(name: str, shape: tuple[int, ...], seed: int) -> Tensor | None:
    """x_0 of a LoRA factor; None of any other parameter."""
    if "lora_embedding_A" in name or "lora_B" in name:
        return torch.zeros(shape)
    if "lora_embedding_B" in name:
        return fresh_value(name, shape, 1.0, seed)
    if "lora_A" in name:
        inputs = torch.Size(shape[1:]).numel()
        return fresh_value(name, shape, (3.0 * inputs) ** -0.5, seed)
    return None


def _words(embeddings: Tensor, count: int, seed: int) -> Tensor:
    """(count, h) rows of the vocabulary, cut to bfloat16: a node whose base is in half precision starts alike."""
    chosen = (draw.uniform(count, seed, "initial", PROMPT) * len(embeddings)).astype("int64")
    return embeddings.detach()[torch.from_numpy(chosen).to(embeddings.device)].bfloat16().float().cpu()
