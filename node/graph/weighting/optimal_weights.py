"""Weights that mix as fast as the graph allows: one constant for all edges, or one weight for each.

Decides which of them is the best; a convex program with numpy alone, small enough to solve while a topology is read.
Every node solves for itself, so that all must come to the same W: ids in sorted order, a central path that has one
solution only, and weights rounded to 1e-6.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np
from numpy.typing import NDArray

from node.errors import ConfigError
from node.graph.weighting.rows import Graph, Rows, from_counts, rows_by, undirected
from node.graph.wiring import Edge

Array = NDArray[np.float64]

UNIT = 10**6  # weights are multiples of 1 / UNIT
DIGITS = 9  # of the best constant; eigvalsh errs in the 13th
GAP, LEAST_GAP = 1e-5, 1e-8  # of 1 - contraction; absolute: how far from the best we stop. Nearer to it two builds
# differ where it is flat: on the karate graph by 2e-9 at an absolute 1e-7, by 1.5e-4 (150 of our steps) at 1e-9
MAX_NODES = 128  # and 496 edges with hubs: 8 CPU seconds, on every node; 64 nodes of degree 4: 0.3
MAX_EDGES = 512
FASTER = 5.0  # factor on the price of the contraction from one point of the path to the next
NEWTON = 500  # steps to a point of the path; 5 to 60 are usual
SURE = 0.05  # decrement squared from which on whole steps stay inside and converge (self-concordant barriers)


def best_constant(graph: Graph) -> Rows:
    """I - alpha L with alpha = 2 / (lambda_1 + lambda_{n-1}): the fastest W with one weight on all edges.

    lambda_1 is the largest eigenvalue of the Laplacian L, lambda_{n-1} the smallest above 0; the contraction is
    (lambda_1 - lambda_{n-1}) / (lambda_1 + lambda_{n-1}). The diagonal of a node with many neighbours may be below 0.

    Raises:
        ConfigError: a directed graph.

    References:
        Xiao, Boyd 2004, Fast Linear Iterations for Distributed Averaging (best constant edge weight). Difference:
        alpha is rounded to nine digits, so that nodes with different builds agree.
    """
    undirected(graph, "best_constant")
    values = np.linalg.eigvalsh(_edges_of(graph).laplacian)
    alpha = float(f"{2.0 / (values[-1] + values[1]):.{DIGITS}g}")
    return rows_by(graph, lambda receiver, sender: alpha)


def fmmc(graph: Graph) -> Rows:
    """Fastest mixing Markov chain: the symmetric W >= 0 on the edges with the smallest contraction.

    Raises:
        ConfigError: a directed graph, or one too large to solve.

    References:
        Boyd, Diaconis, Xiao 2004, Fastest Mixing Markov Chain on a Graph; the barrier method of Xiao, Boyd 2004,
        section 5.1. Differences: stopped a 1e-5th of the spectral gap above the optimum, then rounded to 1e-6.
    """
    return _fastest(graph, "fmmc", nonnegative=True)


def fdla(graph: Graph) -> Rows:
    """Fastest distributed linear averaging: the symmetric W on the edges, of any sign, with the smallest contraction.

    At least as fast as `fmmc`; a liar or a silent neighbour with a weight below 0 does more harm.

    Raises:
        ConfigError: a directed graph, or one too large to solve.

    References:
        Xiao, Boyd 2004, Fast Linear Iterations for Distributed Averaging (symmetric problem, section 5.1). Differences
        as in `fmmc`, and W is symmetric, which their problem need not be.
    """
    return _fastest(graph, "fdla", nonnegative=False)


def _fastest(graph: Graph, scheme: str, nonnegative: bool) -> Rows:
    undirected(graph, scheme)
    if len(graph.nodes) > MAX_NODES or len(graph.edges) > MAX_EDGES:
        raise ConfigError(
            f"weights: {scheme} of {len(graph.nodes)} nodes and {len(graph.edges)} edges; wanted {MAX_NODES} and "
            f"{MAX_EDGES} or fewer (every node solves it when it starts); best_constant takes larger graphs"
        )
    edges = _edges_of(graph)
    found = _Barrier(edges, nonnegative).solved()
    counts = dict(zip(edges.names, (round(weight * UNIT) for weight in found.tolist()), strict=True))
    if nonnegative:
        _spend_at_most_one(graph, counts)
    return from_counts(graph, counts, UNIT)


def _spend_at_most_one(graph: Graph, counts: dict[Edge, int]) -> None:
    """Take what rounding spent too much off the largest edges, so that no diagonal is below 0. Changes `counts`."""
    for edge in counts:
        counts[edge] = max(0, counts[edge])
    for peer in sorted(graph.nodes):
        own = sorted(edge for edge in counts if peer in edge)
        for _ in range(sum(counts[edge] for edge in own) - UNIT):
            counts[max(own, key=counts.__getitem__)] -= 1


@dataclass(frozen=True)
class _Edges:
    """Edges as columns: a (n, m) holds +1 and -1 at the two ends, nodes in sorted order of their ids."""

    names: tuple[Edge, ...]
    a: Array

    @cached_property
    def ends(self) -> Array:
        """(n, m) of 0 and 1: which edges a node has."""
        return np.abs(self.a)

    @property
    def laplacian(self) -> Array:
        return self.a @ self.a.T

    @property
    def metropolis(self) -> Array:
        """(m,) 1 / (1 + larger degree): inside all constraints, so a start."""
        degrees = self.ends.sum(axis=1, keepdims=True)
        return np.asarray(1.0 / (1.0 + (self.ends * degrees).max(axis=0)))


def _edges_of(graph: Graph) -> _Edges:
    place = {peer: i for i, peer in enumerate(sorted(graph.nodes))}
    names = tuple(sorted(graph.edges))
    a = np.zeros((len(place), len(names)))
    for column, (one, other) in enumerate(names):
        a[place[one], column], a[place[other], column] = 1.0, -1.0
    return _Edges(names, a)


class _Barrier:
    """min s with -s I <= W - J <= s I, W = I - A diag(w) A^T, by following the minima of price * s + barriers.

    The barriers are -log det(s I - W + J) - log det(s I + W - J) and, where no entry may be below 0, -log of each edge
    weight and each diagonal. Each minimum is `barriers / price` above the optimum at the most.
    """

    def __init__(self, edges: _Edges, nonnegative: bool) -> None:
        self._a, self._ends, self._nonnegative = edges.a, edges.ends, nonnegative
        n, m = edges.a.shape
        self._barriers = 2 * n + (n + m if nonnegative else 0)
        self._start = edges.metropolis
        self._eye = np.eye(n)

    def solved(self) -> Array:
        """Edge weights (m,)."""
        contraction = float(np.abs(np.linalg.eigvalsh(self._spread(self._start))).max())
        x = np.append(self._start, 1.0 + contraction)  # weights and s, well inside
        price, last = 1.0, self._barriers / max(GAP * (1.0 - contraction), LEAST_GAP)
        while price < last:
            price = min(price * FASTER, last)
            x = self._minimum(x, price)
        return x[:-1]

    def _minimum(self, x: Array, price: float) -> Array:
        """Newton from `x`: damped while a step promises much, whole steps from SURE on, until they promise no less."""
        before = inf
        for _ in range(NEWTON):
            slope, curvature = self._derivatives(x, price)
            step: Array = -np.asarray(np.linalg.solve(curvature, slope), dtype=np.float64)
            promised = float(-slope @ step)  # the decrement squared
            if promised < SURE:
                length, better = 1.0, 1e-20 < promised < before / 4
                before = promised
            else:
                length = self._length(x, step, price, promised)
                better = length > 0.0
            if not better:
                break  # as near as float64 goes
            x = x + length * step
        return x

    def _length(self, x: Array, step: Array, price: float, promised: float) -> float:
        """Of the step: halved until a tenth of what was promised comes true; 0: that is lost in rounding."""
        value, length = self._value(x, price), 1.0
        while self._value(x + length * step, price) > value - 0.1 * length * promised:
            length /= 2
            if length < 1e-9:
                return 0.0
        return length

    def _spread(self, weights: Array) -> Array:
        """W - J."""
        return np.asarray(self._eye - (self._a * weights) @ self._a.T - 1.0 / len(self._a))

    def _value(self, x: Array, price: float) -> float:
        weights, s = x[:-1], x[-1]
        spread = self._spread(weights)
        try:
            factors = [np.linalg.cholesky(s * self._eye + sign * spread) for sign in (-1.0, 1.0)]
        except np.linalg.LinAlgError:
            return inf
        value = price * s - 2.0 * sum(float(np.log(np.diag(factor)).sum()) for factor in factors)
        if self._nonnegative:
            entries = np.append(weights, 1.0 - self._ends @ weights)
            if entries.min() <= 0.0:
                return inf
            value -= float(np.log(entries).sum())
        return float(value)

    def _derivatives(self, x: Array, price: float) -> tuple[Array, Array]:
        """Gradient (m + 1,) and Hessian (m + 1, m + 1) of `_value`."""
        a, ends, weights, s = self._a, self._ends, x[:-1], x[-1]
        spread = self._spread(weights)
        above, below = np.linalg.inv(s * self._eye - spread), np.linalg.inv(s * self._eye + spread)
        pa, na = above @ a, below @ a
        slope = np.append((a * (na - pa)).sum(axis=0), price - np.trace(above) - np.trace(below))
        curvature = np.empty((len(x), len(x)))
        curvature[:-1, :-1] = (a.T @ pa) ** 2 + (a.T @ na) ** 2
        curvature[:-1, -1] = curvature[-1, :-1] = (pa**2 - na**2).sum(axis=0)
        curvature[-1, -1] = (above**2).sum() + (below**2).sum()
        if self._nonnegative:
            diagonal = 1.0 / (1.0 - ends @ weights)
            slope[:-1] += ends.T @ diagonal - 1.0 / weights
            curvature[:-1, :-1] += (ends.T * diagonal**2) @ ends + np.diag(weights**-2.0)
        return slope, curvature
