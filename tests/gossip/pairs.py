"""Vectors that hold LoRA factors, for rules that mix products."""

from __future__ import annotations

import numpy as np
import torch

from node.gossip.factors import matrices
from node.types import Pair


def layout(*shapes: tuple[int, int, int]) -> tuple[tuple[Pair, ...], int]:
    """Pairs of (r, n_in, n_out) one after another, A before B; and where they end."""
    pairs, at = [], 0
    for r, n_in, n_out in shapes:
        b = at + r * n_in
        pairs.append(Pair(slice(at, b), slice(b, b + n_out * r), r, n_in, n_out))
        at = b + n_out * r
    return tuple(pairs), at


def products(x, pairs) -> list[np.ndarray]:
    """B A of each pair of x (d,)."""
    x = torch.as_tensor(np.asarray(x)).double()
    return [(b @ a).numpy() for a, b in (matrices(x, pair) for pair in pairs)]


def adapters(n: int, d: int, pairs, seed: int, spread: float = 0.3, dtype=np.float64) -> np.ndarray:
    """(n, d): one adapter, and `spread` of noise on each peer's."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=d) + spread * rng.normal(size=(n, d))).astype(dtype)


def orthogonal(r: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(r, r)))[0]
