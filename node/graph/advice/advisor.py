"""Which edges a graph lacks most: the pairs whose joining closes the spectral gap's distance to 1 furthest.

Decides on pairs only; knows nothing of latencies (see `node.graph.advice.fastest`) or files. A pair that neither end
could dial is never advised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from node.errors import ConfigError
from node.graph.reach import dialler
from node.graph.topology import Topology
from node.graph.weighting.spectrum import SAME, contraction, laplacian, rounds_to
from node.graph.wiring import Edge

SHORTLIST = 24  # pairs whose gap is worked out, of those that the Fiedler vector likes; see tests/graph/test_advisor.py
PATIENT = 64  # nodes up to which the shortlist is that long; beyond, it shrinks as 1 / n: an eigensolve costs n^3
CHEAP = ("metropolis", "lazy", "max_degree", "best_constant")  # fit any graph, without a solver or numbers in the file
MOST_EDGES = 32  # that are advised at once


class Addition(NamedTuple):
    """One edge more."""

    edge: Edge
    gap: float  # spectral gap with this edge and those before it
    rounds: int  # to 1e-3


def added_edges(topology: Topology, count: int = 1) -> tuple[Addition, ...]:
    """The `count` edges to add, one after the other, each the best one given those before it.

    One edge alone may help nothing (the slow eigenvalue of a ring is double, and one edge lifts one of the two): the
    gaps say so, and the next edge makes up for it. Graphs that come close to complete run out of pairs: then fewer.

    Args:
        topology: undirected, no schedule; see `judged` for what its weights are taken as.
        count: 1 to 32.

    Raises:
        ConfigError: a directed graph, a schedule, or a count out of bounds.

    References:
        Ghosh, Boyd 2006, Growing well-connected graphs, eq. 9: greedily the pair with the largest (v_i - v_j)^2, v the
        Fiedler vector of L. Differences: where the smallest eigenvalue is multiple we sum over its eigenvectors (no
        basis of them is special); of the SHORTLIST best pairs the one with the largest gap of *W* is taken, because
        an edge also changes the weights around it, and may lower the gap.
    """
    _check(topology, count)
    graph = judged(topology)
    found: list[Addition] = []
    while len(found) < count and (best := _best(graph)) is not None:
        graph = _joined(graph, best.edge)
        found.append(best)
    return tuple(found)


def judged(topology: Topology) -> Topology:
    """With the weights by which edges are judged: its own, or Metropolis' where a solver makes or a file lists them."""
    return topology if topology.weights in CHEAP else replace(topology, weights="metropolis")


def _check(topology: Topology, count: int) -> None:
    if topology.directed or not topology.edges or topology.schedule is not None:
        what = "a schedule" if topology.schedule is not None else "directed edges" if topology.directed else "no edges"
        raise ConfigError(f"{topology.source}: has {what}; wanted undirected edges to add others to")
    if not 1 <= count <= MOST_EDGES:
        raise ConfigError(f"--edges {count}; wanted 1 to {MOST_EDGES}")


def _best(topology: Topology) -> Addition | None:
    tried = [(pair, _joined(topology, pair).matrix()) for pair in _shortlist(topology)]
    if not tried:
        return None
    edge, w = max(tried, key=lambda t: round(1.0 - contraction(t[1]), 12))  # the first of equals: best liked, sorted
    return Addition(edge, 1.0 - contraction(w), rounds_to(w))


def _shortlist(topology: Topology) -> list[Edge]:
    """Pairs that are not joined and could be, those furthest apart along the slow eigenvectors first."""
    ids, n = topology.nodes, len(topology.nodes)
    score = np.round(_apart(slow_vectors(topology)), 9)
    order = np.argsort(-score, axis=None, kind="stable")
    missing: list[Edge] = []
    wanted = max(2, SHORTLIST * PATIENT // max(n, PATIENT))
    joined = set(topology.edges)
    for place in order:
        i, j = divmod(int(place), n)
        pair = (min(ids[i], ids[j]), max(ids[i], ids[j]))
        if i < j and pair not in joined and dialler(*pair, topology.addresses) is not None:
            missing.append(pair)
            if len(missing) == wanted:
                break
    return missing


def slow_vectors(topology: Topology) -> NDArray[np.float64]:
    """(n, m) orthonormal eigenvectors of the smallest non-zero eigenvalue of L; m = 1: the Fiedler vector."""
    values, vectors = np.linalg.eigh(laplacian(topology))
    same = np.abs(values - values[1]) <= SAME * values[-1]
    return np.asarray(vectors[:, same])


def _apart(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, n) squared distances between the rows of (n, m)."""
    gram = vectors @ vectors.T
    squares = np.diag(gram)
    return np.asarray(squares[:, None] + squares[None, :] - 2.0 * gram)


def _joined(topology: Topology, edge: Edge) -> Topology:
    return replace(topology, edges=tuple(sorted((*topology.edges, edge))))


def lines(additions: Sequence[Addition]) -> list[str]:
    """What to paste below `edges:` of the topology file."""
    return [f"  - [{a}, {b}]" for (a, b), _, _ in additions]
