"""Graphs from the literature that come in one shape each: an expander, and two networks of people."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import networkx as nx

from node.errors import ConfigError
from node.graph.wiring import Wiring, named, pair
from node.types import PeerId

PEOPLE = {"karate": 34, "florentine": 15}  # family -> the only size that it has


def margulis(ids: Sequence[PeerId]) -> Wiring:
    """An expander on m x m nodes, filled row by row: degree 8 at most, and a spectral gap that does not shrink with n.

    (x, y) is joined to (x +- 2 y, y), (x +- (2 y + 1), y), (x, y +- 2 x) and (x, y +- (2 x + 1)), modulo m.

    References:
        Margulis 1973, Explicit constructions of concentrators; Gabber, Galil 1981, Explicit constructions of
        linear-sized superconcentrators (the bound lambda_2 <= 5 sqrt(2) of 8). Difference: edges that meet or lead
        back to their own node are dropped, so some nodes have fewer than 8 (m = 2: 2, else 4 at least).
    """
    n = len(ids)
    m = isqrt(n)
    if m < 2 or m * m != n:
        low = max(m, 2)
        raise ConfigError(f"margulis: {n} nodes; wanted a square ({low**2} or {(low + 1) ** 2})")
    graph = nx.margulis_gabber_galil_graph(m)
    return named(ids, {pair(a * m + b, c * m + d) for (a, b), (c, d) in graph.edges() if (a, b) != (c, d)})


def karate(ids: Sequence[PeerId]) -> Wiring:
    """Who met whom in a karate club: 34 nodes, 78 edges, degree 1 to 17, diameter 5. Two groups around two heads.

    References:
        Zachary 1977, An Information Flow Model for Conflict and Fission in Small Groups. Difference: how often they met
        is left out. The first node is the instructor, the last the president.
    """
    _exactly(ids, "karate")
    return named(ids, {pair(int(i), int(j)) for i, j in nx.karate_club_graph().edges()})


def florentine(ids: Sequence[PeerId]) -> Wiring:
    """Marriages between families of Florence about 1430: 15 nodes, 20 edges, degree 1 to 6, diameter 5.

    Families stand in the order of the alphabet (the ninth, n8, is Medici, with the most edges).

    References:
        Padgett, Ansell 1993, Robust Action and the Rise of the Medici; Breiger, Pattison 1986 (the edges).
    """
    _exactly(ids, "florentine")
    graph = nx.florentine_families_graph()
    place = {family: i for i, family in enumerate(sorted(graph))}
    return named(ids, {pair(place[a], place[b]) for a, b in graph.edges()})


def _exactly(ids: Sequence[PeerId], family: str) -> None:
    if len(ids) != PEOPLE[family]:
        raise ConfigError(f"{family}: {len(ids)} nodes; wanted {PEOPLE[family]}, there is one such graph")
