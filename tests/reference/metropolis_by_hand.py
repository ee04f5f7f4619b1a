"""Slow twins of node.graph: the definitions, loop by loop."""

from __future__ import annotations

from collections.abc import Sequence


def metropolis_matrix(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[float]]:
    """W_ij = 1 / (1 + max(d_i, d_j)) on edges, W_ii = 1 - sum of the others, 0 elsewhere (Xiao et al. 2005)."""
    n = len(nodes)
    joined = [[(a, b) in edges or (b, a) in edges for b in nodes] for a in nodes]
    degree = [sum(row) for row in joined]
    w = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(n):
            if i != j and joined[i][j]:
                w[i][j] = 1.0 / (1.0 + max(degree[i], degree[j]))
        w[i][i] = 1.0 - sum(w[i])
    return w


def rounds_of_the_worst_start(w: Sequence[Sequence[float]], slowest: Sequence[float], epsilon: float) -> int:
    """Mix the eigenvector `slowest` (mean 0) round by round until its length is epsilon of what it was."""
    n, x = len(w), list(slowest)
    start = sum(v * v for v in x) ** 0.5
    rounds = 0
    while sum(v * v for v in x) ** 0.5 > epsilon * start:
        x = [sum(w[i][j] * x[j] for j in range(n)) for i in range(n)]
        rounds += 1
    return rounds
