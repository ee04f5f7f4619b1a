"""Graphs with levels or groups: trees, cliques that are joined, groups of groups."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from math import isqrt

from node.errors import ConfigError
from node.graph.checks import at_least, check_edges, whole
from node.graph.wiring import Pairs, Wiring, named, pair
from node.types import PeerId


def tree(ids: Sequence[PeerId], branching: int = 2) -> Wiring:
    """The first node on top, each node above `branching` others, filled level by level.

    Fewest edges (n - 1), diameter 2 log(n); but every inner node is a cut, and rounds grow as n.

    Args:
        branching: 2 to n - 1 (1 is a path, n - 1 a star).
    """
    at_least(ids, 3, "tree")
    n, branching = len(ids), whole(branching, "branching")
    if not 2 <= branching < n:
        raise ConfigError(f"tree: branching {branching} of {n} nodes; wanted 2 to {n - 1} (1 is generator: path)")
    return named(ids, {((i - 1) // branching, i) for i in range(1, n)})


def double_binary_tree(ids: Sequence[PeerId]) -> Wiring:
    """Two binary trees over all nodes; the leaves of one are inner nodes of the other (n even). Both as one graph.

    Degree 4 at most (5 at one node where n is odd), diameter below 2 log2(n), and no node is a cut from 4 on.

    References:
        Sanders, Speck, Traeff 2009, Two-tree algorithms for full bandwidth broadcast, reduction and scan (NCCL's
        allreduce works on it). The first tree is the in-order one of places 0 to n - 1 with 0 on top, so odd places
        are its leaves; the second is its mirror image (n even) or the first moved on by one place (n odd).
        Difference: a graph for gossip, without roots and without halves of the data.
    """
    at_least(ids, 3, "double_binary_tree")
    n = len(ids)
    first = {(i, _above(i, n)) for i in range(1, n)}
    second = {(n - 1 - i, n - 1 - j) if n % 2 == 0 else ((i + 1) % n, (j + 1) % n) for i, j in first}
    return named(ids, {pair(i, j) for i, j in first | second})


def two_cliques(ids: Sequence[PeerId]) -> Wiring:
    """Two halves, complete inside, and a single edge between them: the worst bottleneck; rounds grow as n^2."""
    at_least(ids, 4, "two_cliques")
    n = len(ids)
    groups = _split(range(n), 2)
    check_edges("two_cliques", n, _inside(groups))
    return named(ids, _cliques(groups) | {(groups[0][-1], groups[1][0])})


def clusters(ids: Sequence[PeerId], count: int | None = None) -> Wiring:
    """`count` cliques on a circle: the last node of each is joined to the first of the next.

    Degree about n / count, diameter about 3 count / 2. Clinics in cities: much to say at home, little beyond.

    Args:
        count: 2 to n / 2; by default sqrt(n), rounded down.
    """
    at_least(ids, 4, "clusters")
    n = len(ids)
    count = isqrt(n) if count is None else whole(count, "count")
    if not 2 <= count <= n // 2:
        raise ConfigError(f"clusters: count {count} of {n} nodes; wanted 2 to {n // 2}")
    groups = _split(range(n), count)
    check_edges("clusters", n, _inside(groups) + count)
    return named(ids, _cliques(groups) | {pair(groups[k - 1][-1], groups[k][0]) for k in range(count)})


def hierarchical(ids: Sequence[PeerId], group: int = 4) -> Wiring:
    """Cliques of `group` nodes; the first of each meet in cliques of `group` again, and so on up to one clique.

    Degree group - 1 for most, more at the heads; diameter 2 log(n) / log(group). A head that stops cuts its group off.

    Args:
        group: 2 to n; groups are at most that large and differ by one at most.
    """
    at_least(ids, 3, "hierarchical")
    n, group = len(ids), whole(group, "group")
    if not 2 <= group <= n:
        raise ConfigError(f"hierarchical: group {group} of {n} nodes; wanted 2 to {n}")
    levels: list[list[Sequence[int]]] = []
    heads: Sequence[int] = range(n)
    while len(heads) > 1:
        levels.append(_split(heads, -(-len(heads) // group)))
        heads = [members[0] for members in levels[-1]]
    check_edges("hierarchical", n, sum(map(_inside, levels)))
    return named(ids, set().union(*map(_cliques, levels)))


def _above(i: int, n: int) -> int:
    """Parent of place i > 0 in the in-order tree of n places with 0 on top.

    A place with k trailing zero bits hangs below the neighbour, 2^k away, that has more of them; where that one lies
    beyond the end, below the neighbour before.
    """
    low = i & -i
    up = i - low if i & (low << 1) else i + low
    return up if up < n else i - low


def _split(places: Sequence[int], count: int) -> list[Sequence[int]]:
    """`count` runs of `places`, the first ones larger by one where it does not come out even."""
    size, larger = divmod(len(places), count)
    starts = [k * size + min(k, larger) for k in range(count + 1)]
    return [places[a:b] for a, b in pairwise(starts)]


def _inside(groups: Sequence[Sequence[int]]) -> int:
    return sum(len(members) * (len(members) - 1) // 2 for members in groups)


def _cliques(groups: Sequence[Sequence[int]]) -> Pairs:
    return {pair(i, j) for members in groups for i, j in combinations(members, 2)}
