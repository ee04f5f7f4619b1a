"""Rows of W: what a weight scheme looks at, what it hands back, and the two ways to make rows that sum to 1.

A scheme decides the weights of edges; here the diagonal takes the rest. Knows no scheme by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import fsum
from typing import Protocol, TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from node.errors import ConfigError
from node.graph.wiring import Edge, link
from node.types import PeerId, Weights

Rows: TypeAlias = Mapping[PeerId, Weights]  # own id included, ids sorted

DIRECTED = "sinkhorn, push_sum, or uniform where every node hears and tells equally many"


class Graph(Protocol):
    """What a weight scheme looks at; `node.graph.topology.Topology` is one."""

    @property
    def nodes(self) -> Sequence[PeerId]: ...
    @property
    def edges(self) -> Sequence[Edge]: ...  # undirected: the smaller id first; directed: (sender, receiver)
    @property
    def directed(self) -> bool: ...
    @property
    def weights(self) -> str: ...
    @property
    def edge_weights(self) -> Mapping[Edge, float]: ...
    @property
    def sizes(self) -> Mapping[PeerId, float]: ...
    def hears(self, peer: PeerId) -> tuple[PeerId, ...]: ...
    def tells(self, peer: PeerId) -> tuple[PeerId, ...]: ...


def undirected(graph: Graph, scheme: str) -> None:
    """Refuse a directed graph.

    Raises:
        ConfigError: naming the schemes that take one.
    """
    if graph.directed:
        raise ConfigError(f"weights: {scheme} on a directed graph; wanted {DIRECTED}")


def strongly_connected(graph: Graph, scheme: str) -> None:
    """Refuse a directed graph with an edge that no way leads back over; every other edge lies on a cycle.

    Raises:
        ConfigError: naming the edge.
    """
    if not graph.directed:
        return
    found = nx.strongly_connected_components(nx.DiGraph(list(graph.edges)))
    part = {peer: i for i, peers in enumerate(found) for peer in peers}
    for a, b in graph.edges:
        if part[a] != part[b]:
            raise ConfigError(
                f"weights: {scheme}: no way leads back over the edge from '{a}' to '{b}'; wanted edges by which "
                "everyone hears of everyone"
            )


def with_rest(peer: PeerId, heard: Mapping[PeerId, float]) -> Weights:
    """The row of `peer` that gives `heard` its weights and itself what is left of 1."""
    return dict(sorted({**heard, peer: 1.0 - fsum(heard.values())}.items()))


def rows_by(graph: Graph, weight: Callable[[PeerId, PeerId], float]) -> Rows:
    """Rows from `weight(receiver, sender)` of each edge."""
    return {p: with_rest(p, {q: weight(p, q) for q in graph.hears(p)}) for p in graph.nodes}


def from_counts(graph: Graph, counts: Mapping[Edge, int], unit: int) -> Rows:
    """Rows from whole numbers: an edge weighs counts / unit, so that sums are exact before the one division."""
    rows = {}
    for p in graph.nodes:
        heard = {q: counts[edge_of(graph, q, p)] for q in graph.hears(p)}
        rows[p] = dict(sorted({q: c / unit for q, c in {**heard, p: unit - sum(heard.values())}.items()}.items()))
    return rows


def edge_of(graph: Graph, sender: PeerId, receiver: PeerId) -> Edge:
    """How `graph.edges` writes the edge that `receiver` hears `sender` over."""
    return (sender, receiver) if graph.directed else link(sender, receiver)


def dense(graph: Graph, rows: Rows) -> NDArray[np.float64]:
    """Sparse rows -> (n, n) in the order of `graph.nodes`."""
    place = {peer: i for i, peer in enumerate(graph.nodes)}
    w = np.zeros((len(place), len(place)))
    for peer, row in rows.items():
        for other, weight in row.items():
            w[place[peer], place[other]] = weight
    return w
