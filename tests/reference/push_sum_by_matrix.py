"""Slow twin of push-sum: Kempe, Dobra, Gehrke 2003 as products of P in float64, every message arriving at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def push_matrix(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> np.ndarray:
    """P_ij = 1 / (1 + degree of j) where j is i or a neighbour of i: column j is what j keeps and gives."""
    n = len(nodes)
    p = np.zeros((n, n))
    for j in range(n):
        near = [i for i in range(n) if (nodes[i], nodes[j]) in edges or (nodes[j], nodes[i]) in edges]
        for i in [j, *near]:
            p[i, j] = 1.0 / (1 + len(near))
    return p


def push_sum_by_matrix(p: np.ndarray, start: np.ndarray, rounds: int, lr: float = 0.0) -> np.ndarray:
    """z (n, d) after `rounds` of: x_i <- x_i - lr (z_i - i), then X <- P X and w <- P w, then z_i = x_i / w_i."""
    n = len(start)
    x, w, z = start.copy(), np.ones(n), start.copy()
    for _ in range(rounds):
        for i in range(n):
            x[i] -= lr * (z[i] - i)
        pushed, weights = np.zeros_like(x), np.zeros(n)
        for i in range(n):
            for j in range(n):
                pushed[i] += p[i, j] * x[j]
                weights[i] += p[i, j] * w[j]
        x, w = pushed, weights
        for i in range(n):
            z[i] = x[i] / w[i]
    return z
