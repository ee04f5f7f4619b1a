"""Slow twin of node.graph.scheduling.base_graph: algorithms 1 to 3 of Takezawa et al. 2023, with sets of weighted
edges.

Where the paper leaves a choice, it is the one of the fast version: factors rise, the last free node of a block is taken
first, idle nodes are grouped in order.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

Edges = set[tuple[int, int, float]]  # u, v, weight; u before v in no particular sense


def base_graph(n: int, k: int) -> list[NDArray[np.float64]]:
    """W(1) .. W(m), dense."""
    return [_matrix(n, edges) for edges in _base(list(range(n)), k)]


def _base(v: list[int], k: int) -> list[Edges]:
    p = max(d for d in range(1, len(v) + 1) if len(v) % d == 0 and _largest_prime(d) <= k + 1)
    q = len(v) // p
    parts = [v[i * q : (i + 1) * q] for i in range(p)]
    columns = [[part[i] for part in parts] for i in range(q)]
    simple_of_parts = [_simple_base(part, k) for part in parts]
    cubes = [_hyper_hypercube(column, k) for column in columns]
    rounds: list[Edges] = []
    for m in range(len(simple_of_parts[0])):
        rounds.append(set().union(*(graphs[m] for graphs in simple_of_parts)))
    for m in range(len(cubes[0])):
        rounds.append(set().union(*(graphs[m] for graphs in cubes)))
    of_all = _simple_base(v, k)
    return of_all if len(of_all) < len(rounds) else rounds


def _hyper_hypercube(v: list[int], k: int) -> list[Edges]:
    sizes = _smallest_product(len(v), k)
    rounds: list[Edges] = []
    for place, size in enumerate(sizes):
        edges: Edges = set()
        for i in range(len(v)):
            for j in range(i + 1, len(v)):
                differs = [_digits(i, sizes)[d] != _digits(j, sizes)[d] for d in range(len(sizes))]
                if differs[place] and sum(differs) == 1:
                    edges.add((v[i], v[j], 1 / size))
        rounds.append(edges)
    return rounds


def _digits(i: int, sizes: list[int]) -> list[int]:
    found = []
    for size in sizes:
        found.append(i % size)
        i //= size
    return found


def _simple_base(v: list[int], k: int) -> list[Edges]:
    n = len(v)
    if _largest_prime(n) <= k + 1:
        return _hyper_hypercube(v, k)
    a, power = [], []
    rest = n
    for exponent in range(n, -1, -1):
        if rest // (k + 1) ** exponent:
            a.append(rest // (k + 1) ** exponent)
            power.append(exponent)
            rest %= (k + 1) ** exponent
    sets, blocks = [], []
    left = list(v)
    for count, exponent in zip(a, power, strict=True):
        size = (k + 1) ** exponent
        blocks.append([left[i * size : (i + 1) * size] for i in range(count)])
        sets.append(left[: count * size])
        left = left[count * size :]
    m1 = len(_hyper_hypercube(sets[0], k))
    done = [0] * len(a)
    rounds: list[Edges] = []
    while done[0] < len(_hyper_hypercube(blocks[0][0], k)):
        m = len(rounds)
        edges: Edges = set()
        for place in range(len(a) - 1, -1, -1):
            if m < m1:
                cube = _hyper_hypercube(sets[place], k)
                edges |= cube[m % len(cube)] if cube else set()
            elif m < m1 + place:
                other = m - m1
                below = sum(len(part) for part in sets[other:])
                for node in sets[place]:
                    for block in blocks[other]:
                        mate = _isolated(block, edges)[-1]
                        edges.add((node, mate, len(sets[other]) / (below * a[other])))
            elif m == m1 + place and place != len(a) - 1:
                while len(alone := _isolated(sets[place], edges)) >= 2:
                    few = alone[: k + 1]
                    edges |= {(x, y, 1 / len(few)) for x in few for y in few if x < y}
            else:
                for part in blocks[place] if power[place] else [sets[place]]:
                    cube = _hyper_hypercube(part, k)
                    edges |= cube[done[place] % len(cube)] if cube else set()
                done[place] += 1
        rounds.append(edges)
    return rounds


def _isolated(nodes: list[int], edges: Edges) -> list[int]:
    ends = {end for x, y, _ in edges for end in (x, y)}
    return [node for node in nodes if node not in ends]


def _largest_prime(n: int) -> int:
    return max((d for d in range(2, n + 1) if n % d == 0 and all(d % e for e in range(2, d))), default=1)


def _smallest_product(n: int, k: int) -> list[int]:
    """Fewest factors, tried by length; of those as few, the one with the largest last factor, and so on."""
    if n == 1:
        return []
    for length in range(1, n):
        fits = [f for f in combinations_with_replacement(range(2, k + 2), length) if int(np.prod(f)) == n]
        if fits:
            return list(max(fits, key=lambda f: f[::-1]))
    raise ValueError(n)


def _matrix(n: int, edges: Edges) -> NDArray[np.float64]:
    w = np.zeros((n, n))
    for x, y, weight in edges:
        w[x, y] = w[y, x] = weight
    return w + np.diag(1 - w.sum(axis=1))
