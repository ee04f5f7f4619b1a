"""What the eigenvalues of a graph promise: how fast a mean spreads, and in how many hops it can be exact."""

from __future__ import annotations

from math import ceil, log

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from node.graph.topology import Topology

SAME = 1e-9  # relative to the largest: eigenvalues nearer than that are one (eigvalsh errs by about n * 1e-16)


def contraction(w: NDArray[np.float64]) -> float:
    """max(|lambda_2|, |lambda_n|) of a symmetric doubly stochastic W (n, n): what a round leaves of a spread."""
    ordered = np.linalg.eigvalsh(w)
    return float(max(abs(ordered[0]), abs(ordered[-2]))) if len(ordered) > 1 else 0.0


def contraction_of_pushes(p: NDArray[np.float64]) -> float:
    """Second largest |eigenvalue| of a column-stochastic P (n, n): what a late round leaves of push-sum's spread.

    P need not be normal: single rounds may do better or worse.
    """
    ordered = np.sort(np.abs(np.linalg.eigvals(p)))
    return float(ordered[-2]) if len(ordered) > 1 else 0.0


def spectral_gap(w: NDArray[np.float64]) -> float:
    """1 - contraction; 1 is exact in one round, 0 never mixes."""
    return 1.0 - contraction(w)


def rounds_to(w: NDArray[np.float64], epsilon: float = 1e-3) -> int:
    """Rounds after which the spread of *any* start is at most `epsilon` times what it was.

    That is the smallest t with contraction^t <= epsilon. The worst start takes just that long (to 1e-3: ring of 16 133,
    path of 10 209); a random one is there sooner (114, 176): only a part of it lies along the slowest eigenvector.

    Args:
        epsilon: above 0 and below 1.

    Returns:
        at least 1; 0 only on one node.

    Raises:
        ValueError: W does not contract (contraction of 1: not connected).
    """
    rate = contraction(w)
    if len(w) < 2:
        return 0
    if rate <= epsilon:
        return 1
    if rate >= 1.0 - 1e-12:
        raise ValueError(f"contraction is {rate}: no number of rounds mixes this graph")
    return ceil(log(epsilon) / log(rate) - 1e-9)  # the slack keeps a rate of 0.1 at 3 rounds, not 4


def laplacian(topology: Topology) -> NDArray[np.float64]:
    """L = D - A (n, n) in the order of `topology.nodes`; it does not depend on the weight rule."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(topology.nodes)
    graph.add_edges_from(topology.edges)
    adjacency = nx.to_numpy_array(graph, nodelist=topology.nodes, dtype=np.dtype(np.float64))
    return np.asarray(np.diag(adjacency.sum(axis=1)) - adjacency)


def exact_steps(topology: Topology) -> tuple[float, ...]:
    """Distinct non-zero Laplacian eigenvalues in Leja order; hops `x <- x - L x / lambda`, one each, end at the mean.

    The order does not matter on paper. In float32 Leja's keeps the partial products small: on a ring of 64 (32
    hops) it leaves 2e-6 of the spread, a rising order multiplies the spread by 2e6.

    References:
        Sandryhaila, Kar, Moura 2014, Finite-time distributed consensus through graph filters;
        Reichel 1990, Newton interpolation at Leja points (the order).
    """
    values = np.linalg.eigvalsh(laplacian(topology))
    distinct: list[float] = []
    for value in values[values > SAME * values[-1]]:
        if not distinct or value - distinct[-1] > SAME * values[-1]:
            distinct.append(float(value))
    return _leja(distinct)


def exact_error(topology: Topology, starts: int = 16) -> float:
    """Distance to the exact mean that the hops leave of random starts, in float32, by the spread before.

    About 1e-7 where exact mixing works (torus of 16: 3e-8), 1e-4 on a ring of 1024, inf where it overflows.
    """
    n = len(topology.nodes)
    lap = laplacian(topology).astype(np.float32)
    x = np.random.default_rng(0).standard_normal((n, starts)).astype(np.float32)
    mean = x.mean(axis=0, dtype=np.float64)
    before = np.linalg.norm(x - mean)
    with np.errstate(over="ignore", invalid="ignore"):
        for value in exact_steps(topology):
            x = x - lap @ x / np.float32(value)
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
        best = int(np.argmax(np.where(left, spread, -np.inf)))
        left[best] = False
        order.append(values[best])
        with np.errstate(divide="ignore"):
            spread = spread + np.log(np.abs(points - points[best]))
    return tuple(order)
