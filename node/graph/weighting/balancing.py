"""Sinkhorn weights: the adjacency matrix, with its diagonal, scaled until rows and columns sum to 1.

Decides the scaling, and how it is rounded so that every build of numpy comes to the same W. Works on directed graphs.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from node.errors import ConfigError
from node.graph.weighting.rows import Graph, Rows, from_counts, strongly_connected
from node.graph.wiring import Edge
from node.types import PeerId

UNIT = 10**9  # weights are multiples of 1 / UNIT; Newton ends within 1e-13
CLOSE = 1e-13  # sums of rows and columns from 1
STEPS = 200  # of Newton; a path of 1024 takes 6, a star 16


def sinkhorn(graph: Graph) -> Rows:
    """W = D (A + I) E with diagonal D, E > 0, doubly stochastic; symmetric (D = E) where the graph is undirected.

    Of all doubly stochastic W on these edges it is the one with the most entropy, and the one whose product of entries
    is largest. A directed graph has one exactly where every edge lies on a cycle: strongly connected.

    Raises:
        ConfigError: an edge on no cycle (no total support), or a weight that rounds to nothing.

    References:
        Sinkhorn, Knopp 1967, Concerning Nonnegative Matrices and Doubly Stochastic Matrices (when it exists; the
        iteration is the slow twin); Knight, Ruiz 2013, A Fast Algorithm for Matrix Balancing (Newton). Differences: on
        the logs of the scales, a dense solve for each step, entries rounded to 1e-9.
    """
    strongly_connected(graph, "sinkhorn")  # undirected: an edge swaps its ends and leaves the others, a cycle
    place = {peer: i for i, peer in enumerate(sorted(graph.nodes))}
    w = scaled(_support(graph, place))
    edges = sorted(graph.edges)
    counts = {(a, b): round(float(w[place[b], place[a]]) * UNIT) for a, b in edges}
    if graph.directed:
        _balance(graph, counts)
    rows = from_counts(graph, counts, UNIT)
    for peer, row in rows.items():
        for other, weight in row.items():
            if weight <= 0.0:
                raise ConfigError(f"weights: sinkhorn gives '{other}' a weight below 1e-9 at '{peer}'; wanted push_sum")
    return rows


def scaled(b: NDArray[np.float64]) -> NDArray[np.float64]:
    """diag(e^r) B diag(e^c), doubly stochastic, for B (n, n) >= 0 with total support and in one piece.

    Newton on the convex sum(e^r B e^c) - sum(r) - sum(c); r is eliminated, and J stands in for the one direction (all r
    up, all c down) that changes nothing.
    """
    n = len(b)
    r, c = -np.log(b.sum(axis=1)), np.zeros(n)
    for _ in range(STEPS):
        w = np.exp(r)[:, None] * b * np.exp(c)
        rows, columns = w.sum(axis=1), w.sum(axis=0)
        if max(np.abs(rows - 1.0).max(), np.abs(columns - 1.0).max()) < CLOSE * n**0.5:
            return np.asarray(w)
        curvature = np.diag(columns) - (w.T / rows) @ w + 1.0 / n
        for_columns = np.linalg.solve(curvature, 1.0 - columns - w.T @ ((1.0 - rows) / rows))
        for_rows = (1.0 - rows - w @ for_columns) / rows
        length = min(1.0, 1.0 / max(np.abs(for_rows).max(), np.abs(for_columns).max()))
        r, c = r + length * for_rows, c + length * for_columns
    raise ConfigError("weights: sinkhorn did not settle on this graph; wanted push_sum")


def _support(graph: Graph, place: dict[PeerId, int]) -> NDArray[np.float64]:
    b = np.eye(len(place))
    for peer in graph.nodes:
        for other in graph.hears(peer):
            b[place[peer], place[other]] = 1.0
    return b


def _balance(graph: Graph, counts: dict[Edge, int]) -> None:
    """Make as much go into each node as out of it: what rounding left over moves along a tree to its root.

    Rows and columns then sum to the same, and the diagonal takes the rest of both. Changes `counts`.
    """
    excess = dict.fromkeys(graph.nodes, 0)
    for (sender, receiver), count in counts.items():
        excess[sender] -= count
        excess[receiver] += count
    tree = list(nx.bfs_edges(nx.Graph(sorted(graph.edges)), min(graph.nodes)))
    for parent, child in reversed(tree):
        if (child, parent) in counts:
            counts[child, parent] += excess[child]
        else:
            counts[parent, child] -= excess[child]
        excess[parent] += excess[child]
