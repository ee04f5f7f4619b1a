"""LoRA's dropout, live for one forward and backward pass, drawn from a seed of that pass's own.

The base's own dropout stays off in training too: a few thousand parameters need no such brake.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from node.learn.model.adapter import Adapter


class Dropout:
    """On inside a `with` block; torch's global generator is put back afterwards. Nothing happens at rate 0."""

    def __init__(self, adapter: Adapter, seed: int) -> None:
        self._adapter = adapter
        self._seed = seed
        self._saved: Tensor | None = None

    def __enter__(self) -> None:
        if self._adapter.settings.dropout > 0.0:
            self._saved = torch.get_rng_state()
            torch.manual_seed(self._seed)
            _live(self._adapter.model, True)

    def __exit__(self, *error: object) -> None:
        if self._saved is not None:
            torch.set_rng_state(self._saved)
            _live(self._adapter.model, False)


def _live(model: nn.Module, on: bool) -> None:
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and "lora_dropout" in name:
            module.train(on)
