"""Slow twin of D-PSGD: Lian et al. 2017, algorithm 1, the local step before the mix, as products of W in float64."""

from __future__ import annotations

import numpy as np


def gossip_by_matrix(w: np.ndarray, x: np.ndarray, rounds: int, lr: float) -> np.ndarray:
    """(n, d) after `rounds` of: x_i <- x_i - lr (x_i - i), then X <- W X."""
    n = len(x)
    for _ in range(rounds):
        trained = np.empty_like(x)
        for i in range(n):
            trained[i] = x[i] - lr * (x[i] - i)
        mixed = np.zeros_like(x)
        for i in range(n):
            for j in range(n):
                mixed[i] += w[i, j] * trained[j]
        x = mixed
    return x
