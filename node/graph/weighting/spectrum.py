"""What the eigenvalues of a graph promise: how fast a mean spreads, and in how many hops it can be exact."""

from __future__ import annotations

from math import ceil, log
from typing import Protocol

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from node.graph.weighting.rows import Graph

TIES = 9  # decimals: products that differ behind them are equal, and the smallest value is taken on every machine
SAME = 1e-9  # relative to the largest: eigenvalues nearer than that are one (eigvalsh errs by about n * 1e-16)
NEAR, ROUNDED = 1e-5, ("fmmc", "fdla", "sinkhorn")  # the same for schemes whose weights are rounded to 1e-6
ALIKE = 1e-12  # entries of W, M, M M^T: n = 1024 sums of float64 give 1e-13

SQUARES = 40  # of W: 10^12 rounds; a path of 1024 takes 2 * 10^6
NEVER = "contraction is {}: no number of rounds mixes this graph"


class Weighted(Protocol):
    """What exact mixing looks at; `node.graph.topology.Topology` is one."""

    @property
    def weights(self) -> str: ...
    def matrix(self) -> NDArray[np.float64]: ...


def contraction(w: NDArray[np.float64]) -> float:
    """What a late round leaves of a spread: the largest |eigenvalue| of W but the one of agreement.

    max(|lambda_2|, |lambda_n|) of a symmetric W, and then what *every* round leaves at the most; see
    `contraction_of_a_round` for a W that is not normal.

    Args:
        w: (n, n), rows sum to 1. Doubly stochastic, or with a stationary distribution above 0 (data sizes): spreads are
            then measured in its weights.
    """
    m = _deviation(w)
    return _norm(m) if _is_normal(m) else float(np.abs(np.linalg.eigvals(m)).max())


def contraction_of_a_round(w: NDArray[np.float64]) -> float:
    """What one round leaves of a spread, for the worst start: the 2-norm of W - J (w as in `contraction`).

    Equal to `contraction` where W is symmetric or otherwise normal, above it where not; 1 or more does not mean that
    the graph never mixes.
    """
    return _norm(_deviation(w))


def contraction_of_pushes(p: NDArray[np.float64]) -> float:
    """Second largest |eigenvalue| of a column-stochastic P (n, n): what a late round leaves of push-sum's spread.

    P need not be normal: single rounds may do better or worse.
    """
    return contraction(np.asarray(p.T))


def interval(w: NDArray[np.float64]) -> tuple[float, float]:
    """The smallest and the second largest eigenvalue of a symmetric W (n, n)."""
    ordered = np.linalg.eigvalsh(w)
    return float(ordered[0]), float(ordered[-2])


def spectral_gap(w: NDArray[np.float64]) -> float:
    """1 - contraction; 1 is exact in one round, 0 never mixes."""
    return 1.0 - contraction(w)


def rounds_to(w: NDArray[np.float64], epsilon: float = 1e-3) -> int:
    """Rounds after which the spread of *any* start is at most `epsilon` times what it was.

    That is the smallest t with |W^t - J| <= epsilon, which is contraction^t on a normal W. The worst start takes just
    that long (to 1e-3: ring of 16 133, path of 10 209); a random one is there sooner (114, 176): only a part of it lies
    along the slowest eigenvector.

    Args:
        w: as in `contraction`.
        epsilon: above 0 and below 1.

    Returns:
        at least 1; 0 only on one node.

    Raises:
        ValueError: W does not contract (contraction of 1: not connected).
    """
    if len(w) < 2:
        return 0
    m = _deviation(w)
    if not _is_normal(m):
        return _rounds_by_products(m, epsilon)
    rate = _norm(m)
    if rate >= 1.0 - ALIKE:
        raise ValueError(NEVER.format(rate))
    if rate <= epsilon:
        return 1
    return ceil(log(epsilon) / log(rate) - 1e-9)  # the slack keeps a rate of 0.1 at 3 rounds, not 4


def stationary(w: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each node's start counts in the end (n,), sums to 1: pi W = pi. Just 1/n where W is doubly stochastic.

    Without a subtraction, so that every digit counts however slowly W mixes (a linear solve on a path of 1024 leaves
    six, too few to see that W is reversible).

    Raises:
        ValueError: no such weights above 0: some starts are forgotten, or the graph is in parts.

    References:
        Grassmann, Taksar, Heyman 1985, Regenerative Analysis and Steady State Distributions for Markov Chains.
    """
    n = len(w)
    if np.abs(w.sum(axis=0) - 1.0).max() < ALIKE:
        return np.full(n, 1.0 / n)
    left = w.copy()
    for last in range(n - 1, 0, -1):  # without the last node, its visits cut short
        if not left[last, :last].sum() > 0.0:
            raise ValueError("W has no stationary distribution above 0: not all nodes hear of each other")
        left[:last, last] /= left[last, :last].sum()
        left[:last, :last] += np.outer(left[:last, last], left[last, :last])
    pi = np.ones(n)
    for last in range(1, n):
        pi[last] = pi[:last] @ left[:last, last]
    if not pi.min() > 0.0:
        raise ValueError("W has no stationary distribution above 0: not all nodes hear of each other")
    return np.asarray(pi / pi.sum())


def _deviation(w: NDArray[np.float64]) -> NDArray[np.float64]:
    """W - J (n, n), in coordinates where a W that is reversible for its stationary pi is symmetric.

    D^1/2 (W - 1 pi) D^-1/2 with D = diag(pi): the same eigenvalues, and its 2-norm is that of W - 1 pi between spreads
    measured by sum_i pi_i |x_i - mean|^2.
    """
    pi = stationary(w)
    if pi.min() == pi.max():
        return np.asarray(w - 1.0 / len(w))
    root = np.sqrt(pi)
    return np.asarray(w * (root[:, None] / root) - np.outer(root, root))


def _is_symmetric(m: NDArray[np.float64]) -> bool:
    return bool(np.abs(m - m.T).max() < ALIKE)


def _is_normal(m: NDArray[np.float64]) -> bool:
    return _is_symmetric(m) or bool(np.abs(m @ m.T - m.T @ m).max() < ALIKE)


def _norm(m: NDArray[np.float64]) -> float:
    """2-norm; of a symmetric M by its eigenvalues: 0.15 s at n = 1024, singular values take 0.6."""
    return float(np.abs(np.linalg.eigvalsh(m)).max() if _is_symmetric(m) else np.linalg.norm(m, 2))


def _rounds_by_products(m: NDArray[np.float64], epsilon: float) -> int:
    """Smallest t with |M^t| <= epsilon: squares of M until one is small enough, then the way back by halves.

    The norm never rises from round to round where |M| <= 1, as for every doubly stochastic W >= 0.
    """
    squares = [m]
    while not _is_within(squares[-1], epsilon):
        if len(squares) > SQUARES:
            raise ValueError(NEVER.format("1"))
        squares.append(squares[-1] @ squares[-1])
    if len(squares) == 1:
        return 1
    rounds, product = 2 ** (len(squares) - 2), squares[-2]  # the last known to be too few
    for place in range(len(squares) - 3, -1, -1):
        longer = product @ squares[place]
        if not _is_within(longer, epsilon):
            rounds, product = rounds + 2**place, longer
    return int(rounds + 1)


def _is_within(m: NDArray[np.float64], epsilon: float) -> bool:
    """|M|_2 <= epsilon; eigenvalues are asked for only where the sum of squares leaves doubt."""
    squares = float(np.linalg.norm(m)) ** 2
    if squares <= epsilon**2:
        return True
    if not squares <= epsilon**2 * len(m):
        return False
    return float(np.linalg.eigvalsh(m.T @ m)[-1]) <= epsilon**2


def laplacian(topology: Graph) -> NDArray[np.float64]:
    """L = D - A (n, n) in the order of `topology.nodes`; it does not depend on the weight rule."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(topology.nodes)
    graph.add_edges_from(topology.edges)
    adjacency = nx.to_numpy_array(graph, nodelist=topology.nodes, dtype=np.dtype(np.float64))
    return np.asarray(np.diag(adjacency.sum(axis=1)) - adjacency)


def exact_steps(topology: Weighted) -> tuple[float, ...]:
    """Distinct non-zero eigenvalues of I - W in Leja order; hops `x <- x - (I - W) x / mu`, one each, give the mean.

    The mean is W's own: weighted by the data with `weights: data_size`. The order does not matter on paper. In float32
    Leja's keeps the partial products small: on a ring of 64 (32 hops) it leaves 2e-6 of the spread, a rising order
    multiplies the spread by 2e6.

    References:
        Sandryhaila, Kar, Moura 2014, Finite-time distributed consensus through graph filters: with the Laplacian. I - W
        is that on a regular graph, but for a factor, and far better where degrees differ: a clique of 12 with a tail of
        12 keeps 5e-6 of a spread instead of multiplying it by 4e3.
        Reichel 1990, Newton interpolation at Leja points (the order).
    """
    w = topology.matrix()
    gaps = np.eye(len(w)) - w
    values = np.linalg.eigvalsh(gaps) if _is_symmetric(w) else np.sort(np.linalg.eigvals(gaps).real)
    near = NEAR if topology.weights in ROUNDED else SAME
    distinct: list[float] = []
    for value in values[values > near * values[-1]]:
        if not distinct or value - distinct[-1] > near * values[-1]:
            distinct.append(float(value))
    return _leja(distinct)


def exact_error(topology: Weighted, starts: int = 16) -> float:
    """Distance to the exact mean that the hops leave of random starts, in float32, by the spread before.

    About 1e-7 where exact mixing works (torus of 16: 3e-8), 1e-4 on a ring of 1024, inf where it overflows.
    """
    w = topology.matrix()
    x = np.random.default_rng(0).standard_normal((len(w), starts)).astype(np.float32)
    mean = stationary(w) @ x.astype(np.float64)
    before = np.linalg.norm(x - mean)
    gaps = (np.eye(len(w)) - w).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for value in exact_steps(topology):
            x = x - gaps @ x / np.float32(value)
        left = float(np.linalg.norm(x - mean) / before)
    return left if np.isfinite(left) else float("inf")


def _leja(values: list[float]) -> tuple[float, ...]:
    """The largest first, then always the one whose distances to those before have the largest product (in logs)."""
    if not values:
        return ()
    points = np.array(values)
    left = np.ones(len(points), dtype=bool)
    spread = np.log(points)
    order: list[float] = []
    for _ in values:
        best = int(np.argmax(np.where(left, np.round(spread, TIES), -np.inf)))
        left[best] = False
        order.append(values[best])
        with np.errstate(divide="ignore"):
            spread = spread + np.log(np.abs(points - points[best]))
    return tuple(order)
