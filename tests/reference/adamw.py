"""AdamW as torch has it, stepped on given gradients: the slow twin of node.learn.training.adamw."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def steps(theta: Tensor, grads: Sequence[Tensor], lr: float, weight_decay: float, beta2: float = 0.999) -> Tensor:
    """theta (d,) after one step of torch.optim.AdamW on each gradient (d,)."""
    parameter = theta.clone().requires_grad_()
    optimizer = torch.optim.AdamW([parameter], lr=lr, weight_decay=weight_decay, betas=(0.9, beta2))
    for grad in grads:
        parameter.grad = grad.clone()
        optimizer.step()
    return parameter.detach()
