"""Forward passes over indexed texts: from the prefix cache where there is one, through the whole model where not.

Decides nothing about training. A `Reader` ties an adapter to some texts; several readers may share one adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from node.learn.adapter import Adapter
from node.learn.objective import cross_entropy
from node.learn.prefix import Remembered
from node.learn.texts import IGNORED, Texts


class Reader:
    """Loss and hits of an adapted model on some texts."""

    def __init__(self, adapter: Adapter, texts: Texts, remembered: Remembered | None) -> None:
        self.adapter = adapter
        self.texts = texts
        self.remembered = remembered

    def logits(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """logits (b, c) with labels (b,), or (b, t, vocabulary) with next tokens (b, t)."""
        device = self.adapter.theta.device
        batch = self.texts.batch(indices).to(device)
        if self.remembered is not None and self.adapter.prefix is not None:
            out = self.adapter.prefix.replay(batch.ids, batch.mask, self.remembered.hidden(indices))
        else:
            out = self.adapter.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
        logits = out.logits if out.logits.dim() == 2 else out.logits[:, -batch.ids.shape[1] :]  # virtual tokens, if any
        return logits.float(), batch.targets

    def measure(
        self, indices: Sequence[int] | None = None, size: int = 64, check: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        """{"accuracy", "loss"} over these texts (all of them by default), in batches of like length.

        For a causal language model both are per next token. `check` is called between batches and may raise.
        """
        hits, total, count = 0, 0.0, 0
        with torch.no_grad():
            for group in self.texts.by_length(size, indices):
                check()
                logits, targets = self.logits(group)
                counted = targets != IGNORED
                hits += int(((logits.argmax(-1) == targets) & counted).sum())
                total += float(cross_entropy(logits, targets, reduction="sum"))
                count += int(counted.sum())
        return {"accuracy": hits / max(count, 1), "loss": total / max(count, 1)}
