"""Whether a model keeps texts apart that share a row: tried on two texts, not guessed from its name.

`transformers` models are told by positions that start again (see `Batch.inputs`). In a model that does not look at
them, or carries a state along the row, a text would see the one before it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from node.learn.model.prefix import UNFIT
from node.learn.reading.texts import Texts

TOLERANCE = 1e-4  # of the largest logit: two texts in a row against each alone; rounding alone gives 1e-6
HALF = 2e-2  # the same in bfloat16


def keeps_apart(model: Any, texts: Texts) -> bool:
    """Whether the first two rows of `texts` (one text each) give the same logits in one row as alone.

    And whether those of the second stay where the first is replaced: a leak too small for rounding shows there.
    """
    if len(texts) < 2:
        return True
    first, second = texts.ids[:2]
    try:
        with torch.no_grad():
            alone = torch.cat([_logits(model, texts, (row,)) for row in (first, second)])
            together = _logits(model, texts, (first, second))
            after_another = _logits(model, texts, (first[::-1], second))
    except UNFIT:
        return False
    half = next(model.parameters()).dtype == torch.bfloat16
    close = torch.allclose(together, alone, rtol=0.0, atol=(HALF if half else TOLERANCE) * float(alone.abs().max()))
    return close and torch.equal(together[len(first) :], after_another[len(first) :])


def _logits(model: Any, texts: Texts, rows: tuple[tuple[int, ...], ...]) -> Tensor:
    """(t, vocabulary) of these token rows, packed into one."""
    ids = tuple(token for row in rows for token in row)
    starts = tuple(sum(map(len, rows[:place])) for place in range(len(rows)))
    packed = replace(texts, ids=(ids,), labels=(), targets=(ids,), starts=(starts,), questions=())
    device = next(model.parameters()).device
    out: Tensor = model(**packed.batch([0]).to(device).inputs(), use_cache=False).logits[0].float()
    return out
