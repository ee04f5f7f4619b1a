"""The mixing matrix W of a graph: how much each neighbour counts with us, by the scheme that the topology names.

The table of schemes, and the check that a W keeps what its scheme promises. Knows ids and edges, nothing of files or
addresses; rows are sparse, because a node needs only its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import fsum, isclose, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.errors import ConfigError
from node.graph.weighting import balancing, degree_weights, optimal_weights
from node.graph.weighting.degree_weights import TOLERANCE, metropolis_row
from node.graph.weighting.rows import Graph, Rows, dense, strongly_connected
from node.graph.weighting.spectrum import contraction
from node.types import PeerId, Weights

UNBALANCED = ("data_size",)  # columns need not sum to 1: all agree on another mean than the plain one
PUSH_SUM = "push_sum"  # the scheme whose columns sum to 1, not rows: for gossip.mixing: push-sum

WEIGHTS: dict[str, Callable[[Any], Rows]] = {  # name under `weights:` -> graph -> rows of W
    "metropolis": degree_weights.metropolis,
    "uniform": degree_weights.uniform,
    "lazy": degree_weights.lazy,
    "max_degree": degree_weights.max_degree,
    "best_constant": optimal_weights.best_constant,
    "fmmc": optimal_weights.fmmc,
    "fdla": optimal_weights.fdla,
    "sinkhorn": balancing.sinkhorn,
    "data_size": degree_weights.data_size,
    "file": degree_weights.file,
    PUSH_SUM: degree_weights.push_sum,
}


def rows_of(graph: Graph) -> Rows:
    """All rows of W (of P for push_sum), each with its own id, ids sorted.

    Raises:
        ConfigError: a graph that the scheme does not fit, in one line.
    """
    return WEIGHTS[graph.weights](graph)


def row_of(graph: Graph, peer: PeerId) -> Weights:
    """Row of W of one peer, own id included, in sorted order of ids."""
    return metropolis_row(graph, peer) if graph.weights == "metropolis" else rows_of(graph)[peer]


def matrix(graph: Graph) -> NDArray[np.float64]:
    """W (n, n) in the order of `graph.nodes`, by the scheme that the topology names."""
    return dense(graph, rows_of(graph))


def push_sum_matrix(graph: Graph) -> NDArray[np.float64]:
    """P (n, n) of push-sum in the order of `graph.nodes`, whatever W the topology names."""
    return dense(graph, degree_weights.push_sum(graph))


def check_weights(graph: Graph, rows: Rows) -> None:
    """Refuse a W that breaks the promise of its scheme, moves the mean or amplifies.

    Rows and columns must sum to 1 (see UNBALANCED and PUSH_SUM for who is excused), entries be finite and symmetric
    where the graph is undirected, and a W that is not plainly safe (an entry of an edge or the diagonal at 0 or below)
    must have a contraction below 1.

    Raises:
        ConfigError: naming the first row or pair that breaks it.
    """
    scheme = graph.weights
    for peer, row in rows.items():
        for other, weight in row.items():
            if not isfinite(weight):
                raise ConfigError(f"W: {weight} from '{other}' to '{peer}'; wanted a finite number")
    if not graph.directed and scheme not in (*UNBALANCED, PUSH_SUM):
        _check_symmetric(rows)
    if scheme != PUSH_SUM:
        _check_sums(rows, "row")
    if scheme == PUSH_SUM:
        strongly_connected(graph, scheme)
    if scheme not in UNBALANCED:
        _check_sums(_turned(rows), "column")
    if any(weight <= 0.0 for row in rows.values() for weight in row.values()):
        _check_contracts(graph, rows)


def _check_symmetric(rows: Rows) -> None:
    for peer, row in rows.items():
        for other, weight in row.items():
            back = rows[other].get(peer, 0.0)
            if weight != back:
                raise ConfigError(f"W: {weight} from '{other}' to '{peer}' but {back} back; wanted a symmetric W")


def _check_sums(lines: Mapping[PeerId, Weights], kind: str) -> None:
    for peer, line in lines.items():
        if not isclose(fsum(line.values()), 1.0, abs_tol=TOLERANCE):
            raise ConfigError(f"W: the {kind} of '{peer}' sums to {fsum(line.values())}; wanted 1")


def _turned(rows: Rows) -> Rows:
    columns: dict[PeerId, dict[PeerId, float]] = {peer: {} for peer in rows}
    for peer, row in rows.items():
        for other, weight in row.items():
            columns[other][peer] = weight
    return columns


def _check_contracts(graph: Graph, rows: Rows) -> None:
    rate = contraction(dense(graph, rows))
    if not rate < 1.0 - TOLERANCE:
        peer, other, least = min(
            ((p, q, w) for p, row in rows.items() for q, w in row.items()), key=lambda pair: pair[2]
        )
        place = f"'{other}' to '{peer}'" if peer != other else f"'{peer}' to itself"
        raise ConfigError(f"W: {least:.6g} from {place}, and a contraction of {rate:.6g}; wanted a contraction below 1")
