"""A gradient of bounded length."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from node.learn.training.adamw import Block


def clip(grad: Tensor, blocks: Iterable[Block], norm: float) -> float:
    """Shorten grad (d,) in place to L2 `norm` where it is longer; its norm before.

    Only what is stepped counts: the gradient of a block that rests (A while B is trained) moves nothing.

    References:
        Pascanu, Mikolov, Bengio 2013, arXiv:1211.5063, algorithm 1.
    """
    parts = [torch.linalg.vector_norm(grad[block.start : block.stop]) for block in blocks]
    seen = float(torch.linalg.vector_norm(torch.stack(parts)))
    if seen > norm:
        grad.mul_(norm / seen)
    return seen
