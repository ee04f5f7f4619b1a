"""Graphs with a rule: lines, circles, grids, cubes. Node ids in, edges out; a node's place is its place in the file.

Diameters are in hops. n is the number of nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import isqrt

from node.errors import ConfigError
from node.graph.checks import at_least, check_edges, truth, whole
from node.graph.wiring import Pairs, Wiring, named, pair
from node.types import PeerId

DIRECTIONS = ("bi", "left", "right")


def path(ids: Sequence[PeerId]) -> Wiring:
    """A line in the order of the file. Degree 2, diameter n - 1: the slowest graph, its rounds grow as n^2."""
    at_least(ids, 2, "path")
    return named(ids, {(i, i + 1) for i in range(len(ids) - 1)})


def ring(ids: Sequence[PeerId], direction: str = "bi") -> Wiring:
    """A circle in the order of the file. Degree 2, diameter n / 2; rounds grow as n^2.

    Args:
        direction: bi: everyone tells both neighbours; right: the next in the file only; left: the one before only.
            These two are directed, with a diameter of n - 1.
    """
    at_least(ids, 3, "ring")
    if direction not in DIRECTIONS:
        raise ConfigError(f"ring: direction {str(direction)[:40]!r}; wanted one of {', '.join(DIRECTIONS)}")
    n = len(ids)
    if direction == "bi":
        return named(ids, {pair(i, (i + 1) % n) for i in range(n)})
    step = 1 if direction == "right" else -1
    return named(ids, {(i, (i + step) % n) for i in range(n)}, directed=True)


def star(ids: Sequence[PeerId]) -> Wiring:
    """The first node in the middle. Diameter 2, but the middle carries n - 1 messages, and rounds grow as n."""
    at_least(ids, 2, "star")
    return named(ids, {(0, i) for i in range(1, len(ids))})


def complete(ids: Sequence[PeerId]) -> Wiring:
    """Everyone with everyone. Diameter 1: one round is exact, at n - 1 messages a node."""
    at_least(ids, 2, "complete")
    n = len(ids)
    check_edges("complete", n, n * (n - 1) // 2)
    return named(ids, set(combinations(range(n), 2)))


def torus(ids: Sequence[PeerId], rows: int | None = None) -> Wiring:
    """A grid whose borders meet, filled row by row. Degree 4, diameter (rows + columns) / 2; rounds grow as n.

    Args:
        rows: at least 3, and so must be the columns that follow; by default the most square grid.
    """
    n = len(ids)
    rows = _rows(n, rows)
    if rows < 3 or n % rows or n // rows < 3:
        raise ConfigError(
            f"torus: {n} nodes in {rows} rows; wanted 3 rows by 3 columns or more (9, 12, 15, 16 ... nodes)"
        )
    columns = n // rows
    across = {pair(i, i - i % columns + (i + 1) % columns) for i in range(n)}
    return named(ids, across | {pair(i, (i + columns) % n) for i in range(n)})


def mesh(ids: Sequence[PeerId], rows: int | None = None) -> Wiring:
    """A grid with borders, filled row by row. Degree 2 to 4, diameter rows + columns - 2; 4 times a torus' rounds.

    Args:
        rows: at least 2, and so must be the columns that follow; by default the most square grid.
    """
    n = len(ids)
    rows = _rows(n, rows)
    if rows < 2 or n % rows or n // rows < 2:
        raise ConfigError(f"mesh: {n} nodes in {rows} rows; wanted 2 rows by 2 columns or more (4, 6, 8, 9 ... nodes)")
    columns = n // rows
    across = {(i, i + 1) for i in range(n) if (i + 1) % columns}
    return named(ids, across | {(i, i + columns) for i in range(n - columns)})


def hypercube(ids: Sequence[PeerId]) -> Wiring:
    """Places that differ in one binary digit are joined. Degree and diameter log2(n); exact in as many hops."""
    n = len(ids)
    if n < 2 or n & (n - 1):
        below = 1 << max(n.bit_length() - 1, 1)
        raise ConfigError(f"hypercube: {n} nodes; wanted a power of two ({below} or {2 * below})")
    return named(ids, {pair(i, i ^ bit) for i in range(n) for bit in _powers(2, n)})


def exponential(ids: Sequence[PeerId], base: int = 2, symmetric: bool = True) -> Wiring:
    """Everyone tells those 1, base, base^2 ... places on (modulo n). Diameter and degree grow as log(n).

    Directed, base 2, n even, equal weights: a spectral gap of 2 / (1 + ceil(log2(n)));
    14 rounds to 1e-3 at n = 10 and 16.

    Args:
        base: 2 to n - 1; a larger one makes fewer edges.
        symmetric: those who are told tell back; false: a directed graph, with about half the messages.

    References:
        Ying, Yuan, Chen, Hu, Pan, Yin 2021, Exponential Graph is Provably Efficient for Decentralized Deep Training,
        arXiv:2110.13363, eq. 5: directed, base 2. Differences: any base; read both ways by default, since Metropolis
        and most other weights want undirected edges.
    """
    at_least(ids, 3, "exponential")
    n, base, symmetric = len(ids), whole(base, "base"), truth(symmetric, "symmetric")
    if not 2 <= base < n:
        raise ConfigError(f"exponential: base {base} of {n} nodes; wanted 2 to {n - 1}")
    told: Pairs = {(i, (i + hop) % n) for i in range(n) for hop in _powers(base, n)}
    return named(ids, {pair(i, j) for i, j in told} if symmetric else told, directed=not symmetric)


def _powers(base: int, n: int) -> list[int]:
    """1, base, base^2 ... below n."""
    powers = [1]
    while powers[-1] * base < n:
        powers.append(powers[-1] * base)
    return powers


def _rows(n: int, rows: int | None) -> int:
    """What was asked for; by default the largest divisor of n that is not above its square root."""
    if rows is not None:
        return whole(rows, "rows")
    return next((count for count in range(isqrt(n), 0, -1) if n % count == 0), 0)
