"""Slow twin of node.graph.scheduling.matcha: E[W^T W] - J by going through all cases of which matchings are on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np


def norm_of_expectation(
    n: int, matchings: Sequence[Sequence[tuple[int, int]]], chances: Sequence[float], alpha: float
) -> float:
    """Spectral norm of E[W^T W] - J, W = I - alpha * (sum of the Laplacians that are on)."""
    expected = np.zeros((n, n))
    for on in product([False, True], repeat=len(matchings)):
        weight = 1.0
        w = np.eye(n)
        for here, matching, p in zip(on, matchings, chances, strict=True):
            weight *= p if here else 1 - p
            for i, j in matching if here else []:
                w[i, i] -= alpha
                w[j, j] -= alpha
                w[i, j] += alpha
                w[j, i] += alpha
        expected += weight * w.T @ w
    return float(np.linalg.norm(expected - np.full((n, n), 1 / n), 2))
