"""Trainers that mix, step by step: torch's AdamW on every node, then W times theta, m, s and the bias corrections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def steps_and_mixing(
    models: Sequence[Any], batches: Sequence[Sequence[dict[str, Tensor]]], w: Tensor, every: int, rate: float
) -> None:
    """Train `models` in place; after each `every` steps their parameters and AdamW's memory are mixed by `w` (n, n).

    Args:
        batches: one list a node, as many batches as steps.
    """
    parameters = [[p for p in model.parameters() if p.requires_grad] for model in models]
    optimizers = [torch.optim.AdamW(ps, lr=rate, weight_decay=0.0) for ps in parameters]
    for step in range(len(batches[0])):
        for model, optimizer, own in zip(models, optimizers, batches, strict=True):
            model.train()
            optimizer.zero_grad()
            model(**own[step]).loss.backward()
            optimizer.step()
        if (step + 1) % every == 0:
            mix(parameters, optimizers, w)


@torch.no_grad()
def mix(parameters: Sequence[Sequence[Tensor]], optimizers: Sequence[Any], w: Tensor) -> None:
    """All nodes have taken equally many steps, so that the corrections mix to themselves."""
    for row in zip(*parameters, strict=True):  # one parameter on all nodes
        memory = [o.state[p] for o, p in zip(optimizers, row, strict=True)]
        assert len({float(one["step"]) for one in memory}) == 1
        theta, m = torch.stack([p.detach().clone() for p in row]), torch.stack([one["exp_avg"] for one in memory])
        s = torch.stack([one["exp_avg_sq"].sqrt() for one in memory])
        for i, one in enumerate(memory):
            row[i].copy_(torch.tensordot(w[i], theta, 1))
            one["exp_avg"].copy_(torch.tensordot(w[i], m, 1))
            one["exp_avg_sq"].copy_(torch.tensordot(w[i], s, 1).clamp(min=0).square())


def corrections(beta1: float, beta2: float, t: float) -> tuple[float, float]:
    return 1 - beta1**t, math.sqrt(1 - beta2**t)
