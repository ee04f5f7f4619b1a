"""Edge colouring: a graph cut into few matchings, so that nobody has two partners at once.

Decides the cut only; which matching is used when, and with what weight, is a schedule's business. The same pairs give
the same cut everywhere: nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import networkx as nx

from node.graph.wiring import pair

Matching: TypeAlias = list[tuple[int, int]]  # pairs of positions without a common end, sorted
At: TypeAlias = list[dict[int, int]]  # position -> {colour: the neighbour over the edge of that colour}


def matchings_of(n: int, pairs: Sequence[tuple[int, int]]) -> list[Matching]:
    """Disjoint matchings that make up `pairs`: as many as the largest degree, one more at most if not bipartite.

    References:
        Koenig 1916 (bipartite: chains of two colours, swapped); Misra, Gries 1992, A constructive proof of Vizing's
        theorem. Matchings come by number of their colour, and edges are coloured in sorted order.
    """
    at: At = [{} for _ in range(n)]
    degree = [0] * n
    for i, j in pairs:
        degree[i], degree[j] = degree[i] + 1, degree[j] + 1
    two_sided = _is_bipartite(n, pairs)
    for i, j in sorted(pairs):
        if two_sided:
            _colour_across(at, i, j)
        else:
            _colour_by_fan(at, i, j)
    colours = sorted({colour for ends in at for colour in ends})
    return [sorted({pair(i, ends[c]) for i, ends in enumerate(at) if c in ends}) for c in colours]


def _colour_across(at: At, i: int, j: int) -> None:
    """Koenig's step: where the first free colours differ, swap a chain from j, which cannot reach i."""
    mine, theirs = _free(at, i), _free(at, j)
    if mine in at[j]:
        _swap_chain(at, j, mine, theirs)
    at[i][mine], at[j][mine] = j, i


def _colour_by_fan(at: At, u: int, v: int) -> None:
    """Misra and Gries' step: a fan of edges at u that can be rotated, and one swapped chain."""
    colour_to = {other: colour for colour, other in at[u].items()}
    fan = _fan(at, v, colour_to)
    ours, last = _free(at, u), _free(at, fan[-1])
    if last in at[u]:
        _swap_chain(at, u, last, ours)
        colour_to = {other: colour for colour, other in at[u].items()}
    end = next(i for i, w in enumerate(fan) if last not in at[w])  # its start is a fan still
    moved = [colour_to[w] for w in fan[1 : end + 1]]
    for w, colour in zip(fan[1 : end + 1], moved, strict=True):
        del at[u][colour], at[w][colour]
    for w, colour in zip(fan[: end + 1], [*moved, last], strict=True):
        at[u][colour], at[w][colour] = w, u


def _fan(at: At, v: int, colour_to: dict[int, int]) -> list[int]:
    """Neighbours of u from v on, each joined to u by a colour that the one before has free; as long as it gets."""
    fan, left = [v], dict(colour_to)
    while True:
        following = next((w for w, colour in sorted(left.items()) if colour not in at[fan[-1]]), None)
        if following is None:
            return fan
        fan.append(following)
        del left[following]


def _swap_chain(at: At, start: int, first: int, second: int) -> None:
    """Exchange two colours along the path from `start` that begins with `first`; `second` is free at `start`."""
    path, colour = [start], first
    while colour in at[path[-1]]:
        path.append(at[path[-1]][colour])
        colour = second if colour == first else first
    steps = [(a, b, second if place % 2 else first) for place, (a, b) in enumerate(pairwise(path))]
    for a, b, colour in steps:
        del at[a][colour], at[b][colour]
    for a, b, colour in steps:
        other = second if colour == first else first
        at[a][other], at[b][other] = b, a


def _free(at: At, i: int) -> int:
    return next(colour for colour in range(len(at[i]) + 1) if colour not in at[i])


def _is_bipartite(n: int, pairs: Sequence[tuple[int, int]]) -> bool:
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(pairs)
    return bool(nx.is_bipartite(graph))
