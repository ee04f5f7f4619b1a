"""How unlike the nodes' data are: counts of classes, and what they come to in one number a node.

Decides how skew is told; knows neither texts nor partitioners.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]  # (n, c): examples of each class on each node


def counts_of(labels: Sequence[int], rows: Sequence[NDArray[np.int64]], classes: int) -> Counts:
    """(n, c) from the labels of all examples and each node's indices."""
    numbers = np.asarray(labels, dtype=np.int64)
    return np.stack([np.bincount(numbers[row], minlength=classes) for row in rows])


def total_variation(counts: Counts) -> NDArray[np.float64]:
    """(n,) half of sum_c |p_i(c) - p(c)|: the share of a node's examples that would have to change class to look like
    all data together. 0: like the whole; near 1: nothing in common with it."""
    own = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    whole = counts.sum(axis=0) / max(int(counts.sum()), 1)
    return np.asarray(0.5 * np.abs(own - whole).sum(axis=1))


def effective_classes(counts: Counts) -> NDArray[np.float64]:
    """(n,) exp of the entropy of p_i: 3 where a node holds three classes alike, 1 where it holds one; 0 for nothing.

    References:
        Hill 1973, Diversity and Evenness: the number of order 1.
    """
    own = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    logs = np.log(own, out=np.zeros_like(own), where=own > 0)
    return np.asarray(np.exp(-(own * logs).sum(axis=1)) * (counts.sum(axis=1) > 0))


def effective_nodes(sizes: Sequence[int]) -> float:
    """1 / sum of squared shares: n where all have as much, 1 where one node has all. What a mean over examples is worth
    in nodes."""
    shares = np.asarray(sizes, dtype=np.float64) / max(sum(sizes), 1)
    return float(1.0 / (shares @ shares)) if sum(sizes) else 0.0
