"""Gradient checkpointing: a layer keeps its input only, and is computed again in the backward pass.

Memory for the activations of all layers becomes memory for one, at the price of a second forward pass. transformers has
a switch of its own that works in train mode only; our base stays in eval mode (its dropout is off), so each layer's
`forward` is wrapped here. Where no gradient is wanted (evaluation, the prefix cache) a wrapped layer is as it was.

References:
    Chen, Xu, Zhang, Guestrin 2016, arXiv:1604.06174. Difference: every layer is a segment, not every sqrt(n)-th.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from node.errors import ConfigError


def recompute_layers(model: nn.Module) -> int:
    """Wrap the layers of a model; how many. Call it once, before a prefix is looked for.

    Raises:
        ConfigError: the model's layers do not say that they can be computed twice.
    """
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise ConfigError(
            f"train.gradient_checkpointing: {type(model).__name__} has no layers that can be computed twice; set false"
        )
    for layer in layers:
        layer.forward = _recomputed(layer.forward)
    return len(layers)


def _recomputed(original: Callable[..., Any]) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return original(*args, **kwargs)
        return checkpoint(original, *args, use_reentrant=False, **kwargs)

    return forward
